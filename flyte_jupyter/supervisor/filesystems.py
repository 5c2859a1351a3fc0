"""Which folders lie on a network file system, where SQLite's locks and shared memory cannot be trusted."""

from __future__ import annotations

import sys
from pathlib import Path

_KERNEL_TYPES = "nfs nfs3 nfs4 cifs smb2 smb3 smbfs afpfs webdav davfs 9p afs ceph lustre gpfs beegfs glusterfs pvfs2 wekafs"
_FUSE_TYPES = "glusterfs sshfs s3fs gcsfuse rclone juicefs ceph"
NETWORK_TYPES = frozenset(_KERNEL_TYPES.split()) | {f"fuse.{kind}" for kind in _FUSE_TYPES.split()}


def network_filesystem(folder: Path, mounts: str | None = None) -> str | None:
    """The type of the network file system that holds `folder`, or None when it is local.

    Args:
        folder: need not exist yet.
        mounts: a mount table in the form of ``/proc/self/mounts``; this machine's own when None.
    """
    table = _read_mounts() if mounts is None else mounts
    target = folder.absolute().as_posix()
    best, kind = "", ""
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 3:  # noqa: PLR2004  device, mount point, type
            continue
        point = fields[1].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2].lower()
    return kind if kind in NETWORK_TYPES else None


def _read_mounts() -> str:
    if sys.platform == "darwin":
        return _darwin_mounts()
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _darwin_mounts() -> str:
    import re
    import subprocess

    try:
        done = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    found = re.findall(r"^(.+) on (.+) \((\w+)", done.stdout, flags=re.MULTILINE)
    return "\n".join(
        f"{dev.replace(' ', '_')} {at.replace(' ', chr(92) + '040')} {kind}"
        for dev, at, kind in found
    )
