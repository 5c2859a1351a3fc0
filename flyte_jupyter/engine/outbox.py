"""Delivers committed effects to the world: at least once, in order per node, never before their commit."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from flyte_jupyter.engine.core.actions import Kill, Launch, Reap, WakeAt
from flyte_jupyter.engine.ports import OwedAction
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

log = logging.getLogger(__name__)

_LONGEST_STRETCH = 16
"""Deliveries after which a worker lets others have a turn."""

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
    owed: deque[OwedAction] = field(default_factory=deque)
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
        self._ready: deque[Lane] = deque()
        self._clearing: deque[Lane] = deque()
        """Ready too, for what nobody waits for: they are served when no other is ready."""
        self._workers: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._idle = False
        """Whether a worker has been called that has not begun yet."""
        self._held = True
        self._open = True

    def release(self) -> None:
        """Begin to deliver: until now everything was only put in order."""
        self._held = False
        self._staff()

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
        lanes: dict[Lane, _Queue] = {}
        for item in owed:
            action = item.action
            assert not isinstance(action, WakeAt), "a timer is no effect"
            lane = (run, action.path)
            queue = lanes[lane] = self._lanes.setdefault(lane, _Queue())
            if isinstance(action, Kill):
                cancelled += _cancel_launch(queue, action)
            queue.owed.append(item)
        for lane, queue in lanes.items():
            if not queue.busy and not queue.failures:
                self._make_ready(lane, queue)
        if cancelled:
            self._done(run, cancelled)
        self._staff()

    async def close(self) -> None:
        """Stop. What is not delivered stays owed in the store."""
        self._open = False
        for timer in self._timers:
            timer.cancel()
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def _staff(self) -> None:
        """Have one more worker if there is work for it. It calls for the next itself, should it have to wait for something."""
        if self._held or not self._open or not (self._ready or self._clearing):
            return
        if self._idle or len(self._workers) >= self._pace.workers:
            return
        self._idle = True
        worker = asyncio.get_running_loop().create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._relieve)

    def _relieve(self, worker: asyncio.Task[None]) -> None:
        """A worker has gone. What became ready while it was on its way out has not been told to anybody."""
        self._workers.discard(worker)
        self._staff()

    async def _work(self) -> None:
        self._idle = False
        loop = asyncio.get_running_loop()
        served = 0
        while self._open and (ready := self._ready or self._clearing):
            lane = ready.popleft()
            queue = self._lanes[lane]
            queue.ready, queue.busy = False, True
            if served % _LONGEST_STRETCH == 0:
                # Comes to pass only once this worker waits.
                loop.call_soon(self._staff)
            try:
                await self._serve(lane, queue)
            finally:
                queue.busy = False
            if not queue.owed:
                del self._lanes[lane]
            elif queue.failures:
                self._later(lane, queue)
            else:
                self._make_ready(lane, queue)
            served += 1
            if served % _LONGEST_STRETCH == 0:
                # Deliveries that never wait would otherwise keep everybody else waiting.
                await asyncio.sleep(0)

    async def _serve(self, lane: Lane, queue: _Queue) -> None:
        while queue.owed:
            item = queue.owed[0]
            try:
                await self._deliver(lane[0], item)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, it is still owed
                queue.failures += 1
                log.warning("%s: %s not delivered, trying again: %r", lane[0], item.action, error)
                return
            queue.failures = 0
            if queue.owed and queue.owed[0] is item:
                queue.owed.popleft()
            self._done(lane[0], (item.id,))

    def _make_ready(self, lane: Lane, queue: _Queue) -> None:
        if not queue.ready:
            queue.ready = True
            clears = all(isinstance(item.action, Reap) for item in queue.owed)
            (self._clearing if clears else self._ready).append(lane)

    def _later(self, lane: Lane, queue: _Queue) -> None:
        pace = self._pace
        wait = min(pace.first_wait * 2 ** min(queue.failures - 1, 20), pace.longest_wait)
        timer: asyncio.TimerHandle

        def again() -> None:
            self._timers.discard(timer)
            self._make_ready(lane, queue)
            self._staff()

        timer = asyncio.get_running_loop().call_later(wait, again)
        self._timers.add(timer)


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
