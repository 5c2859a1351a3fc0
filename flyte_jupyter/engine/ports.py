"""What the engine needs from the world, as Protocols. Adapters implement them; ``tests/ports`` proves each adapter alike.

The shell's seven promises stand in ``docs/architecture.md``; what each adapter owes them is said at its methods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from flyte_jupyter.engine.compiler.library import LaunchPlanInterface
from flyte_jupyter.engine.core.actions import Action
from flyte_jupyter.engine.core.observations import Exit, Observation
from flyte_jupyter.engine.core.state import Failure, Kept, RunState, RunSummary, Stage
from flyte_jupyter.idl import admin, core, event
from flyte_jupyter.idl.ids import AttemptId, EntityId, Path, RunId

RunEvent = event.WorkflowExecutionEvent | event.NodeExecutionEvent | event.TaskExecutionEvent


# -- executor --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttemptSpec:
    """All an executor needs to run one attempt. Times in seconds, memory in bytes."""

    id: AttemptId
    template: core.TaskTemplate
    """As registered: command templates (``{{.input}}`` ...) are filled by the executor from the URIs below."""
    inputs: str
    output_prefix: str
    raw_output_prefix: str
    env: Mapping[str, str]
    prev_checkpoint: str = ""
    interruptible: bool = False
    """Whether it may be put on machines that can be taken away (Flyte: not for the last system attempt)."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    workflow: str = ""
    """Name of the workflow that the execution runs, for labels."""
    node: str = ""
    """The node's id as clients see it."""
    index: int | None = None
    """Of an item of an array node: which element it is for. It is in `env` too, as Flyte's tasks look for it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The executor has it (now, or since an earlier call with the same id)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The executor will never run it as asked."""

    why: Failure


@dataclass(frozen=True, slots=True)
class Waits:
    """What an attempt waits for before it can start, in its executor's words."""

    stage: Stage
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AttemptNews:
    """Unprompted news: `waits` is set while it cannot start yet, `how` when it is gone; neither: its process has started."""

    id: AttemptId
    how: Exit | None
    waits: Waits | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Every attempt that exists and is not reaped, the ended ones with how they ended, as of a moment *before* the look."""

    as_of: datetime
    queued: frozenset[AttemptId]
    running: frozenset[AttemptId]
    ended: Mapping[AttemptId, Exit]

    @property
    def all(self) -> frozenset[AttemptId]:
        """Every listed attempt, whatever its phase."""
        return self.queued | self.running | frozenset(self.ended)


class Executor(Protocol):
    """Runs attempts. Create-if-absent and delete-if-present by `AttemptId`; an ended attempt stays listed until reaped."""

    async def start(self, news: Callable[[AttemptNews], None]) -> None:
        """Begin; adopt what an earlier engine left running. `news` is called on the event loop's thread."""

    async def stop(self) -> None:
        """Stop watching. Running attempts go on and are adopted by the next `start`."""

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Create the attempt if it is absent (a reaped or killed one may be created anew)."""

    async def kill(self, attempt: AttemptId) -> None:
        """End the attempt and all its processes, and forget it; nothing if it is unknown."""

    async def reap(self, attempt: AttemptId) -> None:
        """Forget an ended attempt, its files under the executor's own folders apart from logs included."""

    async def listing(self) -> Listing:
        """What exists. Level-triggered truth behind `news`."""

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """Up to `limit` bytes of the attempt's log from byte `offset`; empty past the end or when there is none."""


@dataclass(frozen=True, slots=True)
class LogSlice:
    """A part of a log. `complete` says that the attempt is over and nothing will be added."""

    data: bytes
    offset: int
    complete: bool


# -- blobs -----------------------------------------------------------------------------------------


class Blobs(Protocol):
    """Bytes by URI below one root. Raises `BlobNotFound` and `BlobFailure` (which says no space, no permission, ...)."""

    root: str

    async def get(self, uri: str) -> bytes:
        """The whole content."""

    async def put(self, uri: str, data: bytes) -> None:
        """Write so that a reader sees the old content, or the new, never a part."""

    async def exists(self, uri: str) -> bool:
        """Whether there is content at this URI."""

    async def names(self, folder: str) -> Mapping[str, int]:
        """The names of the contents right below a folder, each with its size in bytes; nothing when there is no folder."""

    async def copy(self, source: str, target: str) -> None:
        """Put the content of `source` at `target`."""


class BlobNotFound(Exception):
    """There is nothing at this URI."""


class BlobFailure(Exception):
    """The blob store could not do it; `no_space` when it is full."""

    def __init__(self, message: str, *, no_space: bool = False) -> None:
        super().__init__(message)
        self.no_space = no_space


# -- catalog ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Same key, same outputs. The digests cover the interface and the inputs that are not ignored."""

    project: str
    domain: str
    task: str
    version: str
    interface: str
    inputs: str


@dataclass(frozen=True, slots=True)
class CachedOutputs:
    """Remembered outputs and whose they were."""

    outputs: str
    source: str
    created_at: datetime
    digest: str = ""
    """Of the outputs' content, when it is known."""
    size: int = 0
    """Of the outputs in bytes, when it is known."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Who computes the outputs of a key, and until when that holds unless it is extended."""

    owner: str
    expires: datetime


class Catalog(Protocol):
    """Remembers outputs. Any exception means: could not be asked."""

    async def lookup(
        self, key: CacheKey, *, newer_than: datetime | None = None
    ) -> CachedOutputs | None:
        """What is remembered under this key, if it is not older than that."""

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""

    async def reserve(
        self, key: CacheKey, owner: str, ttl: timedelta, now: datetime
    ) -> Reservation:
        """Take the key's reservation, or extend it when `owner` has it, or take it over when it has run out.

        Returns the reservation that holds now: another's, if that is still good.
        """

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give the reservation back; nothing if it is not `owner`'s."""


# -- child executions and signals -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child execution to create: what it runs, what for, and with which inputs. The rest it inherits from its parent."""

    parent: AttemptId
    name: RunId
    launch_plan: core.Identifier
    inputs: str
    """URI of its inputs, a serialised ``LiteralMap``."""
    node: str
    """The parent node's id as clients see it."""
    recover: RunId | None = None
    """The child of the execution that the parent recovers, to be recovered in its turn."""


@dataclass(frozen=True, slots=True)
class ChildResult:
    """How a child execution stands: not ended while both are unset."""

    outputs: str | None = None
    """URI of its outputs (``""``: it has none), once it has succeeded."""
    why: Failure | None = None


class Children(Protocol):
    """Executions that other executions start. The end of one reaches its parent's inbox with the commit that ends it."""

    async def launch(self, spec: ChildSpec) -> Accepted | Rejected:
        """Create it if it is absent. Failures that may pass are raised, and asked again."""

    async def terminate(self, child: RunId, cause: str) -> None:
        """Ask for its end; nothing if it is unknown or over."""

    async def result(self, child: RunId) -> ChildResult:
        """How it stands."""

    async def interface(self, launch_plan: EntityId) -> LaunchPlanInterface | None:
        """What a registered launch plan takes and gives; None when there is none of that name."""


class Signals(Protocol):
    """What people answer to gates, by run and name."""

    async def open(self, run: RunId, signal: str, kind: core.LiteralType, node: str) -> bool:
        """Let the signal be answered, with a value of this type. Returns whether it is answered already."""

    async def value(self, run: RunId, signal: str) -> core.Literal | None:
        """The answer; None while there is none."""


# -- runs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwedAction:
    """A committed action that is not settled yet."""

    id: int
    action: Action


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it was last committed."""

    id: RunId
    version: int
    closure: bytes
    """The ``CompiledWorkflowClosure`` it runs, serialised."""
    plan: str
    """Digest of its plan: the closure's."""
    state: RunState
    owed: Sequence[OwedAction]
    inbox: Sequence[tuple[int, Observation]]
    """Durable messages to it (launch, abort) that no commit has consumed, by row id."""
    inputs: str
    """URI of the execution's inputs."""
    env: Mapping[str, str]
    spec: admin.ExecutionSpec = field(default_factory=admin.ExecutionSpec)
    """As launched: labels, annotations, security context, interruptible, raw output prefix."""
    recovers: RunId | None = None
    """The execution whose successes are taken over."""


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one turn of the loop changes, in one transaction. `owed` gets its row ids from the store."""

    run: RunId
    expect: int
    epoch: int
    log: Sequence[tuple[datetime, Observation]]
    summary: RunSummary
    nodes: Mapping[Path, Kept]
    owed: Sequence[Action]
    settled: Sequence[int]
    consumed: Sequence[int]
    events: Sequence[RunEvent]
    closures: Mapping[str, bytes] = field(default_factory=dict)
    """Compiled closures that dynamic tasks made, by digest: kept for as long as the run."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The run's new version and the owed actions with their ids, in the order of `Commit.owed`."""

    version: int
    owed: Sequence[OwedAction]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write, until `expires`. Every write carries its epoch."""

    epoch: int
    expires: datetime


class Fenced(Exception):
    """Another engine has taken the lease: this one must stop writing."""


class Stale(Exception):
    """The run is not at the version that the commit expected."""


class StoreFull(Exception):
    """There is no space left to write: nothing was changed, and nothing else may be started until it is."""


class Runs(Protocol):
    """The engine's side of the database, the only record of a run."""

    async def acquire(
        self, holder: str, ttl: timedelta, now: datetime, *, force: bool = False
    ) -> Lease | None:
        """Take or renew the lease; None when another holder's is still good. A new holder gets a higher epoch."""

    async def release(self, holder: str) -> None:
        """Give the lease back."""

    async def open_runs(self) -> Sequence[RunId]:
        """Runs that are not final, oldest first, and ended ones that still owe an action."""

    async def load(self, run: RunId) -> StoredRun:
        """The run as last committed."""

    async def inbox(self, run: RunId) -> Sequence[tuple[int, Observation]]:
        """Its durable messages alone, as `load` gives them."""

    async def closure(self, digest: str) -> bytes:
        """A compiled closure that a dynamic task of some run made."""

    async def commit(self, commit: Commit) -> Committed:
        """All or nothing. The end of a child execution is put into its parent's inbox in the same transaction.

        Raises `Fenced`, `Stale` or `StoreFull`.
        """

    async def settle(self, run: RunId, settled: Sequence[int], epoch: int) -> None:
        """Mark owed actions as done without changing the run."""

    def arrivals(self) -> AsyncIterator[RunId]:
        """Runs for which a durable message has been committed since the iterator was made."""


# -- time ------------------------------------------------------------------------------------------


class Clock(Protocol):
    """The only way the engine learns the time."""

    def now(self) -> datetime:
        """The time, in UTC; never earlier than it said before."""

    def gap(self) -> timedelta:
        """How long the clock stood still (sleep, SIGSTOP) since this was last asked; zero as a rule."""

    async def sleep_until(self, when: datetime) -> None:
        """Return at `when`, or at once if it has passed."""


# -- all of them -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ports:
    """The world that an engine works in."""

    runs: Runs
    executor: Executor
    blobs: Blobs
    catalog: Catalog
    clock: Clock
    children: Children
    signals: Signals
