"""An event loop whose clock jumps from timer to timer, so that nothing ever waits and every run of a seed is the same."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 1, tzinfo=UTC)


class Jumping(selectors.SelectSelector):
    """Time goes on by as much as would have been waited."""

    now = 0.0

    def select(self, timeout=None):
        if timeout and timeout > 0:
            self.now += timeout
            timeout = 0
        return super().select(timeout)


class VirtualClock:
    """The loop's time as a clock."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def gap(self) -> timedelta:
        return timedelta(0)

    async def sleep_until(self, when: datetime) -> None:
        await asyncio.sleep(max(0.0, (when - self.now()).total_seconds()))


def virtually(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run it to its end in no time. Whatever it left is cancelled."""
    selector = Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    try:
        return loop.run_until_complete(main())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
