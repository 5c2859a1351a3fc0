"""Delivers committed effects to the world: at least once, in order per node, never before their commit."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from flyte_jupyter.engine.core.actions import Kill, Launch, Reap, WakeAt
from flyte_jupyter.engine.ports import OwedAction
from flyte_jupyter.engine.staff import Staff
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

log = logging.getLogger(__name__)

Lane = tuple[RunId, Path]
"""What is owed to one node of one run is delivered one after the other."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How the outbox works: how many deliveries at once, and how long it waits after a failed one (seconds)."""

    workers: int = 32
    first_wait: float = 0.05
    longest_wait: float = 5.0


@dataclass(slots=True)
class _Queue:
    lane: Lane
    owed: deque[OwedAction]
    failures: int = 0
    busy: bool = False
    ready: bool = False
    """Whether its lane stands among those that a worker may take: once at most, or two would serve one node."""


class Outbox:
    """One per engine. `deliver` does one effect; `done` hears which owed actions need no more doing."""

    def __init__(
        self,
        deliver: Callable[[RunId, OwedAction], Awaitable[None]],
        done: Callable[[RunId, Sequence[int]], None],
        pace: Pace | None = None,
    ) -> None:
        self._deliver = deliver
        self._done = done
        self._pace = pace or Pace()
        self._lanes: dict[Lane, _Queue] = {}
        self._ready: deque[_Queue] = deque()
        self._clearing: deque[_Queue] = deque()
        """Ready too, for what nobody waits for: they are served when no other is ready."""
        self._staff = Staff(self._serve, self._pace.workers, self._ready, self._clearing)
        self._timers: set[asyncio.TimerHandle] = set()
        self._untold: dict[RunId, list[int]] = {}
        """What is done, by run: said once a worker waits, of all that was done by then."""
        self._held = True

    def release(self) -> None:
        """Begin to deliver: until now everything was only put in order."""
        self._held = False
        self._staff.call()

    def __len__(self) -> int:
        """How many effects wait or are under way."""
        return sum(len(queue.owed) for queue in self._lanes.values())

    def is_ending(self, attempt: AttemptId) -> bool:
        """Whether it is about to be killed or reaped."""
        queue = self._lanes.get((attempt.run, attempt.path))
        return queue is not None and any(
            isinstance(item.action, Kill | Reap) and item.action.attempt == attempt.attempt
            for item in queue.owed
        )

    def add(self, run: RunId, owed: Sequence[OwedAction]) -> None:
        """Deliver these, after what is owed to the same nodes already."""
        cancelled: list[int] = []
        more: list[_Queue] = []
        for item in owed:
            action = item.action
            assert not isinstance(action, WakeAt), "a timer is no effect"
            lane = (run, action.path)
            queue = self._lanes.get(lane)
            if queue is None:
                queue = self._lanes[lane] = _Queue(lane, deque((item,)))
            else:
                if isinstance(action, Kill):
                    cancelled += _cancel_launch(queue, action)
                queue.owed.append(item)
            more.append(queue)
        for queue in more:
            if not queue.busy and not queue.failures:
                self._make_ready(queue)
        if cancelled:
            self._done(run, cancelled)
        if not self._held:
            self._staff.call()

    async def close(self) -> None:
        """Stop. What is not delivered stays owed in the store."""
        for timer in self._timers:
            timer.cancel()
        await self._staff.close()

    async def _serve(self, queue: _Queue) -> None:
        run = queue.lane[0]
        queue.ready, queue.busy = False, True
        try:
            while queue.owed:
                item = queue.owed[0]
                try:
                    await self._deliver(run, item)
                except Exception as error:  # noqa: BLE001 - whatever went wrong, it is still owed
                    log.warning("%s: %s not delivered, trying again: %r", run, item.action, error)
                    self._later(queue)
                    return
                queue.failures = 0
                queue.owed.popleft()
                self._note_done(run, item.id)
            del self._lanes[queue.lane]
        finally:
            queue.busy = False

    def _note_done(self, run: RunId, number: int) -> None:
        # Later than what came of it was told, never sooner: settled without that, it would not be done again after a crash.
        if not self._untold:
            asyncio.get_running_loop().call_soon(self._tell_done)
        self._untold.setdefault(run, []).append(number)

    def _tell_done(self) -> None:
        untold, self._untold = self._untold, {}
        for run, ids in untold.items():
            self._done(run, ids)

    def _make_ready(self, queue: _Queue) -> None:
        if not queue.ready:
            queue.ready = True
            (self._clearing if _only_clears(queue) else self._ready).append(queue)

    def _later(self, queue: _Queue) -> None:
        queue.failures += 1
        pace = self._pace
        wait = min(pace.first_wait * 2 ** min(queue.failures - 1, 20), pace.longest_wait)
        timer: asyncio.TimerHandle

        def again() -> None:
            self._timers.discard(timer)
            self._make_ready(queue)
            self._staff.call()

        timer = asyncio.get_running_loop().call_later(wait, again)
        self._timers.add(timer)


def _only_clears(queue: _Queue) -> bool:
    for item in queue.owed:  # noqa: SIM110 - asked of every effect, where a generator costs more than the answer
        if not isinstance(item.action, Reap):
            return False
    return True


def _cancel_launch(queue: _Queue, kill: Kill) -> list[int]:
    """Take the launch of the same attempt out of the queue, unless it is being delivered right now."""
    under_way = queue.owed[0] if queue.busy and queue.owed else None
    gone = [
        item
        for item in queue.owed
        if isinstance(item.action, Launch)
        and item.action.attempt == kill.attempt
        and item is not under_way
    ]
    for item in gone:
        queue.owed.remove(item)
    return [item.id for item in gone]
