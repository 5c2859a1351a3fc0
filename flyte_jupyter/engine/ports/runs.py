"""The database, the only record of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from flyte_jupyter.engine.core.actions import Action
from flyte_jupyter.engine.core.observations import Observation
from flyte_jupyter.engine.core.state import Kept, RunState, RunSummary
from flyte_jupyter.idl import admin, event
from flyte_jupyter.idl.ids import Path, RunId

RunEvent = event.WorkflowExecutionEvent | event.NodeExecutionEvent | event.TaskExecutionEvent


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
    literals: Mapping[str, bytes] = field(default_factory=dict)
    """Small inputs and outputs of nodes by the URI that they are known by: no file of them is made."""
    begun: AbstractSet[Path] = frozenset()
    """Those of `nodes` of which no event told anything up to `expect`; they may be left out."""


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


class StoreBusy(Exception):
    """Somebody else is writing and does not come to an end: nothing was changed, and it may be tried again."""


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

    async def commit(self, commit: Commit, nearly: Callable[[], None] | None = None) -> Committed:
        """All or nothing. The end of a child execution is put into its parent's inbox in the same transaction.

        `nearly` is called on the event loop once all is written and the disk is waited for, at most once; nothing is certain then.
        Raises `Fenced`, `Stale`, `StoreFull` or `StoreBusy`.
        """

    async def settle(self, run: RunId, settled: Sequence[int], epoch: int) -> None:
        """Mark owed actions as done without changing the run."""

    def arrivals(self) -> AsyncIterator[RunId]:
        """Runs for which a durable message has been committed since the iterator was made."""
