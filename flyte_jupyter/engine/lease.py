"""The right to write: taken, renewed in time, and taken again after the clock has stood still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from flyte_jupyter.engine.ports import Clock, Fenced, Lease, Runs


class Tenure:
    """One engine's hold on the database. `epoch` is 0 while it has none."""

    def __init__(
        self, runs: Runs, clock: Clock, holder: str, ttl: timedelta, look: timedelta
    ) -> None:
        self._runs = runs
        self._clock = clock
        self._holder = holder
        self._ttl = ttl
        self._look = look
        self._lease: Lease | None = None
        self._stood = timedelta(0)
        """For how long the clock stood still that nobody has been told of yet."""
        self._checking = asyncio.Lock()
        self._sure = False
        """Whether all was well when somebody looked, and everybody who has done anything since has not waited."""

    @property
    def epoch(self) -> int:
        """The fencing epoch that every write carries."""
        return self._lease.epoch if self._lease is not None else 0

    @property
    def renew_at(self) -> datetime:
        """When to renew: well before it expires. Without it, when to look again whether it can be had."""
        return self._clock.now() + (self._ttl / 3 if self._lease is not None else self._look)

    async def take(self, *, force: bool = False) -> bool:
        """Try to take the lease; False while another holder's is good, unless it is taken by `force`."""
        now = self._clock.now()
        lease = await self._runs.acquire(self._holder, self._ttl, now, force=force)
        self._lease = lease
        return lease is not None

    async def renew(self) -> None:
        """Renew it. Raises `Fenced` when somebody else has, or had, it."""
        before = self.epoch
        lease = await self._runs.acquire(self._holder, self._ttl, self._clock.now())
        if lease is None or lease.epoch != before:
            # Whoever has taken over extends the deadlines; told later, it would be added to those.
            self._stood = timedelta(0)
            raise Fenced(f"another engine has taken over from {self._holder}")
        self._lease = lease

    def is_sure(self) -> bool:
        """Whether `check` need not be asked: it found all well, and nobody has waited since, nor has the clock stood still.

        What the check keeps from happening is that something is done after another engine has taken over. Between two waits only
        milliseconds pass, and the lease is renewed many seconds before it runs out; so its end is looked at once for all that is
        done there. But a process can be stopped, and a disk can hang, at any moment: whether it stood still is asked each time.
        """
        if self._sure and (gap := self._clock.gap()):
            self._stood += gap
            self._sure = False
        return self._sure

    async def check(self, gap: Callable[[timedelta], None]) -> None:
        """Renew first if the clock stood still, or the lease has run out; `gap` hears for how long the clock stood.

        Everybody who wants to write waits here meanwhile. Raises `Fenced`.
        """
        if not self._checking.locked():
            self._stood += self._clock.gap()
            if not self._stood and not self._expired:
                self._trust()
                return  # every turn asks
        self._sure = False
        async with self._checking:
            # The clock tells it once; the lease may have to be asked for more often.
            self._stood += self._clock.gap()
            if self._stood or self._expired:
                await self.renew()
            if self._stood:
                gap(self._stood)
                self._stood = timedelta(0)

    def _trust(self) -> None:
        if not self._sure:
            self._sure = True
            # Comes to pass once this task waits.
            asyncio.get_running_loop().call_soon(self._doubt)

    def _doubt(self) -> None:
        self._sure = False

    @property
    def _expired(self) -> bool:
        return self._lease is not None and self._clock.now() >= self._lease.expires

    async def release(self) -> None:
        """Give it back so that the next engine need not wait for its end."""
        if self._lease is not None:
            self._lease = None
            await self._runs.release(self._holder)
