"""Attempts that a quota has no room for: tried again when a pod has ended or left, and now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.leaving import PodStillThere
from flyte_jupyter.engine.adapters.kubernetes.making import StillLeaving
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl.ids import AttemptId

log = logging.getLogger(__name__)


class Room:
    """Queues of attempts by namespace, in the order of their coming. `attempt` tries one and says whether it is through."""

    def __init__(self, attempt: Callable[[AttemptSpec], Awaitable[bool]], api: Api) -> None:
        self._attempt = attempt
        self._backoff = Backoff(api.pace, api.dice)
        self._waiting: dict[AttemptId, tuple[AttemptSpec, str]] = {}
        self._look = asyncio.Event()

    def __contains__(self, attempt: AttemptId) -> bool:
        return attempt in self._waiting

    def attempts(self) -> set[AttemptId]:
        """All that wait."""
        return set(self._waiting)

    def queue(self, spec: AttemptSpec, namespace: str) -> None:
        """Let it wait for room in its namespace."""
        self._waiting[spec.id] = spec, namespace
        self._look.set()

    def drop(self, attempt: AttemptId) -> None:
        """It waits no more."""
        self._waiting.pop(attempt, None)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()

    def look(self) -> None:
        """There may be room."""
        if self._waiting:
            self._backoff.reset()
            self._look.set()

    async def keep(self) -> None:
        """Try those who wait, until cancelled."""
        while True:
            pause = self._backoff.next() if self._waiting else None
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            await self._try_all()

    async def _try_all(self) -> None:
        full: set[str] = set()
        for attempt, (spec, namespace) in list(self._waiting.items()):
            if namespace in full or attempt not in self._waiting:
                continue
            try:
                if not await self._attempt(spec):
                    full.add(namespace)
            except (Refused, Unreachable, StillLeaving, PodStillThere) as error:
                log.info("%s waits on: %s", attempt, error)
                full.add(namespace)
            except Exception:
                log.exception("%s waits on", attempt)
                full.add(namespace)
