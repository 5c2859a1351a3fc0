"""``PodTemplate`` objects of the cluster, by name: those of an attempt's namespace before those of the platform's."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.pods.manifest import names_template
from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.naming import namespace_of
from flyte_jupyter.engine.ports import AttemptSpec

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    until: float = 0.0
    found: Manifest | None = None


class PodTemplates:
    """Looks templates up when attempts need them, and keeps each answer for a moment."""

    def __init__(self, api: Api, settings: KubernetesSettings) -> None:
        self._api = api
        self._settings = settings
        self._kept: dict[Key, _Kept] = {}

    async def of(self, spec: AttemptSpec) -> Manifest | None:
        """The template (``metadata``, ``spec``) that the attempt's pod lies above; None: it needs none, or there is none.

        Raises `Refused` or `Unreachable` when it is to be asked again.
        """
        name = names_template(spec.template, self._settings.pods)
        if not name:
            return None
        own = namespace_of(spec.id.run, self._settings.pods)
        for namespace in filter(None, dict.fromkeys((own, self._settings.template_namespace))):
            found = await self._look((namespace, name))
            if found is not None:
                return found
        return None

    async def _look(self, key: Key) -> Manifest | None:
        kept = self._kept.setdefault(key, _Kept())
        now = asyncio.get_running_loop().time
        async with kept.lock:
            if now() >= kept.until:
                kept.found = await self._read(key)
                kept.until = now() + self._settings.template_seconds
        return kept.found

    async def _read(self, key: Key) -> Manifest | None:
        try:
            found = await self._api.read(objects.pod_template(key))
        except Refused as error:
            if error.status == objects.FORBIDDEN:
                log.warning("pod templates cannot be read (see deploy/rbac.yaml): %s", error)
            elif error.status != objects.NOT_FOUND:
                raise
            return None
        template = found.get("template") or {}
        metadata = template.get("metadata") or {}
        kept = {k: metadata[k] for k in ("labels", "annotations") if metadata.get(k)}
        return {"metadata": kept, "spec": template.get("spec") or {}}
