"""Time by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

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
