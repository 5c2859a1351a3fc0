"""Everything that may come into the machine. All of it may come late, twice or out of order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flyte_jupyter.engine.core.state import Failure
from flyte_jupyter.idl.ids import Path


@dataclass(frozen=True, slots=True)
class Started:
    """The run was accepted: begin."""


@dataclass(frozen=True, slots=True)
class InputsReady:
    """The node's inputs are resolved and written; `digest` names their content."""

    path: Path
    digest: str
    outputs: str = ""
    """Of the end node only: where the run's outputs stand."""


@dataclass(frozen=True, slots=True)
class InputsUnresolvable:
    """The node's inputs cannot be made from what its upstream nodes gave."""

    path: Path
    why: Failure


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The catalog knows outputs for this key and they now stand at `outputs`."""

    path: Path
    outputs: str
    source: str = ""
    """Whose output it is: ``project/domain/execution/node/attempt``."""


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """The catalog knows nothing for this key; `broken` when it could not be asked."""

    path: Path
    broken: bool = False


@dataclass(frozen=True, slots=True)
class AttemptAccepted:
    """The executor has it (again): it may still wait for a slot."""

    path: Path
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptRejected:
    """The executor will never run it as asked."""

    path: Path
    attempt: int
    why: Failure


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """The attempt has its slot and its process runs."""

    path: Path
    attempt: int


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt's process ended, as its executor saw it."""

    code: int | None = None
    """Exit status; None when a signal ended it or nobody knows."""
    signal: int | None = None
    why: Failure | None = None
    """Set when the executor itself knows the reason (out of memory, no interpreter, ...)."""
    ran: float = field(default=0.0, compare=False)
    """Seconds that the process ran; 0 when nobody knows. Two ends are the same whatever they took."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The attempt's process is gone. What it left behind is still to be collected."""

    path: Path
    attempt: int
    how: Exit


@dataclass(frozen=True, slots=True)
class AttemptSucceeded:
    """Collected: outputs stand at `outputs`."""

    path: Path
    attempt: int
    outputs: str
    deck: str = ""


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """Collected: no usable outputs; `deck` when one was left all the same."""

    path: Path
    attempt: int
    why: Failure
    deck: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """A full listing from an executor: at `as_of` these attempts of this run existed and no others."""

    attempts: frozenset[tuple[Path, int]]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; `gap` is how long the clock was stopped (sleep, SIGSTOP) since the last one."""

    gap: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class AbortRequested:
    """Somebody asked for the end of the run."""

    cause: str
    principal: str = ""


AboutNode = (
    InputsReady
    | InputsUnresolvable
    | CacheHit
    | CacheMiss
    | AttemptAccepted
    | AttemptRejected
    | AttemptStarted
    | AttemptEnded
    | AttemptSucceeded
    | AttemptFailed
)
AboutRun = Started | Live | Tick | AbortRequested
Observation = AboutNode | AboutRun
