"""Clocks: the system's, which never goes back and notices when it stood still."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

NOTICED = timedelta(seconds=5)
"""A pause of the whole process shorter than this is ordinary slowness, not a gap."""
_BEAT = 1.0
"""Seconds between two looks at the clocks."""
_LONGEST = NOTICED.total_seconds() + _BEAT
_NONE = timedelta(0)


class SystemClock:
    """UTC wall time that follows the system's clock, but never runs backwards.

    A gap is time in which this process did not run: a laptop that slept, a stopped process. While somebody
    sleeps on this clock it looks at the time every second; two looks far apart are a gap.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._shown = wall()
        self._shown_steady = steady()
        self._beat_wall = wall()
        self._beat_steady = steady()
        self._gap = _NONE
        self._sleepers = 0

    def now(self) -> datetime:
        """The time, in UTC; never earlier than it said before."""
        # When the system's clock is set back, ours goes on at its own pace until that one has caught up.
        steady = self._steady()
        self._shown = max(self._wall(), self._shown + steady - self._shown_steady)
        self._shown_steady = steady
        return datetime.fromtimestamp(self._shown, UTC)

    def gap(self) -> timedelta:
        """How long the process stood still since this was last asked; zero as a rule."""
        self._look()
        gap = self._gap
        if gap:
            self._gap = _NONE
        return gap

    async def sleep_until(self, when: datetime) -> None:
        """Return at `when`, or at once if it has passed; a step of the system's clock is noticed within a second."""
        self._join()
        try:
            while (left := (when - self.now()).total_seconds()) > 0:
                await asyncio.sleep(min(left, _BEAT))
                self._look()
        finally:
            self._sleepers -= 1

    def _join(self) -> None:
        # Nobody looked while nobody slept: that silence says nothing.
        if self._sleepers == 0:
            self._beat()
        self._sleepers += 1

    def _look(self) -> None:
        if self._sleepers == 0:
            return
        # A suspended machine stops the steady clock on Linux, a stopped process does not: the steady clock tells of
        # the one, the wall clock beside it of the other.
        steady, wall = self._steady(), self._wall()
        slept, stopped = steady - self._beat_steady, wall - self._beat_wall
        if slept > _LONGEST or stopped > _LONGEST:
            self._gap += timedelta(seconds=max(slept, stopped) - _BEAT)
        self._beat_steady, self._beat_wall = steady, wall

    def _beat(self) -> None:
        self._beat_wall, self._beat_steady = self._wall(), self._steady()
