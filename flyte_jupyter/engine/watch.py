"""What does not come by itself: the time, and what an executor really has."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from flyte_jupyter.engine.actor import RunActor, World
from flyte_jupyter.engine.answers.places import place_of
from flyte_jupyter.engine.core.observations import (
    AttemptEnded,
    AttemptStarted,
    Live,
    Observation,
)
from flyte_jupyter.engine.core.state import Launching, Queued, Running, Stage
from flyte_jupyter.engine.ports import Clock, Fenced, Listing
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

log = logging.getLogger(__name__)


_STALE = 64
"""So many alarms for each run may be out of date before they are thrown away."""
_BEATS = 64
"""How many reservations are extended at once: they share a write."""


class Timers:
    """Wakes each run at the moment it asked for last; `fire` hears which."""

    def __init__(self, clock: Clock, fire: Callable[[RunId], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._when: dict[RunId, datetime] = {}
        self._heap: list[tuple[datetime, RunId]] = []
        self._earlier = asyncio.Event()

    def set(self, run: RunId, when: datetime | None) -> None:
        """Wake this run then, and at no other time; None: never."""
        if when is None:
            self._when.pop(run, None)
        elif self._when.get(run) != when:
            self._when[run] = when
            if len(self._heap) > _STALE * len(self._when):
                # A run whose attempts have time limits sets its alarm anew with each that ends.
                self._heap = [(each, of) for of, each in self._when.items() if of != run]
                heapq.heapify(self._heap)
            heapq.heappush(self._heap, (when, run))
            if self._heap[0] == (when, run):
                self._earlier.set()

    async def keep(self) -> None:
        """Fire timers as their time comes, until cancelled."""
        while True:
            self._earlier.clear()
            self._fire_due()
            waits: list[asyncio.Task[object]] = [asyncio.create_task(self._earlier.wait())]
            if self._heap:
                waits.append(asyncio.create_task(_sleep(self._clock, self._heap[0][0])))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    def _fire_due(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            when, run = heapq.heappop(self._heap)
            if self._when.get(run) == when:
                del self._when[run]
                self._fire(run)


async def _sleep(clock: Clock, until: datetime) -> None:
    # Asked for here: a sleep asked for by who is cancelled before its task begins would never be awaited.
    await clock.sleep_until(until)


class Keeper:
    """Extends the reservations of every node that computes what others wait for, those of an earlier engine included."""

    def __init__(self, world: World, every: timedelta) -> None:
        self._cache = world.answers.cache
        self._clock = world.clock
        self._ready = world.ready
        self._every = every

    async def keep(self, actors: Callable[[], Iterable[RunActor]]) -> None:
        """A heartbeat for each of them, again and again until cancelled."""
        beat = self._clock.now()
        while True:
            # From beat to beat, however long the last one took.
            beat = max(beat + self._every, self._clock.now())
            await self._clock.sleep_until(beat)
            held = [(a, *held) for a in list(actors()) for held in a.held.items()]
            for start in range(0, len(held), _BEATS):
                await asyncio.gather(*(self._hold(*each) for each in held[start : start + _BEATS]))

    async def _hold(self, actor: RunActor, path: Path, digest: str) -> None:
        if path not in actor.held:
            return
        place = place_of(actor.context, path, actor.state.nodes)
        try:
            # Who has stood still would extend it for a run that another engine has ended meanwhile.
            await self._ready()
            await self._cache.hold(actor.context.id, place, digest)
        except Fenced:
            return
        except Exception as error:  # noqa: BLE001 - a catalog that fails never stops a run
            log.warning("%s: a reservation could not be extended: %r", actor.context.id, error)


def forgotten(listing: Listing, actors: Iterable[RunActor]) -> Iterator[AttemptId]:
    """Attempts that waited for room when they were last heard of, and that their executor has forgotten since: nothing of them had run."""
    known = listing.all
    for actor in actors:
        nodes, index = actor.state.nodes, actor.state.index
        for path in index.losable if index is not None else ():
            state = nodes[path]
            if not isinstance(state, Queued) or state.stage is not Stage.RESOURCES:
                continue
            attempt = AttemptId(actor.context.id, path, state.tries.attempt)
            if state.since < listing.as_of and attempt not in known:
                yield attempt


def news_from(
    listing: Listing, actors: Iterable[RunActor], is_ending: Callable[[AttemptId], bool]
) -> Iterator[tuple[RunId, Observation]]:
    """What a listing tells each run that the run does not know yet. What `is_ending` says of an attempt nobody need be told."""
    by_run: dict[RunId, set[AttemptId]] = defaultdict(set)
    for attempt in listing.all:
        by_run[attempt.run].add(attempt)
    for actor in actors:
        run = actor.context.id
        listed = by_run.get(run, set())
        for attempt in sorted(listed):
            if actor.claims(attempt.path, attempt.attempt):
                yield from _about(listing, attempt, actor)
            elif is_ending(attempt):
                listed.remove(attempt)
            elif attempt in listing.ended:
                # An end that nobody waits for is reaped like any other: its log is kept.
                listed.remove(attempt)
                yield run, AttemptEnded(attempt.path, attempt.attempt, listing.ended[attempt])
        if _differs(listing, listed, actor):
            attempts = frozenset((a.path, a.attempt) for a in listed)
            yield run, Live(attempts, listing.as_of)


def _about(
    listing: Listing, attempt: AttemptId, actor: RunActor
) -> Iterator[tuple[RunId, Observation]]:
    state = actor.state.nodes[attempt.path]
    if attempt in listing.ended:
        if isinstance(state, Launching | Queued | Running):
            how = listing.ended[attempt]
            yield attempt.run, AttemptEnded(attempt.path, attempt.attempt, how)
    elif attempt in listing.running and isinstance(state, Launching | Queued):
        yield attempt.run, AttemptStarted(attempt.path, attempt.attempt)


def _differs(listing: Listing, listed: set[AttemptId], actor: RunActor) -> bool:
    """Whether the run counts on an attempt that is not there, or one is there that it doesn't count on."""
    if any(not actor.claims(a.path, a.attempt) for a in listed):
        return True
    nodes, index = actor.state.nodes, actor.state.index
    for path in index.losable if index is not None else ():
        state = nodes[path]
        if isinstance(state, Queued | Running) and state.since < listing.as_of:
            attempt = AttemptId(actor.context.id, path, state.tries.attempt)
            if attempt not in listed:
                return True
    return False
