"""The executor of a process without an engine: it shows what attempts say and how many there are, and changes nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Never

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused
from flyte_jupyter.engine.adapters.kubernetes.entries import Entry, container_of
from flyte_jupyter.engine.adapters.kubernetes.logs import PodLogs
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key, key_of
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.pods.naming import attempt_of, namespace_of, pod_name, selector
from flyte_jupyter.engine.ports import (
    Accepted,
    AttemptNews,
    AttemptSpec,
    Listing,
    LogSlice,
    Ready,
    Rejected,
    unrivalled,
)
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId

_NEVER = datetime.min.replace(tzinfo=UTC)
_OVER = ("Succeeded", "Failed")


class OnlyLooking(Exception):
    """Somebody wanted this process to decide about attempts, which an engine apart from it does."""


class Onlooker:
    """An `Executor` that reads: logs that an engine has kept in the folder `logs`, those of pods that are there, and which those are.

    What is watched while it grows is copied to a folder of its own, since the other one is the engine's.
    """

    def __init__(self, api: Api, logs: Path, settings: KubernetesSettings) -> None:
        self._api = api
        self._settings = settings
        self._watched = logs.with_name(f"{logs.name}-watched")
        self._logs = PodLogs(api, logs, settings, watched=self._watched)
        self._entries: dict[Key, Entry] = {}

    async def start(
        self,
        news: Callable[[AttemptNews], None],  # noqa: ARG002 - there will be none
        ready: Ready = unrivalled,  # noqa: ARG002 - nothing is changed from here
    ) -> None:
        """Forget what was watched before."""
        await asyncio.to_thread(shutil.rmtree, self._watched, ignore_errors=True)

    async def stop(self) -> None:
        """Watch no more."""
        await self._logs.close()
        self._entries.clear()

    def carries(self, template: core.TaskTemplate) -> bool:  # noqa: ARG002 - all alike
        """It runs none."""
        return False

    def prepare(self, spec: AttemptSpec) -> bool:  # noqa: ARG002 - it launches none
        """It launches none."""
        return False

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Not here."""
        self._refuse(spec.id)

    async def kill(self, attempt: AttemptId) -> None:
        """Not here."""
        self._refuse(attempt)

    async def reap(self, attempt: AttemptId) -> None:
        """Not here."""
        self._refuse(attempt)

    def _refuse(self, attempt: AttemptId) -> Never:
        raise OnlyLooking(f"{attempt}: this process has no engine, and decides about no attempt")

    async def listing(self) -> Listing:
        """Which pods wait and which run, as of no moment that anything could be concluded from. Raises `Refused`, `Unreachable`."""
        phases: dict[str, set[AttemptId]] = {"Pending": set(), "Running": set()}
        for namespace in self._settings.namespaces or ("",):
            async for pod in self._pods(namespace):
                attempt = attempt_of(pod)
                phase = pod.get("status", {}).get("phase", "Pending")
                if attempt is not None and phase in phases:
                    phases[phase].add(attempt)
        return Listing(_NEVER, frozenset(phases["Pending"]), frozenset(phases["Running"]), {})

    async def _pods(self, namespace: str) -> AsyncIterator[Json]:
        query = {
            "labelSelector": selector(self._settings.pods),
            "limit": str(self._settings.watch.page),
        }
        while True:
            page = await self._api.read(objects.pods(namespace), query)
            for pod in page.get("items") or ():
                yield pod
            more = page["metadata"].get("continue")
            if not more:
                return
            query = {**query, "continue": more}

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """A part of the log: as an engine has kept it, else from the pod. That nothing will be added is said of kept ones only."""
        key = namespace_of(attempt.run, self._settings.pods), pod_name(attempt)
        kept = await self._logs.kept(key, offset, limit)
        if kept is not None:
            self._entries.pop(key, None)
            return kept
        entry = self._entries.get(key)
        if entry is None:
            pod = await self._pod(key)
            if pod is None:
                # Gone since we looked: its log was kept before.
                kept = await self._logs.kept(key, offset, limit)
                return kept or LogSlice(b"", offset, complete=False)
            entry = Entry(attempt, key_of(pod), pod["metadata"]["uid"], container_of(pod))
            phase = pod.get("status", {}).get("phase", "")
            if phase in _OVER:
                return await self._logs.now(entry, offset, limit)
            if phase != "Running":
                return LogSlice(b"", offset, complete=False)
            entry.began = True
            self._entries[key] = entry
        return await self._logs.read(key, entry, offset, limit)

    async def _pod(self, key: Key) -> Json | None:
        try:
            return await self._api.read(objects.pod(key))
        except Refused as error:
            if error.status == objects.NOT_FOUND:
                return None
            raise
