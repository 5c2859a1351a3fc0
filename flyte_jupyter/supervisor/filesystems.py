"""Which file system a path stands on: on a network one, SQLite's locks and shared memory cannot be trusted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

NETWORK = frozenset(
    {
        "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "glusterfs", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "webdav",
    }
)  # fmt: skip
NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|s3fs|gcsfuse|rclone|glusterfs|ceph|davfs2?|goofys|juicefs|cifs|smbnetfs|nfs)"
)
_LINUX = re.compile(r"^\S+ (?P<point>\S+) (?P<type>\S+) ")
_BSD = re.compile(r"^.+ on (?P<point>/.*?) \((?P<type>[^,)]+)")


def mount_table() -> str:
    """What is mounted where, as this system tells it; empty when it does not."""
    try:
        if sys.platform == "darwin":
            done = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False)
            return done.stdout
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def network_file_system(path: PurePosixPath, mounts: str) -> str | None:
    """The type of the network file system that `path` (absolute, links resolved) stands on; None when it is a local one.

    `mounts` is ``/proc/self/mounts`` or what BSD's ``mount`` prints. The longest mount point wins, the later of two alike.
    """
    best, found = -1, ""
    for line in mounts.splitlines():
        match = _BSD.match(line) or _LINUX.match(line)
        if match is None:
            continue
        point = PurePosixPath(_unescaped(match["point"]))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), match["type"]
    return found if found in NETWORK or NETWORK_FUSE.fullmatch(found) else None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)
