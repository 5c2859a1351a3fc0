"""Workers for what seldom has to wait: one task does it all, and only while that waits does another go on beside it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_LONGEST_STRETCH = 16
"""Pieces of work after which a worker lets others have a turn."""


class Staff(Generic[T]):
    """Has `do` done to whatever stands in the line, in up to `most` tasks at once; to what stands in `last` when nothing else is left.

    A task for each piece would cost more than most pieces do.
    """

    def __init__(
        self,
        do: Callable[[T], Awaitable[None]],
        most: int,
        line: deque[T],
        last: deque[T] | None = None,
    ) -> None:
        self._do = do
        self._most = most
        self._line = line
        self._last = deque() if last is None else last
        self._workers: list[asyncio.Task[None]] = []
        self._called = False
        """Whether there is a worker that has not begun yet."""
        self._over: asyncio.Future[None] | None = None
        """Done with the last piece, or with the first failure, for who waits for that."""
        self._open = True

    def call(self) -> None:
        """Have one more worker if there is work for it. It calls for the next itself, should it have to wait for something."""
        if self._called or not self._open or len(self._workers) >= self._most:
            return
        if self._line or self._last:
            self._called = True
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.append(worker)
            worker.add_done_callback(self._relieve)

    async def finish(self) -> None:
        """Work off what stands in the line. Raises the first failure, and nothing goes on after it."""
        self._over = asyncio.get_running_loop().create_future()
        self.call()
        try:
            if self._workers:
                await self._over
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop, whatever is being done."""
        self._open = False
        workers = self._workers[:]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def _relieve(self, worker: asyncio.Task[None]) -> None:
        self._workers.remove(worker)
        if self._over is None:
            # What came while it was on its way out has not been told to anybody.
            self.call()
            return
        failure = None if worker.cancelled() else worker.exception()
        if self._over.done():
            return
        if worker.cancelled():
            self._over.cancel()
        elif failure is not None:
            self._open = False
            self._over.set_exception(failure)
        elif not self._workers:
            self._over.set_result(None)

    async def _work(self) -> None:
        self._called = False
        loop, do, line, last = asyncio.get_running_loop(), self._do, self._line, self._last
        while line or last:
            # Comes to pass only once this worker waits.
            waits = loop.call_soon(self.call)
            for _ in range(_LONGEST_STRETCH):
                now = line or last
                if not now or not self._open:
                    return
                await do(now.popleft())
            # Work that never waits would otherwise keep everybody else waiting; that is no reason to have another worker.
            waits.cancel()
            await asyncio.sleep(0)
