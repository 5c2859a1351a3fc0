"""The time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The only way the engine learns the time."""

    def now(self) -> datetime:
        """The time, in UTC; never earlier than it said before."""

    def gap(self) -> timedelta:
        """How long the clock stood still (sleep, SIGSTOP) since this was last asked; zero as a rule."""

    async def sleep_until(self, when: datetime) -> None:
        """Return at `when`, or at once if it has passed."""
