"""Attempts that a quota has no room for: tried again when a pod has ended or left, and now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.leaving import PodStillThere
from flyte_jupyter.engine.adapters.kubernetes.making import StillLeaving
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.ports import AttemptSpec, passes
from flyte_jupyter.idl.ids import AttemptId

log = logging.getLogger(__name__)


_MOST_MISSES = 4
"""Attempts of a namespace that may find no room before the rest is left to the next round."""
_MOST_STRIKES = 10
"""What fails more often by a fault of our own is given up (as what is owed)."""


@dataclass(slots=True)
class _Trouble:
    backoff: Backoff
    strikes: int = 0
    until: float = 0.0
    """It is not tried before."""


class Room:
    """Queues of attempts by namespace, in the order of their coming.

    `attempt` tries one and says whether it is through; `give_up` ends one that failed so many times by a fault of our own.
    """

    def __init__(
        self,
        attempt: Callable[[AttemptSpec], Awaitable[bool]],
        give_up: Callable[[AttemptSpec, Exception, int], Awaitable[None]],
        api: Api,
    ) -> None:
        self._attempt = attempt
        self._give_up = give_up
        self._api = api
        self._backoff = Backoff(api.pace, api.dice)
        self._waiting: dict[AttemptId, tuple[AttemptSpec, str]] = {}
        self._troubles: dict[AttemptId, _Trouble] = {}
        self._last: dict[str, AttemptId] = {}
        """By namespace, which one was tried last in vain, apart from the oldest."""
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
        self._troubles.pop(attempt, None)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
        self._troubles.clear()
        self._last.clear()

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
        by_namespace: dict[str, list[AttemptSpec]] = {}
        for spec, namespace in self._waiting.values():
            by_namespace.setdefault(namespace, []).append(spec)
        self._last = {name: last for name, last in self._last.items() if name in by_namespace}
        for namespace, specs in by_namespace.items():
            await self._try_some(namespace, specs)

    async def _try_some(self, namespace: str, specs: Sequence[AttemptSpec]) -> None:
        """In the order of their coming, until one has no room: then others, which may be smaller, as far as they get in a round."""
        misses, order = 0, iter(specs)
        while (spec := next(order, None)) is not None:
            if spec.id not in self._waiting or self._troubled(spec.id):
                continue
            try:
                if await self._attempt(spec):
                    self._troubles.pop(spec.id, None)
                    continue
            except (StillLeaving, PodStillThere) as error:
                log.info("%s waits on: %s", spec.id, error)
            except Exception as error:
                if passes(error):
                    log.info("%s waits on: %s", spec.id, error)
                    return
                log.exception("%s waits on", spec.id)
                await self._struck(spec, error)
            misses += 1
            if misses == 1:
                order = iter(self._others(namespace, specs[specs.index(spec) + 1 :]))
            else:
                self._last[namespace] = spec.id
            if misses == _MOST_MISSES:
                return

    def _others(self, namespace: str, specs: Sequence[AttemptSpec]) -> Sequence[AttemptSpec]:
        """Beginning after the last one that had no room, so that in the end all have been tried."""
        ids = [spec.id for spec in specs]
        last = self._last.get(namespace)
        start = ids.index(last) + 1 if last in ids else 0
        return [*specs[start:], *specs[:start]]

    def _troubled(self, attempt: AttemptId) -> bool:
        trouble = self._troubles.get(attempt)
        return trouble is not None and asyncio.get_running_loop().time() < trouble.until

    async def _struck(self, spec: AttemptSpec, error: Exception) -> None:
        """A fault of our own: what meets it again and again will never get through."""
        fresh = _Trouble(Backoff(self._api.pace, self._api.dice))
        trouble = self._troubles.setdefault(spec.id, fresh)
        trouble.strikes += 1
        trouble.until = asyncio.get_running_loop().time() + trouble.backoff.next()
        if trouble.strikes <= _MOST_STRIKES:
            return
        try:
            await self._give_up(spec, error, trouble.strikes)
        except Exception:
            log.exception("%s is not given up yet", spec.id)
