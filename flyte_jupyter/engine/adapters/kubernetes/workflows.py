"""Executions as ``FlyteWorkflow`` objects: shown to ``kubectl get``, launched by ``kubectl apply``, aborted by ``kubectl delete``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Protocol

from flyte_jupyter.engine.adapters.kubernetes import handles, objects
from flyte_jupyter.engine.adapters.kubernetes.alarms import Alarms
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused
from flyte_jupyter.engine.adapters.kubernetes.handles import BadWish, Launcher, NotYet, Standing
from flyte_jupyter.engine.adapters.kubernetes.namespaces import Namespaces, is_missing
from flyte_jupyter.engine.adapters.kubernetes.postponing import Postponed
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key, key_of
from flyte_jupyter.engine.adapters.kubernetes.reflectors import Reflectors
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.adapters.kubernetes.workqueue import WorkQueue
from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.naming import INSTALLATION, label, namespace_of, selector
from flyte_jupyter.engine.pods.status import moment
from flyte_jupyter.engine.ports import AttemptSpec, Clock
from flyte_jupyter.idl.ids import RunId

log = logging.getLogger(__name__)

_PAUSE = 1.0
_ABORTING = 5.0
"""Seconds between two looks at an execution that is being aborted."""
_LOOK_AGAIN = timedelta(minutes=1)
_EVERYWHERE = ""
_FOR_OTHERS = timedelta(seconds=30)
"""How long a handle that would be another installation's stays without a word."""
_CAUSE = "its FlyteWorkflow {} was deleted"


class Standings(Protocol):
    """How executions stand: what the database says, and nothing else."""

    async def current(self, run: RunId) -> Standing | None:
        """How it stands; None when there is no such execution."""

    def changes(self) -> AsyncIterator[RunId]:
        """Executions that may stand differently, from now on; first all that are not final."""


class Workflows:
    """Keeps one handle per execution, and does what handles that people write and delete ask for."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        launcher: Launcher,
        standings: Standings,
        settings: KubernetesSettings,
    ) -> None:
        self._api = api
        self._clock = clock
        self._launcher = launcher
        self._standings = standings
        self._settings = settings
        self._pods = settings.pods
        self._handles: dict[Key, Json] = {}
        self._runs: dict[Key, RunId] = {}
        """Executions that have, or should have, a handle of this name."""
        self._keys: dict[RunId, Key] = {}
        """Handles that are not called as we would call them, because somebody else made them."""
        self._namespaces = Namespaces(api, settings)
        self._making: dict[Key, asyncio.Lock] = {}
        self._closed: dict[str, datetime] = {}
        """Namespaces, and until when no handle is made there, because none may be; the empty one stands for all of them."""
        self._reflectors = Reflectors(api, handles.path_of, "", self, settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile, api)
        self._alarms: Alarms[Key] = Alarms(clock, self._queue.add)
        self._postponed = Postponed(clock, api, self._alarms)

    async def start(self) -> None:
        """Begin to look after handles. A cluster without the custom resource is left in peace, and looked at again later."""
        # First: an execution whose handle has a name that somebody else gave it must not get another.
        await self._reflectors.start()
        self._tasks = [
            asyncio.create_task(work)
            for work in (self._queue.keep(), self._alarms.keep(), self._hear())
        ]

    async def stop(self) -> None:
        """Stop. Handles stay as they are."""
        await self._reflectors.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._handles.clear()
        self._runs.clear()
        self._keys.clear()

    async def owner(self, spec: AttemptSpec) -> Manifest | None:
        """The owner reference for a pod of this attempt, with the handle made if there is none; None where handles cannot be had."""
        run = spec.id.run
        key = self._key_of(run)
        handle = self._handles.get(key)
        if handle is None or not self._is_ours(handle):
            handle = await self._make(run, key, spec.workflow)
        return handles.owner_reference(handle) if handle is not None else None

    # -- what comes in --

    def seen(self, found: Json) -> None:
        """A handle is there, new or changed (for the reflector)."""
        key = key_of(found)
        if self._is_ours(found):
            self._bind(key, found)
        if self._is_ours(found) or self._is_free(found):
            self._handles[key] = handles.slim(found)
            self._queue.add(key)
        elif key in self._handles and self._is_free(self._handles[key]):
            del self._handles[key]  # another installation has claimed it

    def gone(self, key: Key, uid: str, last: Json | None) -> None:  # noqa: ARG002 - a reflector says it
        """A handle is no longer there (for the reflector)."""
        handle = self._handles.get(key)
        if handle is not None and handle["metadata"]["uid"] == uid:
            del self._handles[key]
            self._postponed.forget(key)
            run = self._runs.get(key)
            if run is not None and run in self._keys:
                del self._keys[run], self._runs[key]
                key = self._key_of(run)
                self._runs[key] = run
            self._queue.add(key)

    def _key_of(self, run: RunId) -> Key:
        """Where the run's handle stands, or would."""
        usual = namespace_of(run, self._pods), handles.handle_name(run, self._pods)
        return self._keys.get(run, usual)

    def _bind(self, key: Key, handle: Json) -> None:
        """This handle is its run's."""
        try:
            run = handles.run_of(handle)
        except BadWish:
            return
        if self._key_of(run) != key and self._handles.get(self._key_of(run)) is None:
            self._runs.pop(self._key_of(run), None)
            self._keys[run] = key
        if self._key_of(run) == key:
            self._runs[key] = run

    async def _hear(self) -> None:
        while True:
            try:
                async for run in self._standings.changes():
                    key = self._key_of(run)
                    self._runs[key] = run
                    self._queue.add(key)
            except Exception:
                log.exception("changes of executions are not heard of, listening again")
            await asyncio.sleep(_PAUSE)

    # -- making --

    async def _make(self, run: RunId, key: Key, workflow: str) -> Json | None:
        if self._is_closed(run, key):
            return None
        async with self._making.setdefault(key, asyncio.Lock()):
            handle = self._handles.get(key)
            if handle is None or not self._is_ours(handle):
                handle = await self._create(run, key, workflow)
        self._making.pop(key, None)
        return handle

    async def _create(self, run: RunId, key: Key, workflow: str) -> Json | None:
        self._runs[key] = run
        manifest = handles.handle_of(run, workflow, self._pods)
        try:
            return self._note(await self._namespaces.create(handles.path_of(key[0]), manifest))
        except Refused as error:
            if error.reason == "AlreadyExists":
                return await self._claimed(await self._api.read(handles.path_of(*key)), run)
            if error.status not in (objects.NOT_FOUND, objects.FORBIDDEN):
                raise
            self._close(key[0], error)
            self._is_closed(run, key)
            return None

    def _close(self, namespace: str, error: Refused) -> None:
        """No handle can be made, there or anywhere, until somebody changes the cluster."""
        unknown = error.status == objects.NOT_FOUND and not is_missing(namespace, error)
        where = _EVERYWHERE if unknown else namespace
        log.warning(
            "executions are not shown in %s (see deploy/crd.yaml and deploy/rbac.yaml): %s",
            where or "this cluster",
            error,
        )
        self._closed[where] = self._clock.now() + _LOOK_AGAIN

    def _is_closed(self, run: RunId, key: Key) -> bool:
        """Whether no handle is made there now; then it is tried again later."""
        now = self._clock.now()
        self._closed = {where: until for where, until in self._closed.items() if now < until}
        until = max(self._closed.get(where, now) for where in (_EVERYWHERE, key[0]))
        if until > now:
            self._runs[key] = run
            self._alarms.set(key, until)
        return until > now

    async def _claimed(self, found: Json, run: RunId) -> Json | None:
        """The handle that is there already, if it is the execution's: asked for by it, or made before."""
        try:
            same = handles.run_of(found) == run
        except BadWish:
            same = False
        if not same or not (self._is_ours(found) or self._is_free(found)):
            log.warning("%s has no handle: another object has its name", run)
            return None
        if self._is_free(found):
            found = await self._claim(found, run)
        return self._note(found)

    def _note(self, handle: Json) -> Json:
        key = key_of(handle)
        if self._reflectors.note(handle):
            self._handles[key] = handles.slim(handle)
        self._queue.add(key)
        return handle

    async def _claim(self, handle: Json, run: RunId) -> Json:
        """Make a handle that somebody wrote ours; one engine of several wins."""
        metadata = handle["metadata"]
        change = {
            "resourceVersion": metadata["resourceVersion"],
            "labels": handles.labels_of(run, self._pods),
            "finalizers": [*(metadata.get("finalizers") or ()), handles.FINALIZER],
        }
        return await self._api.patch(handles.path_of(*key_of(handle)), {"metadata": change})

    def _is_ours(self, handle: Json) -> bool:
        said = (handle["metadata"].get("labels") or {}).get(INSTALLATION)
        return bool(said == label(self._pods.installation))

    def _is_free(self, handle: Json) -> bool:
        return INSTALLATION not in (handle["metadata"].get("labels") or {})

    # -- reconciling --

    async def _reconcile(self, key: Key) -> None:
        """See to one handle. Raises whatever may pass: it is asked again."""
        handle = self._handles.get(key)
        if handle is None:
            await self._replace(key)
        elif self._is_free(handle):
            await self._consider(key, handle)
        elif self._is_ours(handle):
            await self._tend(key, handle)

    async def _replace(self, key: Key) -> None:
        """There is no handle of this name: an execution that goes on gets it back."""
        run = self._runs.pop(key, None)
        standing = await self._standings.current(run) if run is not None else None
        if run is not None and standing is not None and not standing.final:
            await self._make(run, key, standing.workflow)

    async def _consider(self, key: Key, handle: Json) -> None:
        """Somebody wrote a handle: claim it, if something can be made of it."""
        if handle["metadata"].get("deletionTimestamp") or handles.is_rejected(handle):
            return
        try:
            wish = handles.wish_of(handle)
        except BadWish as error:
            await self._show(key, handle, handles.rejection(handle, str(error)))
            return
        wanted = namespace_of(wish.run, self._pods)
        if wanted != key[0]:
            await self._pass_over(key, handle, wanted)
            return
        made = await self._claim(handle, wish.run)
        self._bind(key, made)
        self._note(made)

    async def _pass_over(self, key: Key, handle: Json, wanted: str) -> None:
        """Leave a handle to another installation, whose executions may belong there; say so when none has claimed it for a while."""
        now = self._clock.now()
        until = (moment(handle["metadata"].get("creationTimestamp")) or now) + _FOR_OTHERS
        if now < until:
            self._alarms.set(key, until)
        elif handles.phase_of(handle) != handles.UNCLAIMED:
            why = f"executions of this project and domain belong into the namespace {wanted}"
            await self._show(key, handle, handles.rejection(handle, why, handles.UNCLAIMED))

    async def _tend(self, key: Key, handle: Json) -> None:
        try:
            run = handles.run_of(handle)
        except BadWish as error:
            await self._show(key, handle, handles.rejection(handle, str(error)))
            await self._let_go(key, handle)
            return
        standing = await self._standings.current(run)
        if handle["metadata"].get("deletionTimestamp"):
            await self._end(key, handle, standing)
        elif standing is None:
            await self._launch(key, handle)
        else:
            await self._show(key, handle, handles.status_of(standing))
            await self._retire(key, handle, standing)

    async def _launch(self, key: Key, handle: Json) -> None:
        if handles.is_rejected(handle) or not self._postponed.is_due(key, handle):
            return
        if not handles.is_wish(handle):
            why = "the control plane has no such execution"
            status = handles.rejection(handle, why, handles.UNKNOWN)
        else:
            try:
                wish = handles.wish_of(handle)
                if handles.FINALIZER not in (handle["metadata"].get("finalizers") or ()):
                    # It was let go of when it was rejected the last time.
                    handle = self._note(await self._claim(handle, wish.run))
                why = await self._launcher.launch(wish)
            except NotYet as error:
                self._postponed.postpone(key, handle)
                await self._show(key, handle, handles.wait_for(handle, str(error)))
                return
            except BadWish as error:
                why = str(error)
            self._postponed.forget(key)
            if not why:
                self._queue.add(key)
                return
            status = handles.rejection(handle, why)
        await self._show(key, handle, status)
        await self._let_go(key, handle)

    async def _end(self, key: Key, handle: Json, standing: Standing | None) -> None:
        """Somebody deletes the handle: end the execution, and let go of it once nothing of it is left in the cluster."""
        if standing is not None and not standing.final:
            await self._launcher.abort(standing.run, _CAUSE.format(key[1]))
            self._queue.add_later(key, _ABORTING)
            return
        if standing is not None:
            wanted = selector(self._pods, standing.run)
            query = {"labelSelector": wanted, "limit": "1"}
            left = await self._api.read(objects.pods(key[0]), query)
            if left.get("items"):
                self._queue.add_later(key, _PAUSE)
                return
        await self._let_go(key, handle)

    async def _let_go(self, key: Key, handle: Json) -> None:
        """Take our finalizer off, so that a deletion can go through."""
        finalizers = handle["metadata"].get("finalizers") or []
        if handles.FINALIZER not in finalizers:
            return
        change = {
            "resourceVersion": handle["metadata"]["resourceVersion"],
            "finalizers": [name for name in finalizers if name != handles.FINALIZER],
        }
        await self._api.patch(handles.path_of(*key), {"metadata": change})

    async def _retire(self, key: Key, handle: Json, standing: Standing) -> None:
        """An ended execution's handle stays for a while."""
        if not standing.final:
            return
        until = (standing.ended or self._clock.now()) + timedelta(
            seconds=self._settings.workflow_ttl
        )
        if self._clock.now() < until:
            self._alarms.set(key, until)
            return
        self._runs.pop(key, None)
        await objects.delete(self._api, handles.path_of(*key), handle["metadata"]["uid"], None)

    async def _show(self, key: Key, handle: Json, status: Json) -> None:
        """Write the status, if it is not what the handle says already."""
        change = handles.change_to(status, handle.get("status"))
        if change:
            made = await self._api.patch(handles.path_of(*key, "status"), {"status": change})
            handle["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
