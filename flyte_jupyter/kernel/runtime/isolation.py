"""What makes it safe to fork a Python process, and what keeps its descendants together."""

from __future__ import annotations

import ctypes
import importlib
import os
import random
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from flyte_jupyter.kernel.runtime.notes import note

PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Measured to hang in a child that was forked after they were imported, whatever their number of threads is at that moment.
# gRPC is none of them: it must not have been used before, and then it has threads.
NEVER_FORK_AFTER = frozenset({"polars", "jax", "tensorflow"})
_SAFE, _UNSAFE = 0, 1
# The parent answers nobody meanwhile.
_LONGEST_TRIAL = 30.0


def fork_hazard() -> str:
    """Why this process must not fork without exec; empty when it may."""
    if sys.platform == "darwin":
        return "macOS frameworks do not survive a fork"
    loaded = sorted(NEVER_FORK_AFTER & sys.modules.keys())
    if loaded:
        return f"{loaded[0]} is imported"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "CUDA is initialised"
    threads = thread_count()
    return f"{threads} threads run" if threads > 1 else ""


def thread_count() -> int:
    """How many threads the system sees in this process, those of C libraries included."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208  # asked before every fork
    except OSError:
        return 1


class Preloads:
    """What a parent was asked to import, each once."""

    def __init__(self) -> None:
        self._tried: set[str] = set()
        self._some = False

    def __bool__(self) -> bool:
        return self._some

    def have(self, modules: Sequence[str]) -> bool:
        """Import those that were not asked for before, if that is safe; what is not imported is noted.

        Gives whether anything was imported.
        """
        fresh = [m for m in modules if m not in self._tried]
        if not fresh:
            return False
        self._tried.update(fresh)
        why = preload(fresh)
        if why:
            note(f"not preloaded: {why}")
        self._some = self._some or not why
        return not why


def preload(modules: Sequence[str]) -> str:
    """Import modules for all children to share, if that leaves the process fit to be forked.

    It is tried in a child first, because a library's threads cannot be taken back. Gives the reason when the modules were
    not imported, else an empty string. Needs a process that may fork.
    """
    wanted = [m for m in modules if m not in sys.modules]
    hazard = fork_hazard()
    if not wanted or hazard:
        return hazard
    pid = os.fork()
    if pid == 0:
        status = _UNSAFE
        try:
            signal.setitimer(signal.ITIMER_REAL, _LONGEST_TRIAL)
            _import(wanted)
            status = _UNSAFE if fork_hazard() else _SAFE
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != _SAFE:
        return f"{', '.join(wanted)} cannot be shared: it fails to import, takes too long or starts threads"
    try:
        _import(wanted)
    except BaseException as e:  # noqa: BLE001  # it went well in the child; whatever it raises here, attempts run below this process
        why = traceback.format_exception_only(e)[-1].strip()
        return f"{', '.join(wanted)} cannot be shared: it fails to import where it is not tried for the first time: {why}"
    return ""


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        importlib.import_module(module)


def reseed() -> None:
    """Give this process random numbers of its own: a fork inherits the states of its parent's generators."""
    # 256 bits are enough for either, and much quicker than what they take without an argument: this is done before each attempt.
    random.seed(int.from_bytes(os.urandom(32), "big"))
    # Whoever has not imported numpy's yet has no state of it; to ask the package for them would import them now.
    numpys = sys.modules.get("numpy.random")
    if numpys is not None:
        numpys.seed(list(os.urandom(32)))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()


def gather_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that a daemon cannot slip away. Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Be killed when the parent ends, however it ends. Linux only."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def outlive_parent() -> None:
    """Take `die_with_parent` back. Linux only."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def _prctl(option: int, value: int) -> None:
    if _libc is not None:
        _libc.prctl(option, value, 0, 0, 0)


# Opened in the parent: a child pays only for the call.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def children() -> list[int]:
    """The processes whose parent is this one, zombies apart; empty where there is no ``/proc``."""
    me = os.getpid()
    found = []
    told = _told_children(me)
    for pid in _pids() if told is None else told:
        parent, state = _parent_and_state(pid)
        if parent == me and state != "Z":
            found.append(pid)
    return found


def _told_children(me: int) -> list[int] | None:
    """All children, as the system lists them: the rest of the machine's processes need not be looked at. None when it does not.

    What it lists is complete as long as nobody waits for one meanwhile, and only this process could.
    """
    try:
        places = [f"/proc/{me}/task/{task}/children" for task in os.listdir(f"/proc/{me}/task")]  # noqa: PTH208  # asked between attempts
        return [int(pid) for place in places for pid in Path(place).read_text("ascii").split()]
    except OSError:
        return None


def families(roots: Iterable[int]) -> dict[int, list[int]]:
    """Each of these processes with its descendants. Those whose own parent is gone count too, since a root gathers its orphans."""
    below: dict[int, list[int]] = {}
    for pid in _pids():
        parent, state = _parent_and_state(pid)
        if state not in ("", "Z"):
            below.setdefault(parent, []).append(pid)
    found = {}
    for root in roots:
        family = [root]
        for member in family:
            family += below.get(member, ())
        found[root] = family
    return found


def resident_bytes() -> int:
    """The memory that this process holds in RAM; zero where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * PAGE


def kills_for_memory() -> int:
    """How many processes the system has killed since it started because it, or a container, was out of memory; zero if it does not say."""
    try:
        with open("/proc/vmstat", "rb") as file:  # noqa: PTH123  # asked between attempts
            found = re.search(rb"^oom_kill (\d+)$", file.read(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208  # as above
    except OSError:
        return []


def _parent_and_state(pid: int) -> tuple[int, str]:
    fields = _stat(pid)
    return (int(fields[1]), fields[0]) if fields else (0, "")


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/<pid>/stat`` from the third (state) on; empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def identity(pid: int) -> str:
    """Tells this process from a later one with the same number; empty when it is gone or the system cannot tell."""
    fields = _stat(pid)
    return f"{_boot()}:{fields[19]}" if fields and fields[0] != "Z" else ""


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
