"""Everything the engine remembers about a run.

One class per phase, each with only the fields that mean something in that phase, so that an impossible combination cannot be
written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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


class CacheOutcome(StrEnum):
    """What became of asking the catalog (Flyte: ``CatalogCacheStatus``)."""

    NONE = ""
    MISS = "miss"
    HIT = "hit"
    POPULATED = "populated"
    LOOKUP_FAILURE = "lookup_failure"
    PUT_FAILURE = "put_failure"
    SKIPPED = "skipped"
    """Not asked, on request: the outputs replace what was remembered."""


class Stage(StrEnum):
    """What an attempt that has not started waits for, as its executor tells."""

    QUEUED = "queued"
    RESOURCES = "resources"
    INITIALIZING = "initializing"


@dataclass(frozen=True, slots=True)
class Tries:
    """How many attempts a node has had, and how many of them the system spoiled.

    So `attempt` is also the number of the attempt that is under way, or comes next.
    """

    attempt: int = 0
    system_failures: int = 0
    last: Failure | None = None
    """Why the attempt before this one failed."""
    since: datetime | None = None
    """When the node was first queued, of one with a time limit of its own: that counts from here. A clock's gap moves it."""
    cache: CacheOutcome = CacheOutcome.NONE
    """What the catalog said before the first attempt."""


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
    since: datetime | None = None
    """When it was first asked, of a node with a time limit of its own."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """Somebody else computes the same just now; the catalog is asked again at `until`. Holds no slot."""

    digest: str
    until: datetime
    since: datetime | None = None
    owner: str = ""


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
    stage: Stage = Stage.QUEUED
    reason: str = ""
    """What it waits for, in the executor's words."""


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
class Nested:
    """A composite whose inside runs: a sub-workflow, a branch, an expanded dynamic task.

    Its nodes stand at ``(*path, attempt, node)``; the `Scope` that counts them at ``(*path, attempt)``. `since` is when the
    attempt began: of a dynamic task the one that left the graph, whose time limit holds for both.
    """

    tries: Tries
    digest: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Mapped:
    """An array node whose items run, at ``(*path, index)``. Items that have not begun have no state."""

    digest: str
    since: datetime
    size: int
    began: int = 0
    """Items that have a state: those below this index."""
    succeeded: int = 0
    failed: int = 0
    turn: int = -1
    """Its place in the queue for the next item; -1 when it has none (all began, or as many run as may)."""

    @property
    def active(self) -> int:
        """How many items are under way."""
        return self.began - self.succeeded - self.failed


@dataclass(frozen=True, slots=True)
class Gathering:
    """All items of an array node have ended well enough; their outputs are being put together."""

    digest: str
    since: datetime
    size: int
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A gate: open at `until` (a sleep), or when its signal comes. `deadline`: when its patience ends."""

    digest: str
    since: datetime
    until: datetime | None = None
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Outputs stand at `outputs`, of an item also ``""``: where the layout says.

    `cached` names whose they were when they came from the catalog, `recovered` when they came from the execution that this one
    recovers. `ran` is how many seconds the attempt's process ran; 0 when nobody knows. `child` is the execution of a launch plan that
    was recovered, ``project/domain/name``: any other has its name by its attempt.
    """

    outputs: str
    attempt: int = 0
    cached: str = ""
    deck: str = ""
    ran: float = 0.0
    cache: CacheOutcome = CacheOutcome.NONE
    recovered: str = ""
    child: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Out of retries, or not retryable. `ran` as for `Succeeded`."""

    failure: Failure
    attempt: int = 0
    deck: str = ""
    ran: float = 0.0
    timed_out: bool = False
    """The node's own time limit ended it, not an attempt's."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """It can never run: something it needs did not succeed, or another arm of its branch was taken."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """Stopped from outside: by a person, or because another node failed."""

    cause: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """The inside of one composite node at one attempt: counters and its fate, no node. Stands at ``(*path, attempt)``.

    It stays when the node has ended, so that what stood inside can still be named.
    """

    open: int
    """How many of its nodes have not reached a terminal state."""
    plan: str = ""
    """Digest of the expansion that it runs; ``""``: the node's own body."""
    failure: Failure | None = None
    """The failure that it will end with (Flyte: the first under fail-fast, else the last)."""
    failed_node: str = ""
    handling: bool = False
    """Whether its failure node has been started."""


NodeState = (
    Blocked
    | Ready
    | Resolving
    | Probing
    | Reserved
    | Launching
    | Queued
    | Running
    | Collecting
    | BackingOff
    | Nested
    | Mapped
    | Gathering
    | Waiting
    | Succeeded
    | Failed
    | Skipped
    | Aborted
)
Kept = NodeState | Scope
"""What a run's map holds, by path."""
InFlight = Launching | Queued | Running | Collecting
TERMINAL = (Succeeded, Failed, Skipped, Aborted)
IN_FLIGHT = (Launching, Queued, Running, Collecting)
HOLDS_SLOT = (Resolving, Probing, *IN_FLIGHT)
OPENING = (Resolving, Probing, Launching)
"""A leaf has begun, and no executor has accepted it yet."""
MOST_OPENING = 256
"""More would make the first of a wide graph wait for the last of it; fewer would make small commits of it."""


class RunPhase(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    FAILING = "failing"
    ABORTING = "aborting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"

    final: bool
    """Whether nothing can change any more."""

    def __init__(self, value: str) -> None:
        self.final = value in ("succeeded", "failed", "aborted")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The run's own row: counters and policies, no node. Small whatever the run's size."""

    phase: RunPhase = RunPhase.QUEUED
    open: int = 0
    """How many nodes of the outermost graph have not reached a terminal state."""
    active: int = 0
    """How many leaves hold a parallelism slot, however deep."""
    max_parallelism: int = 0
    """0 means unlimited (as in Flyte)."""
    opening: int = 0
    """How many leaves have begun that no executor has accepted yet."""
    most_opening: int = MOST_OPENING
    """So many at most: a wide graph begins in parts, and the first runs while the next is made ready. 0 means unlimited."""
    overwrite_cache: bool = False
    failure: Failure | None = None
    """The failure the run will end with (Flyte: the first under fail-fast, else the last)."""
    failed_node: str = ""
    handling: bool = False
    """Whether its failure node has been started."""
    abort: str = ""
    principal: str = ""
    outputs: str = ""
    turns: int = 0
    """How many places in the queue have been given out."""
    timeout: timedelta | None = None
    """How long the run may take, from when it begins until it succeeds or fails; its failure node is not counted."""
    since: datetime | None = None
    """From when that counts; None: it has not begun."""

    @property
    def deadline(self) -> datetime | None:
        """When the run must have ended; None when it may go on for ever, or has its end before it already."""
        if self.timeout is None or self.since is None or self.handling:
            return None
        timed = self.phase in (RunPhase.RUNNING, RunPhase.FAILING)
        return self.since + self.timeout if timed else None


@dataclass(frozen=True, slots=True)
class Index:
    """What a step must find without looking at every node. Follows from the nodes alone."""

    ready: Ordered[tuple[int, Path]] = field(default_factory=Ordered)
    """`Ready` nodes, and `Mapped` ones with more items to begin, by their turn."""
    naps: Ordered[tuple[datetime, Path]] = field(default_factory=Ordered)
    """`BackingOff`, `Reserved` and sleeping `Waiting` nodes by when they may go on."""
    deadlines: Ordered[tuple[datetime, Path]] = field(default_factory=Ordered)
    """Nodes that must end, by when."""
    losable: Ordered[Path] = field(default_factory=Ordered)
    """`Queued` and `Running` tasks and items: those that a listing may condemn. Child executions can't be lost."""
    gates: Ordered[tuple[str, Path]] = field(default_factory=Ordered)
    """`Waiting` nodes by the signal they wait for."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run: its summary, and by path what is known of each node that anything has happened to.

    A node that is not there is as it was in the beginning: blocked by all its upstream nodes (``scopes.state_at``). `nodes` may be
    any mapping that is never mutated in place. `index` is the machine's own: leave it out, and the next step derives it
    (``index.rebuild``).
    """

    summary: RunSummary
    nodes: Mapping[Path, Kept] = field(default_factory=dict)
    index: Index | None = field(default=None, compare=False, repr=False)
