"""Everything the engine remembers about a run.

One class per phase, each with only the fields that mean something in that phase, so that an impossible combination cannot be
written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flyte_jupyter.engine.core.persistent import Ordered
from flyte_jupyter.idl.ids import Path


class Blame(StrEnum):
    """Whose failure it is. The two have retry budgets apart (Flyte: ``ExecutionError.ErrorKind``)."""

    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed: a stable code, a message for a person, whose fault, and whether to try again."""

    code: str
    message: str
    blame: Blame = Blame.USER
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Tries:
    """How many attempts a node has had, and how many of them the system spoiled.

    So `attempt` is also the number of the attempt that is under way, or comes next.
    """

    attempt: int = 0
    system_failures: int = 0
    last: Failure | None = None
    """Why the attempt before this one failed."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Waiting for `waiting_on` more upstream nodes."""

    waiting_on: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Runnable; waiting for a parallelism slot. `digest` is set once its inputs are resolved."""

    tries: Tries = Tries()
    digest: str = ""
    turn: int = 0
    """Its place in the queue: lower goes first."""


@dataclass(frozen=True, slots=True)
class Resolving:
    """Its inputs are being bound and written."""


@dataclass(frozen=True, slots=True)
class Probing:
    """The catalog was asked; nothing runs yet."""

    digest: str


@dataclass(frozen=True, slots=True)
class Launching:
    """Asked for, not yet acknowledged: the outbox keeps asking, so it cannot be lost."""

    tries: Tries
    digest: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Queued:
    """Acknowledged by the executor at `since`, waiting for a slot there. From here on it can be lost."""

    tries: Tries
    digest: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Running:
    """Its process runs since `since`; `deadline` is None when it may run for ever."""

    tries: Tries
    digest: str
    since: datetime
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Collecting:
    """Its process ended after it `ran` so many seconds (0: nobody knows); what it left is being read."""

    tries: Tries
    digest: str
    since: datetime
    ran: float = 0.0


@dataclass(frozen=True, slots=True)
class BackingOff:
    """A retryable failure; the next attempt may begin at `until`."""

    tries: Tries
    digest: str
    until: datetime
    last: Failure


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Outputs stand at `outputs`. `cached` names whose they were when they came from the catalog.

    `ran` is how many seconds the attempt's process ran; 0 when nobody knows.
    """

    outputs: str
    attempt: int = 0
    cached: str = ""
    deck: str = ""
    ran: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """Out of retries, or not retryable. `ran` as for `Succeeded`."""

    failure: Failure
    attempt: int = 0
    deck: str = ""
    ran: float = 0.0


@dataclass(frozen=True, slots=True)
class Skipped:
    """It can never run because something it needs did not succeed."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """Stopped from outside: by a person, or because another node failed."""

    cause: str = ""
    attempt: int = 0


NodeState = (
    Blocked
    | Ready
    | Resolving
    | Probing
    | Launching
    | Queued
    | Running
    | Collecting
    | BackingOff
    | Succeeded
    | Failed
    | Skipped
    | Aborted
)
InFlight = Launching | Queued | Running | Collecting
TERMINAL = (Succeeded, Failed, Skipped, Aborted)
IN_FLIGHT = (Launching, Queued, Running, Collecting)
HOLDS_SLOT = (Resolving, Probing, *IN_FLIGHT)


class RunPhase(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    FAILING = "failing"
    ABORTING = "aborting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def final(self) -> bool:
        """Whether nothing can change any more."""
        return self in (RunPhase.SUCCEEDED, RunPhase.FAILED, RunPhase.ABORTED)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The run's own row: counters and policies, no node. Small whatever the run's size."""

    phase: RunPhase = RunPhase.QUEUED
    open: int = 0
    """How many nodes have not reached a terminal state."""
    active: int = 0
    """How many nodes hold a parallelism slot."""
    max_parallelism: int = 0
    """0 means unlimited (as in Flyte)."""
    overwrite_cache: bool = False
    failure: Failure | None = None
    """The failure the run will end with (Flyte: the first under fail-fast, else the last)."""
    failed_node: str = ""
    abort: str = ""
    principal: str = ""
    outputs: str = ""
    turns: int = 0
    """How many places in the queue have been given out."""


@dataclass(frozen=True, slots=True)
class Index:
    """What a step must find without looking at every node. Follows from the nodes alone."""

    ready: Ordered[tuple[int, Path]] = field(default_factory=Ordered)
    """`Ready` nodes by their turn."""
    naps: Ordered[tuple[datetime, Path]] = field(default_factory=Ordered)
    """`BackingOff` nodes by when they may go on."""
    deadlines: Ordered[tuple[datetime, Path]] = field(default_factory=Ordered)
    """`Running` nodes that must end, by when."""
    losable: Ordered[Path] = field(default_factory=Ordered)
    """`Queued` and `Running` nodes: those that a listing may condemn."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run: its summary and one state per node. `nodes` may be any mapping that is never mutated in place.

    `index` is the machine's own: leave it out, and the next step derives it (see ``index.rebuild``).
    """

    summary: RunSummary
    nodes: Mapping[Path, NodeState] = field(default_factory=dict)
    index: Index | None = field(default=None, compare=False, repr=False)
