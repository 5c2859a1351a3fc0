"""Pods that a watch says are gone: whether they are, or have only lost the labels that they are found by."""

from __future__ import annotations

import asyncio
import logging

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""Requests under way: with a node, hundreds of pods may be missing in the same moment."""


class Missing:
    """Looks for pods one by one, for as long as it takes to be told."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def find(self, key: Key, uid: str) -> Json | None:
        """The pod with this uid; None when it is gone."""
        backoff = Backoff(self._api.pace, self._api.dice)
        while True:
            wait = None
            try:
                async with self._places:
                    found = await self._api.read(objects.pod(key))
                    return found if found["metadata"]["uid"] == uid else None
            except Refused as error:
                if error.status == objects.NOT_FOUND:
                    return None
                log.warning("%s", error)
                wait = error.wait
            except Unreachable as error:
                log.warning("%s", error)
            await asyncio.sleep(backoff.next(wait))

    async def put_back(self, key: Key, labels: str) -> Json | None:
        """The pod with its `labels` (a selector) as they were; None when that could not be done now, and may never be."""
        wanted = dict(pair.split("=", 1) for pair in labels.split(","))
        try:
            async with self._places:
                made = await self._api.patch(objects.pod(key), {"metadata": {"labels": wanted}})
        except (Refused, Unreachable) as error:
            log.warning(
                "the pod %s/%s has lost its labels, which cannot be put back: %s", *key, error
            )
            return None
        log.warning("the pod %s/%s had lost its labels: they were put back", *key)
        return made
