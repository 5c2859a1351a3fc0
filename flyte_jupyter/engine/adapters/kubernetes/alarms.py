"""Being woken for many things with one sleeper."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

from flyte_jupyter.engine.ports import Clock

K = TypeVar("K", bound=Hashable)


class Alarms(Generic[K]):
    """For each subject the one moment at which `ring` is to hear of it."""

    def __init__(self, clock: Clock, ring: Callable[[K], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._when: dict[K, datetime] = {}
        self._heap: list[tuple[datetime, int, K]] = []
        self._order = count()
        self._sooner = asyncio.Event()

    def set(self, subject: K, when: datetime | None) -> None:
        """Ring for it then and at no other time; None: not at all."""
        if when is None:
            self._when.pop(subject, None)
        elif self._when.get(subject) != when:
            self._when[subject] = when
            heapq.heappush(self._heap, (when, next(self._order), subject))
            if self._heap[0][0] == when:
                self._sooner.set()

    async def keep(self) -> None:
        """Ring as the moments come, until cancelled."""
        while True:
            self._sooner.clear()
            self._ring_due()
            waits = [asyncio.create_task(self._sooner.wait())]
            if self._heap:
                sleep = self._clock.sleep_until(self._heap[0][0])
                waits.append(asyncio.ensure_future(sleep))  # type: ignore[arg-type]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

    def _ring_due(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            when, _, subject = heapq.heappop(self._heap)
            if self._when.get(subject) == when:
                del self._when[subject]
                self._ring(subject)
