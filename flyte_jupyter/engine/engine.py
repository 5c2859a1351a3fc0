"""The engine's one public door: give it the ports, start it, and every committed execution runs to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from flyte_jupyter.engine.actor import RunActor, World
from flyte_jupyter.engine.answers import Answers, AnswerSettings
from flyte_jupyter.engine.core.index import next_wake
from flyte_jupyter.engine.core.observations import (
    AttemptEnded,
    AttemptStarted,
    AttemptWaits,
    Exit,
    Observation,
    Tick,
)
from flyte_jupyter.engine.delivering import Deliveries
from flyte_jupyter.engine.lease import Tenure
from flyte_jupyter.engine.loop import Loop, LoopEvents, LoopSettings
from flyte_jupyter.engine.outbox import Outbox, Pace
from flyte_jupyter.engine.ports import (
    AttemptNews,
    Fenced,
    OwedAction,
    Ports,
)
from flyte_jupyter.engine.preparing import Preparations
from flyte_jupyter.engine.watch import Keeper, Timers, forgotten, news_from
from flyte_jupyter.idl.ids import AttemptId, RunId

__all__ = ["Engine", "EngineSettings", "EngineState", "EngineStatus", "Ports"]

log = logging.getLogger(__name__)

_PAUSE = 1.0
"""Seconds before listening again when listening failed."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How an engine works. The defaults suit one person's machine."""

    holder: str
    """Who takes the lease: unique to this process."""
    lease: timedelta = timedelta(seconds=15)
    look: timedelta = timedelta(seconds=5)
    """How often one that stands by looks whether the lease can be had."""
    take_over: bool = False
    """Take the lease at the start whoever holds it: for who knows that no other engine is alive (it has the data's lock)."""
    survey: timedelta = timedelta(seconds=30)
    """How often the executor is asked for what it really has: a safety net behind its news."""
    loop: LoopSettings = field(default_factory=LoopSettings)
    pace: Pace = field(default_factory=Pace)
    answers: AnswerSettings = field(default_factory=AnswerSettings)


class EngineState(StrEnum):
    """Whether this engine decides."""

    STOPPED = "stopped"
    STANDBY = "standby"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How it goes. `troubles` says per run what stands in the way right now."""

    state: EngineState
    epoch: int
    runs: int
    undelivered: int
    notice: str
    troubles: dict[RunId, str]


class Engine:
    """Reconciles every open run, alone: without the lease it stands by until it gets it."""

    def __init__(self, ports: Ports, settings: EngineSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._tenure = Tenure(
            ports.runs, ports.clock, settings.holder, settings.lease, settings.look
        )
        self._reign: _Reign | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._notice = ""

    async def start(self) -> None:
        """Take the lease and go on where the last engine stopped, or stand by; returns once that is decided."""
        if not await self._tenure.take(force=self._settings.take_over):
            self._notice = "another engine holds the database: standing by"
        else:
            try:
                await self._begin()
            except Fenced:
                await self._lose()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop deciding. Attempts go on running; the next engine takes over from the store."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end()
        await self._tenure.release()

    def notice(self, run: RunId) -> None:
        """There is a durable message for this run. `Runs.arrivals` says so too: this is only sooner."""
        if self._reign is not None:
            self._reign.loop.notice(run)

    def status(self) -> EngineStatus:
        """How it goes, without waiting for anything."""
        reign = self._reign
        if reign is None:
            state = EngineState.STOPPED if self._keeper is None else EngineState.STANDBY
            return EngineStatus(state, 0, 0, 0, self._notice, {})
        return EngineStatus(
            EngineState.ACTIVE,
            self._tenure.epoch,
            sum(1 for _ in reign.loop.actors()),
            len(reign.outbox),
            self._notice,
            dict(reign.troubles),
        )

    async def _keep(self) -> None:
        """Hold the lease while it can be held; take it again whenever it is free."""
        while True:
            await self._ports.clock.sleep_until(self._tenure.renew_at)
            try:
                if self._reign is None:
                    if await self._tenure.take():
                        await self._begin()
                elif self._reign.fenced.is_set():
                    await self._lose()
                else:
                    await self._tenure.renew()
            except Fenced:
                await self._lose()
            except Exception:
                log.exception("this engine could not begin, or renew its lease: trying again")

    async def _begin(self) -> None:
        self._notice = ""
        reign = _Reign(self._ports, self._settings, self._tenure)
        self._reign = reign
        try:
            await self._renew_during(reign.begin())
        except BaseException:
            # Kept by one that cannot decide, it would keep those from deciding who can.
            try:
                await self._end()
            finally:
                await self._tenure.release()
            raise

    async def _renew_during(self, beginning: Coroutine[Any, Any, None]) -> None:
        """Many runs to load, or a cluster that is away, may take longer than the lease lasts. Raises `Fenced`."""
        work, renewing = asyncio.create_task(beginning), asyncio.create_task(self._renew_for_ever())
        try:
            await asyncio.wait((work, renewing), return_when=asyncio.FIRST_COMPLETED)
            await (renewing if renewing.done() else work)
        finally:
            work.cancel()
            renewing.cancel()
            await asyncio.gather(work, renewing, return_exceptions=True)

    async def _renew_for_ever(self) -> None:
        while True:
            await self._ports.clock.sleep_until(self._tenure.renew_at)
            try:
                await self._tenure.renew()
            except Fenced:
                raise
            except Exception:
                log.exception("the lease could not be renewed, trying again")

    async def _lose(self) -> None:
        self._notice = "another engine has taken over: standing by"
        log.warning("%s", self._notice)
        await self._end()

    async def _end(self) -> None:
        reign, self._reign = self._reign, None
        if reign is not None:
            await reign.end()


class _Reign:
    """One period of holding the lease: fresh loop, fresh outbox, nothing carried over but the store."""

    def __init__(self, ports: Ports, settings: EngineSettings, tenure: Tenure) -> None:
        self._ports = ports
        self._survey_every = settings.survey
        self._tenure = tenure
        answers = Answers(ports, settings.answers)
        self._tasks: list[asyncio.Task[None]] = []
        self._strays: set[asyncio.Task[None]] = set()
        self.troubles: dict[RunId, str] = {}
        self.fenced = asyncio.Event()
        preparations = Preparations(ports.executor, answers)
        world = World(
            runs=ports.runs,
            answers=answers,
            clock=ports.clock,
            epoch=lambda: tenure.epoch,
            deliver=self._owe,
            preparing=preparations.of,
            ready=self._ready,
        )
        events = LoopEvents(self.fenced.set, self._turned, self.troubles.__setitem__)
        self.loop = Loop(world, events, settings.loop)
        self._deliveries = Deliveries(ports, world, self.loop, preparations.spec)
        self.outbox = Outbox(self._deliver, self.loop.settle, settings.pace)
        self._timers = Timers(ports.clock, self._tick)
        self._keeper = Keeper(world, settings.answers.cache.heartbeat)

    async def begin(self) -> None:
        """Load every open run, adopt what the executor has, and only then let effects out."""
        arrivals = self._ports.runs.arrivals()
        for run in await self._ports.runs.open_runs():
            await self.loop.open(run)
        await self._ports.executor.start(self._news, self._ready)
        await self._survey()
        self.outbox.release()
        self._start(self._hear(arrivals))
        self._start(self._timers.keep())
        self._start(self._keeper.keep(self.loop.actors))
        self._start(self._survey_for_ever())
        self._start(self._watch_fence())

    async def end(self) -> None:
        """Stop everything of this period."""
        for task in [*self._tasks, *self._strays]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._strays, return_exceptions=True)
        await self.loop.close()
        await self.outbox.close()
        await self._ports.executor.stop()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    # -- what comes in --

    async def _hear(self, arrivals: AsyncIterator[RunId]) -> None:
        missed: Sequence[RunId] = ()
        while True:
            try:
                for run in missed:
                    self.loop.notice(run)
                async for run in arrivals:
                    self.loop.notice(run)
            except Exception:
                log.exception("messages for runs are not heard of, listening again")
            await asyncio.sleep(_PAUSE)
            arrivals, missed = self._ports.runs.arrivals(), await self._missed()

    async def _missed(self) -> Sequence[RunId]:
        """Whatever may have had a message while nobody listened."""
        try:
            return await self._ports.runs.open_runs()
        except Exception:
            log.exception("open runs cannot be listed")
            return ()

    def _news(self, news: AttemptNews) -> None:
        attempt, waits = news.id, news.waits
        path, number = attempt.path, attempt.attempt
        seen: Observation
        if news.how is not None:
            seen = AttemptEnded(path, number, news.how)
        elif waits is not None:
            seen = AttemptWaits(path, number, waits.stage, waits.reason)
        else:
            seen = AttemptStarted(path, number)
        if not self.loop.tell(attempt.run, seen) and attempt.run not in self.loop:
            self._remove_stray(attempt, news.how)

    def _tick(self, run: RunId) -> None:
        self.loop.tell(run, Tick())

    async def _survey_for_ever(self) -> None:
        clock = self._ports.clock
        while True:
            await clock.sleep_until(clock.now() + self._survey_every)
            try:
                await self._survey()
            except Fenced:
                return
            except Exception:
                log.exception("the executor could not be asked for what it has")

    async def _survey(self) -> None:
        """Compare what the executor has with what the runs count on."""
        listing = await self._ports.executor.listing()
        if again := list(forgotten(listing, self.loop.actors())):
            left = await self._deliveries.launch_again(again)
            listing = await self._ports.executor.listing()
            # They wait as before; that no executor has them yet is no news of anybody else.
            listing = replace(listing, queued=listing.queued | left)
        for run, seen in news_from(listing, self.loop.actors(), self.outbox.is_ending):
            self.loop.tell(run, seen)
        for attempt in sorted(listing.all):
            if attempt.run not in self.loop:
                self._remove_stray(attempt, listing.ended.get(attempt))

    def _remove_stray(self, attempt: AttemptId, how: Exit | None) -> None:
        """End what belongs to no open run, for nobody else would ever ask for it; `how` it ended, if it did."""
        task = asyncio.create_task(self._end_stray(attempt, how))
        self._strays.add(task)
        task.add_done_callback(self._strays.discard)

    async def _end_stray(self, attempt: AttemptId, how: Exit | None) -> None:
        try:
            # Who has stood still may see attempts of runs that another engine has begun meanwhile.
            await self._ready()
        except Fenced:
            return
        if attempt.run in self.loop:
            return
        executor = self._ports.executor
        if how is None:
            log.warning("%s belongs to no open run: killed", attempt)
            await executor.kill(attempt)
        else:
            await executor.reap(attempt)

    # -- what goes out --

    async def _deliver(self, run: RunId, owed: OwedAction) -> None:
        if self.fenced.is_set() or not self._tenure.is_sure():
            await self._ready()
        try:
            await self._deliveries.deliver(run, owed)
        except Fenced:
            self.fenced.set()
            raise

    def _owe(self, run: RunId, owed: Sequence[OwedAction]) -> None:
        self.outbox.add(run, owed)

    # -- around turns --

    async def _ready(self) -> None:
        if self.fenced.is_set():
            raise Fenced("this engine has lost its lease")
        try:
            await self._tenure.check(self._gap)
        except Fenced:
            self.fenced.set()
            raise

    def _gap(self, stood: timedelta) -> None:
        log.warning("the clock stood still for %s: deadlines are extended", stood)
        self.loop.tell_all_first(Tick(stood))

    def _turned(self, actor: RunActor) -> None:
        self.troubles.pop(actor.context.id, None)
        self._timers.set(actor.context.id, next_wake(actor.state))

    async def _watch_fence(self) -> None:
        await self.fenced.wait()
        log.error("another engine holds the lease: nothing more is written")
