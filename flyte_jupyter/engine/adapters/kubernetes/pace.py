"""Keeping to a pace: one gate for all writes to an API server, and pauses that grow."""

from __future__ import annotations

import asyncio
import random

from flyte_jupyter.engine.adapters.kubernetes.settings import PaceSettings

_NOTHING = 1e-6
"""What sums of fractions may miss of a whole token."""


class Backoff:
    """Pauses that double from the first to the longest, each shortened at random so that nobody comes back together."""

    def __init__(self, settings: PaceSettings, dice: random.Random) -> None:
        self._settings = settings
        self._dice = dice
        self._failures = 0

    def reset(self) -> None:
        """It went well: begin with the first pause again."""
        self._failures = 0

    def next(self, asked: float | None = None) -> float:
        """Seconds to wait now: at least as long as the server `asked`."""
        settings = self._settings
        wait = settings.first_wait * 2.0 ** min(self._failures, 20)
        self._failures += 1
        own = min(wait, settings.longest_wait) * self._dice.uniform(0.5, 1.0)
        if asked is None:
            return own
        return asked + min(own, 1.0)


class Gate:
    """A token bucket: `enter` returns when a write may go out. Closed by `hold` after the server was too busy."""

    def __init__(self, settings: PaceSettings, dice: random.Random) -> None:
        self._settings = settings
        self._backoff = Backoff(settings, dice)
        self._tokens = float(settings.burst)
        self._counted_at = 0.0
        self._closed_until = 0.0
        self._turn = asyncio.Lock()

    async def enter(self) -> None:
        """Wait for a place. Places are given in the order of asking."""
        async with self._turn:
            while (wait := self._wait()) > 0:  # noqa: ASYNC110 - it waits for a time, which can move
                await asyncio.sleep(wait)
            self._tokens -= 1

    def hold(self, asked: float | None) -> None:
        """The server turned a request away: let none go out for as long as it asked, or for a growing pause.

        What has gathered meanwhile goes out evenly, not at once.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._closed_until:  # requests that were under way together count once
            self._closed_until = now + self._backoff.next(asked)
        elif asked is not None:
            self._closed_until = max(self._closed_until, now + asked)

    def passed(self) -> None:
        """A request was served."""
        self._backoff.reset()

    def _wait(self) -> float:
        now, settings = asyncio.get_running_loop().time(), self._settings
        if now < self._closed_until:
            self._tokens, self._counted_at = 1.0, self._closed_until
            return self._closed_until - now
        gained = (now - self._counted_at) * settings.qps
        self._tokens = min(self._tokens + gained, float(max(settings.burst, 1)))
        self._counted_at = now
        missing = 1.0 - self._tokens
        return missing / settings.qps if missing > _NOTHING else 0.0
