"""Leave nothing of a test cluster behind: processes, containers, mounts, control groups, network, files.

Everything is found by the cluster's folder, not by what a run remembers: so it also works after a killed run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from processes import alive, eventually

GROUPS = Path("/sys/fs/cgroup")
NETWORK_FILE = "bridge"


def sweep(folder: Path) -> None:
    """End and remove all that belongs to the cluster in this folder, and the folder."""
    for pid in (left := processes(folder)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    eventually(lambda: not any(map(alive, left)), what=f"the end of {left}")
    for group in groups(folder):
        with contextlib.suppress(OSError):
            group.rmdir()
    for mount in mounts(folder):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
    bridge = folder / NETWORK_FILE
    if bridge.exists():
        subprocess.run(
            ["ip", "link", "delete", bridge.read_text()], check=False, capture_output=True
        )
    for link in Path("/var/log/containers").glob("*"):
        with contextlib.suppress(OSError):  # another cluster's may go at the same moment
            if str(folder) in os.readlink(link):
                link.unlink()
    for remembered in Path("/var/lib/cni/results").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if str(folder) in remembered.read_text():
                remembered.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def group_name(folder: Path) -> str:
    """The control group under which a cluster's pods live."""
    return f"flyte-jupyter-test-{folder.name}"


def group_roots(folder: Path) -> list[Path]:
    """That group in each of the machine's hierarchies, whether or not it is there."""
    name = group_name(folder)
    if (GROUPS / "cgroup.controllers").exists():
        return [GROUPS / name]
    return [hierarchy / name for hierarchy in sorted(GROUPS.iterdir()) if hierarchy.is_dir()]


def groups(folder: Path) -> list[Path]:
    """All control groups of a cluster that exist, the innermost first."""
    found = [
        Path(path) for root in group_roots(folder) for path, _, _ in os.walk(root, topdown=False)
    ]
    return [path for path in found if path.is_dir()]


def processes(folder: Path) -> set[int]:
    """What runs for a cluster: programs and shims name its folder, containers are in its control groups."""
    found = set()
    for group in groups(folder):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    return {pid for pid in found if pid != os.getpid() and alive(pid)}


def mounts(folder: Path) -> list[str]:
    """The mounts inside a cluster's folder, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in reversed(points) if point.startswith(f"{folder}/")]
