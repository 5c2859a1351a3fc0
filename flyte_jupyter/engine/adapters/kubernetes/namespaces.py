"""Namespaces, made when something is to be created in one that is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings

log = logging.getLogger(__name__)

_SETTLING = 60.0
"""Seconds after which a new namespace has its service accounts, if it ever gets them."""


class Namespaces:
    """Creates objects, and before them the namespaces that they go to."""

    def __init__(self, api: Api, settings: KubernetesSettings) -> None:
        self._api = api
        self._settings = settings

    async def create(self, path: str, manifest: Mapping[str, Any]) -> Json:
        """Create an object in the collection at `path`. Raises what the API raises."""
        namespace = manifest["metadata"]["namespace"]
        try:
            return await self._api.create(path, manifest)
        except Refused as error:
            if not is_missing(namespace, error) or not self._settings.create_namespaces:
                raise
        await self._make(namespace)
        return await self._api.create(path, manifest)

    def is_settling(self, namespace: str, error: Refused) -> bool:
        """Whether something is refused only because the namespace was made here so lately that its service accounts are not there yet."""
        made = self._api.namespaces_made_at.get(namespace)
        if made is None or "service account" not in str(error):
            return False
        return asyncio.get_running_loop().time() - made < _SETTLING

    async def _make(self, name: str) -> None:
        log.info("the namespace %s is missing: made", name)
        metadata = {"name": name, "labels": dict(self._settings.namespace_labels)}
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        try:
            await self._api.create(objects.NAMESPACES, manifest)
        except Refused as error:
            if error.reason != "AlreadyExists":
                raise
        self._api.namespaces_made_at[name] = asyncio.get_running_loop().time()


def is_missing(namespace: str, error: Refused) -> bool:
    """Whether it was refused because there is no such namespace, rather than no such resource."""
    return error.status == objects.NOT_FOUND and f'"{namespace}"' in str(error)
