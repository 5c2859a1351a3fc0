"""Pods that were told to go and may still be there."""

from __future__ import annotations

import asyncio

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.adapters.kubernetes.reflectors import Reflectors
from flyte_jupyter.engine.ports import NotNow


class PodStillThere(NotNow):
    """A pod was told to go and has not gone yet: ask again."""


class Leaving:
    """Which pods are leaving, by name and uid, so that their end is no news and their name can be waited for."""

    def __init__(self, api: Api, reflectors: Reflectors, patience: float) -> None:
        self._api = api
        self._reflectors = reflectors
        self._patience = patience
        self._uids: dict[Key, str] = {}
        self._left: dict[Key, asyncio.Event] = {}

    def add(self, key: Key, uid: str) -> None:
        """It was told to go."""
        self._uids[key] = uid
        if self._reflectors.has_gone(uid):
            self.gone(key, uid)

    def has(self, key: Key, uid: str) -> bool:
        """Whether this very pod was told to go."""
        return self._uids.get(key) == uid

    def gone(self, key: Key, uid: str) -> bool:
        """It has gone, or was not there. Whether it had been told to."""
        if self._uids.get(key) != uid:
            return False
        del self._uids[key]
        left = self._left.pop(key, None)
        if left is not None:
            left.set()
        return True

    async def remove(self, key: Key, uid: str, grace: int | None) -> None:
        """Have the pod deleted; what is heard of it from then on is no news."""
        self.add(key, uid)
        try:
            if not await objects.delete(self._api, objects.pod(key), uid, grace):
                self.gone(key, uid)
        except BaseException:
            self.gone(key, uid)
            raise

    async def wait(self, key: Key) -> None:
        """Return once no pod of this name is leaving. Raises `PodStillThere` when that takes too long."""
        if key not in self._uids:
            return
        left = self._left.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(self._patience):
                await left.wait()
        except TimeoutError:
            await self._look(key)

    async def _look(self, key: Key) -> None:
        """Nobody has heard of its end: that need not mean that it is still there."""
        uid = self._uids.get(key)
        if uid is None:
            return
        if await objects.is_there(self._api, objects.pod(key), uid):
            raise PodStillThere(f"the pod {key[0]}/{key[1]} is still being deleted")
        self.gone(key, uid)
