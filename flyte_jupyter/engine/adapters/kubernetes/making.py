"""Making the pod of an attempt, once, whatever the server answered the last time."""

from __future__ import annotations

from typing import Protocol

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused
from flyte_jupyter.engine.adapters.kubernetes.namespaces import Namespaces
from flyte_jupyter.engine.adapters.kubernetes.pod_templates import PodTemplates
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key, key_of
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.core.state import Failure, Stage
from flyte_jupyter.engine.pods.drafts import Drafts
from flyte_jupyter.engine.pods.manifests import Manifest, PodRefused
from flyte_jupyter.engine.pods.naming import INSTALLATION, attempt_of, label
from flyte_jupyter.engine.pods.refusals import AlreadyThere, TryAgain, refusal
from flyte_jupyter.engine.ports import AttemptSpec, BlobNotFound, Blobs, NotNow, Rejected
from flyte_jupyter.idl import core


class Owners(Protocol):
    """Who has what owns pods."""

    async def start(self) -> None:
        """Begin, when the executor does."""

    async def stop(self) -> None:
        """Stop, when the executor does."""

    async def owner(self, spec: AttemptSpec) -> Manifest | None:
        """The owner reference of an attempt's pod, with the owner made when it must; None: nobody."""


class Nobody:
    """No owners."""

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def owner(self, _: AttemptSpec) -> Manifest | None:
        """Nobody."""
        return None


class StillLeaving(NotNow):
    """A pod of this name is being deleted: ask again once it has gone."""

    def __init__(self, key: Key, uid: str) -> None:
        super().__init__(f"the pod {key[0]}/{key[1]} is still being deleted")
        self.key = key
        self.uid = uid


class PodMaker:
    """Creates pods, and the namespaces they go to."""

    def __init__(
        self, api: Api, blobs: Blobs, settings: KubernetesSettings, owners: Owners
    ) -> None:
        self._api = api
        self._blobs = blobs
        self._settings = settings
        self._owners = owners
        self._namespaces = Namespaces(api, settings)
        self._templates = PodTemplates(api, settings)
        self._drafts = Drafts(settings.pods)

    async def make(self, spec: AttemptSpec) -> Json | Rejected | TryAgain:
        """The attempt's pod, made now or before; or why there will never be one, or what there is no room for now.

        Raises `Refused` or `Unreachable` when it is to be asked again, `StillLeaving` when its place is not free yet.
        """
        try:
            draft = self._drafts.of(spec, await self._templates.of(spec))
            inputs = await self._inputs(spec) if draft.wants_inputs else None
            owner = await self._owners.owner(spec)
            manifest = draft.pod(spec, inputs=inputs, owner=owner)
        except PodRefused as error:
            return Rejected(error.why)
        try:
            return await self._namespaces.create(
                objects.pods(manifest["metadata"]["namespace"]), manifest
            )
        except Refused as error:
            return await self._answer(error, spec, manifest)

    async def _answer(
        self, error: Refused, spec: AttemptSpec, manifest: Manifest
    ) -> Json | Rejected | TryAgain:
        match refusal(error.status, error.body, error.retry_after):
            case AlreadyThere(why):
                return await self._adopt(spec, key_of(manifest), why)
            case TryAgain(stage=Stage.RESOURCES) as full:
                return full
            case Failure() as why if not self._namespaces.is_settling(key_of(manifest)[0], error):
                return Rejected(why)
        raise error

    async def _adopt(self, spec: AttemptSpec, key: Key, why: Failure) -> Json | Rejected:
        found = await self._api.read(objects.pod(key))
        if not self.is_of(found, spec):
            return Rejected(why)
        if found["metadata"].get("deletionTimestamp"):
            raise StillLeaving(key, found["metadata"]["uid"])
        return found

    def is_of(self, pod: Json, spec: AttemptSpec) -> bool:
        """Whether this pod is the attempt's own, made by this installation."""
        return self.is_ours(pod) and attempt_of(pod) == spec.id

    def is_ours(self, pod: Json) -> bool:
        """Whether this installation made the pod."""
        labels = pod["metadata"].get("labels") or {}
        return bool(labels.get(INSTALLATION) == label(self._settings.pods.installation))

    async def _inputs(self, spec: AttemptSpec) -> core.LiteralMap:
        try:
            return core.LiteralMap.FromString(await self._blobs.get(spec.inputs))
        except BlobNotFound:
            return core.LiteralMap()
