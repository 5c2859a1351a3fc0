"""What is looked at while attempts run: the memory they hold, and whether somebody has stopped them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from flyte_jupyter.kernel.runtime import isolation
from flyte_jupyter.kernel.runtime.records import Ended

OUTGROWN, STARVED, STOPPED = "outgrown", "starved", "stopped"
_SHORTEST, _LONGEST = 0.1, 5.0
# A look may cost a hundredth of the time until the next.
_SHARE = 100
_VMSTAT_SECONDS = 2.0
# How long after a kill by the system was seen the end of a process may still be that kill.
_KILLED_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An attempt's process has to end. `limit` and `held` are bytes."""

    pid: int
    cause: str
    limit: int = 0
    held: int = 0


@dataclass(slots=True)
class Watch:
    """The processes that may not hold more than so much, or not stand still for longer than so many seconds."""

    _limits: dict[int, int] = field(default_factory=dict)
    _patience: dict[int, float] = field(default_factory=dict)
    _still: dict[int, float] = field(default_factory=dict)
    _idle: set[int] = field(default_factory=set)
    _look_at: float = 0.0
    _begun: dict[int, float] = field(default_factory=dict)
    _kills: int = -1
    _kills_at: float = float("-inf")
    _untold: list[float] = field(default_factory=list)
    """When each of the system's kills for want of memory was seen that is nobody's end so far."""

    def begin(self, pid: int, limit: int, patience: float) -> None:
        """An attempt begins in this process. Zero bytes are no limit, zero seconds endless patience."""
        if limit:
            if not self._limits:
                self._look_at = 0.0
            self._limits[pid] = limit
        if patience:
            self._patience[pid] = patience
            if pid in self._idle:  # it was stopped before it had anything to do
                self.stopped(pid, still=True)
        # How many were killed before this one is needed to tell whether this one was.
        now = self._begun[pid] = time.monotonic()
        if now - self._kills_at > _VMSTAT_SECONDS:
            self._count_kills(now)

    def end(self, pid: int) -> None:
        """The attempt in this process is over."""
        self._limits.pop(pid, None)
        self._patience.pop(pid, None)
        self._still.pop(pid, None)

    def stopped(self, pid: int, *, still: bool) -> None:
        """Somebody has stopped the process, or lets it go on."""
        self._idle.discard(pid)
        if not still:
            self._still.pop(pid, None)
        elif pid in self._patience:
            self._still[pid] = time.monotonic() + self._patience[pid]
        else:
            self._idle.add(pid)

    def gone(self, pid: int) -> None:
        """There is no such process any more."""
        self.end(pid)
        self._idle.discard(pid)

    @property
    def next_at(self) -> float | None:
        """When to look next, on the monotonic clock; None when there is nothing to look at."""
        if not self._still:
            return self._look_at if self._limits else None
        return min(*self._still.values(), self._look_at if self._limits else float("inf"))

    def verdicts(self) -> Iterable[Verdict]:
        """Whose time is up, and who holds too much; nothing before it is time to look."""
        return self._found(time.monotonic()) if self._still or self._limits else ()

    def _found(self, now: float) -> Iterator[Verdict]:
        for pid, until in list(self._still.items()):
            if until <= now:
                self.end(pid)
                yield Verdict(pid, STOPPED)
        if self._limits and self._look_at <= now:
            found = list(self._too_large())
            self._look_at = now + min(max(_SHARE * (time.monotonic() - now), _SHORTEST), _LONGEST)
            yield from found

    def explained(self, pid: int, ended: Ended, verdict: Verdict | None) -> Ended:
        """The end of the attempt in this process with why it was killed, as far as that is known."""
        begun = self._begun.pop(pid, float("inf"))
        if ended.signal != signal.SIGKILL:
            return ended
        if verdict:
            return replace(ended, cause=verdict.cause, limit=verdict.limit, held=verdict.held)
        return replace(ended, cause=STARVED) if self._is_starved(begun) else ended

    def _is_starved(self, begun: float) -> bool:
        """Whether the system has killed a process meanwhile, for want of memory, that is nobody else's end."""
        now = time.monotonic()
        self._count_kills(now)
        for at in self._untold:
            if at > begun and at > now - _KILLED_SECONDS:
                self._untold.remove(at)
                return True
        return False

    def _count_kills(self, now: float) -> None:
        known, self._kills, self._kills_at = self._kills, isolation.kills_for_memory(), now
        fresh = self._kills - known if known >= 0 else 0
        self._untold = [at for at in self._untold if at > now - _KILLED_SECONDS] + [now] * fresh

    def _too_large(self) -> Iterator[Verdict]:
        families = isolation.families(self._limits)
        for pid, limit in list(self._limits.items()):
            family = families[pid]
            # What they hold together with others is in this too, so it is never less.
            if sum(_resident(member) for member in family) <= limit:
                continue
            held = held_by(family)
            if held > limit:
                self.end(pid)
                yield Verdict(pid, OUTGROWN, limit, held)


def held_by(family: list[int]) -> int:
    """The bytes that would be free without these processes, a fork of this one and its descendants.

    Pages of one process only, and those that several of the family share: of these no more is counted than is theirs for sure, so
    all that could be this parent's is left out. Where the system does not tell, what is resident and not mapped from files.
    """
    unique = shared = 0
    for pid in family:
        found = _rollup(pid)
        if found is None:
            unique += _unshared(pid)
            continue
        unique += found.get("Private_Clean", 0) + found.get("Private_Dirty", 0)
        shared += found.get("Pss", 0)
    if len(family) == 1:
        return unique
    return max(unique, shared - isolation.resident_bytes())


def _rollup(pid: int) -> Mapping[str, int] | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
        return {name.rstrip(":"): int(size) * 1024 for name, size, _ in map(str.split, lines)}
    except FileNotFoundError:
        return None if Path(f"/proc/{pid}").exists() else {}
    except ProcessLookupError:
        return {}
    except (OSError, ValueError):
        return None


def _resident(pid: int) -> int:
    return _statm(pid)[0]


def _unshared(pid: int) -> int:
    resident, shared = _statm(pid)
    return resident - shared


def _statm(pid: int) -> tuple[int, int]:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123  # often, and for many
            words = file.read().split()
        return int(words[1]) * isolation.PAGE, int(words[2]) * isolation.PAGE
    except (OSError, IndexError, ValueError):
        return 0, 0
