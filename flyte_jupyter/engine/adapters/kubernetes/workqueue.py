"""What is to be seen to, once however often it was asked for, at a bounded pace, and again when it failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)

_AT_ONCE = 4
_SPACING = 1.0
"""Seconds between two looks at the same subject; what changes meanwhile is seen to together."""
_CONFLICT = 409


class WorkQueue(Generic[K]):
    """Subjects, each seen to by one worker at a time and not more often than once a spacing."""

    def __init__(
        self, see_to: Callable[[K], Awaitable[None]], api: Api, spacing: float = _SPACING
    ) -> None:
        self._see_to = see_to
        self._api = api
        self._spacing = spacing
        self._queue: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._seen_at: dict[K, float] = {}
        self._backoffs: dict[K, Backoff] = {}

    def add(self, subject: K) -> None:
        """It is to be seen to."""
        if subject in self._waiting:
            return
        loop = asyncio.get_running_loop()
        wait = self._seen_at.get(subject, -self._spacing) + self._spacing - loop.time()
        self.add_later(subject, max(0.0, wait))

    def add_later(self, subject: K, seconds: float) -> None:
        """It is to be seen to then, unless it is to be sooner anyway."""
        if subject in self._waiting:
            return
        self._waiting.add(subject)
        if seconds <= 0:
            self._queue.put_nowait(subject)
        else:
            asyncio.get_running_loop().call_later(seconds, self._queue.put_nowait, subject)

    async def keep(self) -> None:
        """See to subjects, until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(_AT_ONCE):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            subject = await self._queue.get()
            self._waiting.discard(subject)
            self._remember(subject)
            try:
                await self._see_to(subject)
            except Refused as error:
                self._again(subject, error.wait, "" if error.status == _CONFLICT else str(error))
            except Unreachable as error:
                self._again(subject, None, str(error))
            except Exception:
                log.exception("%s could not be seen to", subject)
                self._again(subject, None, "")
            else:
                self._backoffs.pop(subject, None)

    def _remember(self, subject: K) -> None:
        now = asyncio.get_running_loop().time()
        self._seen_at[subject] = now
        if len(self._seen_at) > 10_000:  # noqa: PLR2004 - the old ones are due anyway
            old = now - self._spacing
            self._seen_at = {k: when for k, when in self._seen_at.items() if when > old}

    def _again(self, subject: K, asked: float | None, why: str) -> None:
        if why:
            log.warning("%s is seen to again later: %s", subject, why)
        backoff = self._backoffs.setdefault(subject, Backoff(self._api.pace, self._api.dice))
        self.add_later(subject, backoff.next(asked))
