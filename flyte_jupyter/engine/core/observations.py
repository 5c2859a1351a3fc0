"""Everything that may come into the machine. All of it may come late, twice or out of order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flyte_jupyter.engine.core.state import CacheOutcome, Failure, Stage
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
    """Of an end node only: where its graph's outputs stand."""
    cache: CacheOutcome = CacheOutcome.NONE
    """Of the end node inside a cached dynamic task only: whether the catalog took the outputs."""


@dataclass(frozen=True, slots=True)
class ItemsReady:
    """An array node's inputs are resolved: there is one item for each of `size` elements."""

    path: Path
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class BranchChosen:
    """A branch node's inputs are resolved and its conditions judged: this arm is taken."""

    path: Path
    digest: str
    arm: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The execution that this one recovers has done this node: its outputs now stand at `outputs`."""

    path: Path
    outputs: str
    source: str
    """Whose they are: ``project/domain/execution/node/attempt``."""
    deck: str = ""
    cache: CacheOutcome = CacheOutcome.NONE
    """What the catalog said there."""
    child: str = ""
    """Of a launch plan: the execution that gave them, ``project/domain/name``."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """The attempt (or, in a recovery, that of the earlier run) left a graph, not outputs. The shell keeps the plan by its digest."""

    path: Path
    attempt: int
    plan: str
    digest: str = ""
    """Of the node's inputs, when no attempt was made because of a recovery."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The outputs of an array node's items stand together at `outputs`."""

    path: Path
    outputs: str


@dataclass(frozen=True, slots=True)
class GateOpened:
    """The gate's signal has come; what it gives stands at `outputs`."""

    path: Path
    outputs: str


@dataclass(frozen=True, slots=True)
class GateRefused:
    """The gate's signal says no, or what it should give cannot be made."""

    path: Path
    why: Failure


@dataclass(frozen=True, slots=True)
class SignalUnset:
    """The gate's signal has no answer yet."""

    path: Path


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
class CacheReserved:
    """Nothing is remembered yet, and `owner` is about to compute it: ask again at `until`."""

    path: Path
    until: datetime
    owner: str = ""


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
class AttemptWaits:
    """The executor has it and tells what it waits for before it can start."""

    path: Path
    attempt: int
    stage: Stage
    reason: str = ""


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
    outputs: str | None = field(default=None, compare=False)
    """What it handed back, when that is all that it leaves: a serialised ``LiteralMap`` in base64. None: it left files, or nothing."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The attempt's process is gone. What it left behind is still to be collected."""

    path: Path
    attempt: int
    how: Exit


@dataclass(frozen=True, slots=True)
class AttemptSucceeded:
    """Collected: outputs stand at `outputs`. `cache` says whether the catalog took them."""

    path: Path
    attempt: int
    outputs: str
    deck: str = ""
    cache: CacheOutcome = CacheOutcome.NONE


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
class SignalSet:
    """Somebody has answered the signal of this name: every gate that waits for it looks."""

    signal: str


@dataclass(frozen=True, slots=True)
class AbortRequested:
    """Somebody asked for the end of the run."""

    cause: str
    principal: str = ""


AboutNode = (
    InputsReady
    | ItemsReady
    | BranchChosen
    | Recovered
    | Expanded
    | Gathered
    | GateOpened
    | GateRefused
    | SignalUnset
    | InputsUnresolvable
    | CacheHit
    | CacheMiss
    | CacheReserved
    | AttemptAccepted
    | AttemptRejected
    | AttemptWaits
    | AttemptStarted
    | AttemptEnded
    | AttemptSucceeded
    | AttemptFailed
)
AboutRun = Started | Live | Tick | SignalSet | AbortRequested
Observation = AboutNode | AboutRun
