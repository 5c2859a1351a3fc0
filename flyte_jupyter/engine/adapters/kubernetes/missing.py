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

    async def find(self, key: Key, uid: str, labels: str) -> Json | None:
        """The pod with this uid, with its `labels` (a selector) put back; None when it is gone."""
        backoff = Backoff(self._api.pace, self._api.dice)
        while True:
            wait = None
            try:
                async with self._places:
                    return await self._look(key, uid, labels)
            except Refused as error:
                if error.status == objects.NOT_FOUND:
                    return None
                log.warning("%s", error)
                wait = error.wait
            except Unreachable as error:
                log.warning("%s", error)
            await asyncio.sleep(backoff.next(wait))

    async def _look(self, key: Key, uid: str, labels: str) -> Json | None:
        found = await self._api.read(objects.pod(key))
        if found["metadata"]["uid"] != uid:
            return None
        log.warning("the pod %s/%s had lost its labels: they are put back", *key)
        wanted = dict(pair.split("=", 1) for pair in labels.split(","))
        return await self._api.patch(objects.pod(key), {"metadata": {"labels": wanted}})
