"""Attempts in a table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from flyte_jupyter.engine.adapters.memory.clock import EPOCH
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.ports import (
    Accepted,
    AttemptNews,
    AttemptSpec,
    Listing,
    LogSlice,
    Ready,
    Rejected,
    Waits,
    unrivalled,
)
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId

Work = Callable[[AttemptSpec], Awaitable[Exit]]


class MemoryExecutor:
    """Attempts as entries in a table, which `begin` and `finish` move on; with `work` alone they do so by themselves.

    It outlives engines: make a new engine over the same executor to play a crash.
    """

    def __init__(self, work: Work, *, by_itself: bool = True, handed: bool = False) -> None:
        self._work = work
        self._handed = handed
        self._by_itself = by_itself
        self._news: Callable[[AttemptNews], None] | None = None
        self._clock: Callable[[], datetime] = lambda: EPOCH
        self._tasks: set[asyncio.Task[None]] = set()
        self.queued: dict[AttemptId, AttemptSpec] = {}
        self.running: dict[AttemptId, AttemptSpec] = {}
        self.ended: dict[AttemptId, Exit] = {}
        self.created: list[AttemptId] = []
        """Every attempt that was ever created, in order, re-creations included."""
        self.prepared: list[AttemptSpec] = []
        """Whatever might have been launched."""
        self.refuse: dict[AttemptId, Rejected] = {}
        """Attempts that are turned away, and why."""

    def follow(self, clock: Callable[[], datetime]) -> None:
        """Say when listings are from."""
        self._clock = clock

    async def start(
        self,
        news: Callable[[AttemptNews], None],
        ready: Ready = unrivalled,  # noqa: ARG002 - it does nothing by itself
    ) -> None:
        """Begin to tell news."""
        self._news = news

    async def stop(self) -> None:
        """Tell nothing more; attempts go on."""
        self._news = None

    def carries(self, template: core.TaskTemplate) -> bool:  # noqa: ARG002 - all alike
        """Whether its work is handed inputs."""
        return self._handed

    def prepare(self, spec: AttemptSpec) -> bool:
        """Note it: nothing begins."""
        self.prepared.append(spec)
        return True

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

    def hold(self, attempt: AttemptId, waits: Waits) -> None:
        """Tell what a queued attempt waits for."""
        self._tell(AttemptNews(attempt, None, waits))

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
