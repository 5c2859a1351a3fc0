"""Every port in memory: for trying the engine without a world, and for tests that replay one by hand.

They keep each port's promises (`tests/ports` says so) and are as deterministic as the code that uses them: no
threads, no clock of their own, no randomness.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from flyte_jupyter.engine.core.observations import Exit, Observation
from flyte_jupyter.engine.core.state import NodeState, RunState, RunSummary
from flyte_jupyter.engine.ports import (
    Accepted,
    AttemptNews,
    AttemptSpec,
    BlobFailure,
    BlobNotFound,
    CachedOutputs,
    CacheKey,
    Commit,
    Committed,
    Fenced,
    Lease,
    Listing,
    LogSlice,
    OwedAction,
    Rejected,
    RunEvent,
    Stale,
    StoredRun,
    StoreFull,
)
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


class ManualClock:
    """Time that moves only when told to."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._now = start
        self._gap = timedelta(0)
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The time, in UTC."""
        return self._now

    def gap(self) -> timedelta:
        """What `stand_still` added since this was last asked."""
        gap, self._gap = self._gap, timedelta(0)
        return gap

    async def sleep_until(self, when: datetime) -> None:
        """Return once the clock has been moved to `when`, or at once if it has passed."""
        if when <= self._now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((when, woken))
        await woken

    def advance(self, by: timedelta) -> None:
        """Move on and wake whoever slept until then."""
        self._now += by
        due = [woken for when, woken in self._sleepers if when <= self._now]
        self._sleepers = [(when, woken) for when, woken in self._sleepers if when > self._now]
        for woken in due:
            if not woken.done():
                woken.set_result(None)

    def stand_still(self, during: timedelta) -> None:
        """As if the machine had been suspended that long."""
        self._gap += during
        self.advance(during)


class MemoryBlobs:
    """Blobs in a dictionary. Set `full` to have every write fail for want of space."""

    def __init__(self, root: str = "memory://blobs") -> None:
        self.root = root
        self.content: dict[str, bytes] = {}
        self.full = False

    async def get(self, uri: str) -> bytes:
        """The whole content."""
        try:
            return self.content[self._key(uri)]
        except KeyError:
            raise BlobNotFound(f"there is nothing at {uri}") from None

    async def put(self, uri: str, data: bytes) -> None:
        """Keep it."""
        if self.full:
            raise BlobFailure(f"cannot write {uri}: no space left", no_space=True)
        self.content[self._key(uri)] = bytes(data)

    async def exists(self, uri: str) -> bool:
        """Whether there is content at this URI."""
        return self._key(uri) in self.content

    async def copy(self, source: str, target: str) -> None:
        """Put the content of `source` at `target`."""
        await self.put(target, await self.get(source))

    def _key(self, uri: str) -> str:
        scheme, _, rest = uri.partition("://")
        normal = f"{scheme}://{posixpath.normpath(rest)}"
        if not normal.startswith(f"{self.root}/"):
            raise BlobFailure(f"{uri} is not below {self.root}: it is not touched")
        return normal


class MemoryCatalog:
    """A catalog in a dictionary. Set `broken` to have it fail."""

    def __init__(self) -> None:
        self.content: dict[CacheKey, CachedOutputs] = {}
        self.broken = False

    async def lookup(self, key: CacheKey) -> CachedOutputs | None:
        """What is remembered under this key."""
        if self.broken:
            raise ConnectionError("the catalog is down")
        return self.content.get(key)

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""
        if self.broken:
            raise ConnectionError("the catalog is down")
        self.content[key] = value


Work = Callable[[AttemptSpec], Awaitable[Exit]]


class MemoryExecutor:
    """Attempts as entries in a table, which `begin` and `finish` move on; with `work` alone they do so by themselves.

    It outlives engines: make a new engine over the same executor to play a crash.
    """

    def __init__(self, work: Work, *, by_itself: bool = True) -> None:
        self._work = work
        self._by_itself = by_itself
        self._news: Callable[[AttemptNews], None] | None = None
        self._clock: Callable[[], datetime] = lambda: EPOCH
        self._tasks: set[asyncio.Task[None]] = set()
        self.queued: dict[AttemptId, AttemptSpec] = {}
        self.running: dict[AttemptId, AttemptSpec] = {}
        self.ended: dict[AttemptId, Exit] = {}
        self.created: list[AttemptId] = []
        """Every attempt that was ever created, in order, re-creations included."""
        self.refuse: dict[AttemptId, Rejected] = {}
        """Attempts that are turned away, and why."""

    def follow(self, clock: Callable[[], datetime]) -> None:
        """Say when listings are from."""
        self._clock = clock

    async def start(self, news: Callable[[AttemptNews], None]) -> None:
        """Begin to tell news."""
        self._news = news

    async def stop(self) -> None:
        """Tell nothing more; attempts go on."""
        self._news = None

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Create the attempt if it is absent."""
        if spec.id in self.refuse:
            return self.refuse[spec.id]
        if spec.id not in self.queued | self.running and spec.id not in self.ended:
            self.queued[spec.id] = spec
            self.created.append(spec.id)
            if self._by_itself:
                task = asyncio.get_running_loop().create_task(self._live(spec.id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return Accepted()

    async def kill(self, attempt: AttemptId) -> None:
        """End and forget it."""
        self.queued.pop(attempt, None)
        self.running.pop(attempt, None)
        self.ended.pop(attempt, None)

    async def reap(self, attempt: AttemptId) -> None:
        """Forget an ended attempt."""
        self.ended.pop(attempt, None)

    async def listing(self) -> Listing:
        """What exists."""
        return Listing(
            self._clock(), frozenset(self.queued), frozenset(self.running), dict(self.ended)
        )

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """Attempts here write no log: nothing, of at most `limit` bytes."""
        assert limit >= 0
        return LogSlice(b"", offset, attempt not in self.queued and attempt not in self.running)

    def begin(self, attempt: AttemptId) -> None:
        """Give a queued attempt its slot."""
        self.running[attempt] = self.queued.pop(attempt)
        self._tell(AttemptNews(attempt, None))

    async def finish(self, attempt: AttemptId) -> None:
        """Have a running attempt do its work and end."""
        spec = self.running[attempt]
        how = await self._work(spec)
        if self.running.pop(attempt, None) is not None:
            self.end(attempt, how)

    def end(self, attempt: AttemptId, how: Exit) -> None:
        """End an attempt in any phase, without its work being done."""
        self.queued.pop(attempt, None)
        self.running.pop(attempt, None)
        self.ended[attempt] = how
        self._tell(AttemptNews(attempt, how))

    def vanish(self, attempt: AttemptId) -> None:
        """Lose an attempt without a trace, as when a machine is gone."""
        self.queued.pop(attempt, None)
        self.running.pop(attempt, None)

    async def _live(self, attempt: AttemptId) -> None:
        if attempt in self.queued:
            self.begin(attempt)
            await asyncio.sleep(0)
        if attempt in self.running:
            await self.finish(attempt)

    def _tell(self, news: AttemptNews) -> None:
        if self._news is not None:
            self._news(news)


@dataclass(slots=True)
class _Row:
    stored: StoredRun
    owed: dict[int, OwedAction] = field(default_factory=dict)
    inbox: dict[int, Observation] = field(default_factory=dict)
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


class MemoryRuns:
    """The engine's database in dictionaries. Set `full` to have every write fail for want of space."""

    def __init__(self) -> None:
        self._rows: dict[RunId, _Row] = {}
        self._ids = 0
        self._holder = ""
        self._lease: Lease | None = None
        self._epoch = 0
        self._listeners: list[asyncio.Queue[RunId]] = []
        self.full = False
        self.commits = 0

    # -- what admin does --

    def create(self, new: NewRun, *messages: Observation) -> None:
        """Create a run with its first durable messages (as a rule `Started`)."""
        state = RunState(new.summary)
        stored = StoredRun(new.id, 0, new.closure, new.plan, state, (), (), new.inputs, new.env)
        self._rows[new.id] = _Row(stored)
        for message in messages:
            self.post(new.id, message)

    def post(self, run: RunId, message: Observation) -> int:
        """Leave a durable message for a run; returns its row id."""
        self._ids += 1
        self._rows[run].inbox[self._ids] = message
        for listener in self._listeners:
            listener.put_nowait(run)
        return self._ids

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
            row.stored, owed=tuple(row.owed.values()), inbox=tuple(sorted(row.inbox.items()))
        )

    async def commit(self, commit: Commit) -> Committed:
        """All or nothing."""
        self._check(commit.epoch)
        row = self._rows[commit.run]
        if row.stored.version != commit.expect:
            raise Stale(
                f"{commit.run} is at version {row.stored.version}, {commit.expect} was expected"
            )
        nodes: dict[Path, NodeState] = {**row.stored.state.nodes, **commit.nodes}
        version = commit.expect + 1
        row.stored = replace(row.stored, version=version, state=RunState(commit.summary, nodes))
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
        return Committed(version, tuple(owed))

    async def settle(self, run: RunId, settled: Sequence[int], epoch: int) -> None:
        """Mark owed actions as done."""
        self._check(epoch)
        self._settle(self._rows[run], settled)

    def arrivals(self) -> AsyncIterator[RunId]:
        """Runs with new durable messages from now on."""
        queue: asyncio.Queue[RunId] = asyncio.Queue()
        self._listeners.append(queue)
        return _taken(queue)

    def _check(self, epoch: int) -> None:
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
