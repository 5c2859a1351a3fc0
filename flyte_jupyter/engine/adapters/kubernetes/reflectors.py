"""One collection over all the namespaces that an installation watches, as one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.reflect import Reflector, Sink, key_of
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings

log = logging.getLogger(__name__)


class Reflectors:
    """A reflector for each namespace, or a single one for the whole cluster. `path` gives the collection in a namespace."""

    def __init__(
        self,
        api: Api,
        path: Callable[[str], str],
        selector: str,
        sink: Sink,
        settings: KubernetesSettings,
    ) -> None:
        self._each: Sequence[Reflector] = [
            Reflector(api, path(namespace), selector, sink, settings.watch)
            for namespace in settings.namespaces or ("",)
        ]
        self._patience = settings.patience

    @property
    def synced(self) -> bool:
        """Whether the sink has been told of everything, up to the delay of a watch."""
        return all(each.synced.is_set() for each in self._each)

    @property
    def answered(self) -> bool:
        """Whether the server has told of everything wherever it does not refuse to."""
        return all(each.answered.is_set() for each in self._each)

    async def start(self) -> bool:
        """Begin to follow. Whether the sink was told of everything before patience ran out, or the server said no."""
        for each in self._each:
            each.start()
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*(each.answered.wait() for each in self._each))
        except TimeoutError:
            return False
        return self.synced

    async def stop(self) -> None:
        """Stop."""
        for each in self._each:
            await each.stop()

    async def look(self) -> bool:
        """List everything now. Whether that could be done."""
        try:
            async with asyncio.timeout(self._patience):
                for each in self._each:
                    await each.look()
        except (Refused, Unreachable, TimeoutError) as error:
            log.warning("the cluster does not tell what it has: %s", error)
            return False
        return True

    def covers(self, namespace: str) -> bool:
        """Whether what happens in this namespace is heard of."""
        return any(each.covers(namespace) for each in self._each)

    def note(self, found: Json) -> bool:
        """The sink has this object from elsewhere. Whether that is newer than what it was told."""
        namespace, _ = key_of(found)
        return any(each.note(found) for each in self._each if each.covers(namespace))

    def has_gone(self, uid: str) -> bool:
        """Whether the object with this uid is known to be gone."""
        return any(each.has_gone(uid) for each in self._each)

    def unbury(self, uid: str) -> None:
        """Listen again to what is said of an object that seemed to be gone."""
        for each in self._each:
            each.unbury(uid)
