"""Attempts on their way to a zygote, of which nothing has been sent."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from flyte_jupyter.engine.adapters.local.entries import Entry


class Beginnings:
    """The tasks that bring them there, which may be many for one that had to start over."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], Entry] = {}

    def add(self, entry: Entry, way: Coroutine[None, None, None]) -> None:
        """Go on with it beside everything else."""
        task = asyncio.get_running_loop().create_task(way)
        self._tasks[task] = entry
        task.add_done_callback(self._tasks.pop)

    async def abandon(self, entry: Entry) -> bool:
        """Give up an attempt that has not been sent, whatever it waits for. False when there is nothing to give up."""
        if entry.sent:
            return False
        return await self._cancel([task for task, whose in self._tasks.items() if whose is entry])

    async def stop(self) -> None:
        """Give up all."""
        await self._cancel(list(self._tasks))

    async def _cancel(self, tasks: list[asyncio.Task[None]]) -> bool:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return bool(tasks)
