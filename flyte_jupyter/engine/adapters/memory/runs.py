"""The engine's database in dictionaries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from flyte_jupyter.engine.core.observations import AttemptEnded, Exit, Observation
from flyte_jupyter.engine.core.state import Kept, RunPhase, RunState, RunSummary
from flyte_jupyter.engine.ports import (
    Commit,
    Committed,
    Fenced,
    Lease,
    OwedAction,
    RunEvent,
    Stale,
    StoredRun,
    StoreFull,
)
from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import AttemptId, Path, RunId


@dataclass(slots=True)
class _Row:
    stored: StoredRun
    parent: AttemptId | None = None
    owed: dict[int, OwedAction] = field(default_factory=dict)
    inbox: dict[int, Observation] = field(default_factory=dict)
    nodes: dict[Path, Kept] = field(default_factory=dict)
    events: list[RunEvent] = field(default_factory=list)
    log: list[tuple[datetime, Observation]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a run is created from. `closure` is the serialised compiled closure, `plan` its digest."""

    id: RunId
    closure: bytes
    plan: str
    inputs: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    summary: RunSummary = field(default_factory=RunSummary)
    spec: admin.ExecutionSpec = field(default_factory=admin.ExecutionSpec)
    recovers: RunId | None = None
    parent: AttemptId | None = None
    """The attempt of another run that it is the child execution of."""


class MemoryRuns:
    """The engine's database in dictionaries. Set `full` to have every write fail for want of space."""

    def __init__(self) -> None:
        self._rows: dict[RunId, _Row] = {}
        self._ids = 0
        self._holder = ""
        self._lease: Lease | None = None
        self._epoch = 0
        self._listeners: list[asyncio.Queue[RunId]] = []
        self._closures: dict[str, bytes] = {}
        self.literals: dict[str, bytes] = {}
        """Small inputs and outputs of nodes by URI, of all runs."""
        self.full = False
        self.commits = 0

    # -- what admin does --

    def create(self, new: NewRun, *messages: Observation) -> None:
        """Create a run with its first durable messages (as a rule `Started`)."""
        state = RunState(new.summary)
        stored = StoredRun(
            id=new.id,
            version=0,
            closure=new.closure,
            plan=new.plan,
            state=state,
            owed=(),
            inbox=(),
            inputs=new.inputs,
            env=new.env,
            spec=new.spec,
            recovers=new.recovers,
        )
        self._rows[new.id] = _Row(stored, new.parent)
        for message in messages:
            self.post(new.id, message)

    def post(self, run: RunId, message: Observation) -> int:
        """Leave a durable message for a run; returns its row id."""
        self._ids += 1
        self._rows[run].inbox[self._ids] = message
        for listener in self._listeners:
            listener.put_nowait(run)
        return self._ids

    def spoil(self, run: RunId) -> None:
        """Make its compiled workflow unreadable, as a bad disk would."""
        row = self._rows[run]
        row.stored = replace(row.stored, closure=b"\xff not a closure")

    def __contains__(self, run: RunId) -> bool:
        return run in self._rows

    def events(self, run: RunId) -> Sequence[RunEvent]:
        """Everything that was told about a run."""
        return tuple(self._rows[run].events)

    def heard(self, run: RunId) -> Sequence[tuple[datetime, Observation]]:
        """The run's log: what it heard, and the time at which that was judged."""
        return tuple(self._rows[run].log)

    # -- the port --

    async def acquire(
        self, holder: str, ttl: timedelta, now: datetime, *, force: bool = False
    ) -> Lease | None:
        """Take or renew the lease."""
        held = self._lease
        if held is not None and self._holder != holder and held.expires > now and not force:
            return None
        if self._holder != holder:
            self._epoch += 1
        self._holder = holder
        self._lease = Lease(self._epoch, now + ttl)
        return self._lease

    async def release(self, holder: str) -> None:
        """Give the lease back."""
        if self._holder == holder:
            self._lease, self._holder = None, ""

    async def open_runs(self) -> Sequence[RunId]:
        """Runs that are not final or still owe an action, oldest first."""
        return [
            run
            for run, row in self._rows.items()
            if not row.stored.state.summary.phase.final or row.owed or row.inbox
        ]

    async def load(self, run: RunId) -> StoredRun:
        """The run as last committed. Raises `KeyError` for one that was never created."""
        row = self._rows[run]
        return replace(
            row.stored,
            state=RunState(row.stored.state.summary, dict(row.nodes)),
            owed=tuple(row.owed.values()),
            inbox=tuple(sorted(row.inbox.items())),
        )

    async def inbox(self, run: RunId) -> Sequence[tuple[int, Observation]]:
        """Its messages that no commit has consumed."""
        return tuple(sorted(self._rows[run].inbox.items()))

    async def closure(self, digest: str) -> bytes:
        """A closure that some commit kept. Raises `KeyError` for one that none did."""
        return self._closures[digest]

    async def commit(self, commit: Commit, nearly: Callable[[], None] | None = None) -> Committed:
        """All or nothing."""
        if nearly is not None:
            nearly()
            await asyncio.sleep(0)  # as long as a disk takes, for who prepares something
        self.check(commit.epoch)
        row = self._rows[commit.run]
        if row.stored.version != commit.expect:
            raise Stale(
                f"{commit.run} is at version {row.stored.version}, {commit.expect} was expected"
            )
        row.nodes.update(commit.nodes)
        self._closures.update(commit.closures)
        self.literals.update(commit.literals)
        ended = commit.summary.phase.final and not row.stored.state.summary.phase.final
        version = commit.expect + 1
        row.stored = replace(row.stored, version=version, state=RunState(commit.summary))
        row.log += commit.log
        row.events += commit.events
        self._settle(row, commit.settled)
        for message in commit.consumed:
            row.inbox.pop(message, None)
        owed = []
        for action in commit.owed:
            self._ids += 1
            owed.append(OwedAction(self._ids, action))
        row.owed.update((item.id, item) for item in owed)
        self.commits += 1
        if ended and row.parent is not None:
            self._tell_parent(row.parent, commit.summary)
        return Committed(version, tuple(owed))

    async def settle(self, run: RunId, settled: Sequence[int], epoch: int) -> None:
        """Mark owed actions as done."""
        self.check(epoch)
        self._settle(self._rows[run], settled)

    def arrivals(self) -> AsyncIterator[RunId]:
        """Runs with new durable messages from now on."""
        queue: asyncio.Queue[RunId] = asyncio.Queue()
        self._listeners.append(queue)
        return _taken(queue)

    def _tell_parent(self, parent: AttemptId, summary: RunSummary) -> None:
        code = 0 if summary.phase is RunPhase.SUCCEEDED else 1
        self.post(parent.run, AttemptEnded(parent.path, parent.attempt, Exit(code=code)))

    def check(self, epoch: int) -> None:
        """Whether who has, or had, the lease at this epoch may write. Raises `Fenced` or `StoreFull`."""
        if epoch != self._epoch:
            raise Fenced(f"epoch {epoch} is over, {self._epoch} writes now")
        if self.full:
            raise StoreFull("no space left for the database")

    def _settle(self, row: _Row, settled: Sequence[int]) -> None:
        for owed in settled:
            row.owed.pop(owed, None)


async def _taken(queue: asyncio.Queue[RunId]) -> AsyncIterator[RunId]:
    while True:
        yield await queue.get()
