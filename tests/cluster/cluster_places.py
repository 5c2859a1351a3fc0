"""Where the test cluster's programs lie, and free numbers for it: ports, and networks that no other cluster here uses."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent.parent
# Without links, as the kernel tells of mounts.
CACHE = (ROOT / ".cache" / "cluster").resolve()
RUNNING = CACHE / "run"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kwok")  # fmt: skip
OF_DEBIAN = ("containerd", "runc", "ctr", "ip", "busybox", "openssl")
NETWORKS = range(200, 250)  # the second number of a cluster's network, 10.N.0.0/24


class NotBuilt(Exception):
    """The cluster's programs aren't there."""


def program(name: str) -> str:
    """The path of one of the cluster's programs.

    Raises:
        NotBuilt: it was not built or installed.
    """
    path = CACHE / "bin" / name if name in PROGRAMS else shutil.which(name)
    if path is None or not Path(path).exists():
        raise NotBuilt(f"The test cluster has no {name} yet. Run: make cluster")
    return str(path)


def require_built(*, node: bool) -> None:
    """Say at once what is missing, instead of failing half way.

    Raises:
        NotBuilt: something is.
    """
    missing = [n for n in PROGRAMS if not (CACHE / "bin" / n).exists()]
    if node:
        missing += [n for n in OF_DEBIAN if shutil.which(n) is None]
        missing += [n for n in ("moto", "site") if not (CACHE / f"{n}.stamp").exists()]
    if missing:
        raise NotBuilt(f"The test cluster is not built ({', '.join(missing)}). Run: make cluster")


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass(frozen=True)
class Network:
    """A bridge of the cluster's own on this machine, that leads nowhere else."""

    number: int

    @property
    def bridge(self) -> str:
        return f"fjtest{self.number}"

    @property
    def subnet(self) -> str:
        return f"10.{self.number}.0.0/24"

    @property
    def host(self) -> str:
        """This machine's address as pods see it."""
        return f"10.{self.number}.0.1"

    @property
    def hardware(self) -> str:
        """The bridge's own. One without takes a pod's, and another when that pod goes: the others would not reach it for a minute."""
        return f"02:00:0a:{self.number:02x}:00:01"


def take_network() -> tuple[Network, IO[str]]:
    """A network that no other cluster uses; it stays taken until the file is closed, at the latest when this process ends."""
    RUNNING.mkdir(parents=True, exist_ok=True)
    taken = Path("/proc/net/route").read_text().split()
    for number in NETWORKS:
        lock = (RUNNING / f"network-{number}.lock").open("w")
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            little_endian = f"0000{number:02X}0A"
            ours = Path(f"/sys/class/net/{Network(number).bridge}").exists()
            if ours or little_endian not in taken:
                return Network(number), lock
        lock.close()
    raise AssertionError("no free network for the test cluster: too many are running")


@contextlib.contextmanager
def running_folder() -> Iterator[Path]:
    """A folder for one cluster. What a killed run left in others is swept first, the folder itself at the end."""
    from cluster_sweep import sweep

    RUNNING.mkdir(parents=True, exist_ok=True)
    with (RUNNING / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # nobody sweeps a folder that is just being made
        for old in sorted(p for p in RUNNING.iterdir() if p.is_dir()):
            owner = hold(old)
            if owner is not None:
                sweep(old)
                owner.close()
        folder = RUNNING / uuid.uuid4().hex[:8]
        folder.mkdir()
        owner = hold(folder)
    assert owner is not None
    try:
        yield folder
    finally:
        sweep(folder)
        owner.close()


def hold(folder: Path) -> IO[str] | None:
    """Become the owner of a cluster's folder for as long as the file is open; None when somebody else is."""
    try:
        owner = (folder / "owner").open("a")
    except FileNotFoundError:  # swept by somebody else in between
        return None
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner.close()
        return None
    return owner
