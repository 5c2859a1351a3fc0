"""Pods that are given time: when it is up they are judged by how they stand then, not by how they were last seen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.alarms import Alarms
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.adapters.kubernetes.reflectors import Reflectors
from flyte_jupyter.engine.pods import settings
from flyte_jupyter.engine.pods.meaning import Ended, Meaning, meaning
from flyte_jupyter.engine.ports import Clock

log = logging.getLogger(__name__)

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_AT_ONCE = 8
"""Pods that are looked at together: the image that one cannot pull is as a rule missing for many."""


class Subject(Hashable, Protocol):
    """Whoever has a pod."""

    key: Key
    uid: str


S = TypeVar("S", bound=Subject)


class Graces(Generic[S]):
    """Says what pods mean. What has time running out is looked at when it is up, and `judged` hears what it means by then."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        graces: settings.Graces,
        reflectors: Reflectors,
        judged: Callable[[S, Meaning], None],
    ) -> None:
        self._api = api
        self._clock = clock
        self._graces = graces
        self._reflectors = reflectors
        self._judged = judged
        self._alarms: Alarms[S] = Alarms(clock, self._ring)
        self._due: asyncio.Queue[S] = asyncio.Queue()
        self._looking: set[S] = set()
        """Subjects that are due, while nothing newer is heard of them."""

    def heard(self, subject: S, pod: Json) -> Meaning | None:
        """What it means that its pod was seen so. None: its time seems to be up, which is not believed before a look.

        Word of a pod can be long on its way: a watch was away, or this machine was suspended.
        """
        self._looking.discard(subject)
        timeless = meaning(pod, _BEFORE_ALL, self._graces)
        if isinstance(timeless, Ended):
            return self._remember(subject, timeless)
        now = self._clock.now()
        says = meaning(pod, now, self._graces)
        if isinstance(says, Ended):
            self._alarms.set(subject, now)
            return None
        return self._remember(subject, says)

    def forget(self, subject: S) -> None:
        """Nobody wants to know any more."""
        self._looking.discard(subject)
        self._alarms.set(subject, None)

    async def keep(self) -> None:
        """Look at what is due, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._alarms.keep())
            for _ in range(_AT_ONCE):
                tasks.create_task(self._work())

    def _remember(self, subject: S, says: Meaning) -> Meaning:
        self._alarms.set(subject, None if isinstance(says, Ended) else says.until)
        return says

    def _ring(self, subject: S) -> None:
        if subject not in self._looking:
            self._looking.add(subject)
            self._due.put_nowait(subject)

    async def _work(self) -> None:
        while True:
            subject = await self._due.get()
            if subject not in self._looking:
                continue
            try:
                await self._look(subject)
            except Exception:
                log.exception("the pod %s/%s could not be judged, trying again", *subject.key)
                self._later(subject, None)

    async def _look(self, subject: S) -> None:
        try:
            found = await self._api.read(objects.pod(subject.key))
        except Refused as error:
            if error.status == objects.NOT_FOUND:
                self._looking.discard(subject)  # of its end the watch tells
            else:
                self._later(subject, error)
            return
        except Unreachable as error:
            self._later(subject, error)
            return
        if subject not in self._looking:
            return
        self._looking.discard(subject)
        if found["metadata"]["uid"] != subject.uid:
            return
        self._reflectors.note(found)
        now = self._clock.now()
        self._judged(subject, self._remember(subject, meaning(found, now, self._graces)))

    def _later(self, subject: S, error: Refused | Unreachable | None) -> None:
        """Its time may be up, and nobody knows: see whether it is a little later."""
        if error is not None:
            log.warning("the pod %s/%s is judged later: %s", *subject.key, error)
        if subject in self._looking:
            self._looking.discard(subject)
            asked = error.wait if isinstance(error, Refused) else None
            pause = max(self._api.pace.longest_wait, asked or 0.0)
            self._alarms.set(subject, self._clock.now() + timedelta(seconds=pause))
