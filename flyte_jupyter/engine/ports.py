"""What the engine needs from the world, as Protocols. Adapters implement them; ``tests/ports`` proves each adapter alike.

The shell's seven promises stand in ``docs/architecture.md``; what each adapter owes them is said at its methods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from flyte_jupyter.engine.core.actions import Action
from flyte_jupyter.engine.core.observations import Exit, Observation
from flyte_jupyter.engine.core.state import Failure, NodeState, RunState, RunSummary
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

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


@dataclass(frozen=True, slots=True)
class Accepted:
    """The executor has it (now, or since an earlier call with the same id)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The executor will never run it as asked."""

    why: Failure


@dataclass(frozen=True, slots=True)
class AttemptNews:
    """Unprompted news: `how` is None when the process has started, set when it is gone."""

    id: AttemptId
    how: Exit | None


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


class Catalog(Protocol):
    """Remembers outputs. Any exception means: could not be asked."""

    async def lookup(self, key: CacheKey) -> CachedOutputs | None:
        """What is remembered under this key."""

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""


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


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one turn of the loop changes, in one transaction. `owed` gets its row ids from the store."""

    run: RunId
    expect: int
    epoch: int
    log: Sequence[tuple[datetime, Observation]]
    summary: RunSummary
    nodes: Mapping[Path, NodeState]
    owed: Sequence[Action]
    settled: Sequence[int]
    consumed: Sequence[int]
    events: Sequence[RunEvent]


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

    async def commit(self, commit: Commit) -> Committed:
        """All or nothing. Raises `Fenced`, `Stale` or `StoreFull`."""

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
