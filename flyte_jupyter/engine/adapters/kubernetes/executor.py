"""Runs attempts as pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.entries import Entry, Is, container_of
from flyte_jupyter.engine.adapters.kubernetes.graces import Graces
from flyte_jupyter.engine.adapters.kubernetes.hindrances import warnings
from flyte_jupyter.engine.adapters.kubernetes.leaving import Leaving
from flyte_jupyter.engine.adapters.kubernetes.logs import PodLogs
from flyte_jupyter.engine.adapters.kubernetes.making import Nobody, Owners, PodMaker, StillLeaving
from flyte_jupyter.engine.adapters.kubernetes.missing import Missing
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key, key_of
from flyte_jupyter.engine.adapters.kubernetes.reflectors import Reflectors
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.adapters.kubernetes.waiting import Room
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Failure, Stage
from flyte_jupyter.engine.pods.meaning import Ended, Meaning, Running, vanished
from flyte_jupyter.engine.pods.naming import (
    attempt_of,
    namespace_of,
    pod_name,
    selector,
)
from flyte_jupyter.engine.pods.refusals import TryAgain
from flyte_jupyter.engine.pods.starting import ON_ITS_WAY, Pending
from flyte_jupyter.engine.ports import (
    Accepted,
    AttemptNews,
    AttemptSpec,
    Blobs,
    Clock,
    Listing,
    LogSlice,
    Ready,
    Rejected,
    Waits,
    defect,
    unrivalled,
)
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId

log = logging.getLogger(__name__)

_NEVER = datetime.min.replace(tzinfo=UTC)


class KubernetesExecutor:
    """An `Executor` over an API server. All of its methods belong to one event loop.

    What exists is what the cluster says: pods carry their attempt's id, so nothing here need outlive this process but `logs`, a
    folder. `owners` has the objects that own pods.
    """

    def __init__(
        self,
        api: Api,
        clock: Clock,
        blobs: Blobs,
        logs: Path,
        *,
        settings: KubernetesSettings | None = None,
        owners: Owners | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._settings = settings or KubernetesSettings()
        self._owners = owners or Nobody()
        self._maker = PodMaker(api, blobs, self._settings, self._owners)
        self._logs = PodLogs(api, logs, self._settings)
        self._missing = Missing(api)
        self._room = Room(self._try_again, self._give_up, api)
        self._entries: dict[AttemptId, Entry] = {}
        self._by_key: dict[Key, Entry] = {}
        wanted = selector(self._settings.pods)
        self._reflectors = Reflectors(api, objects.pods, wanted, self, self._settings)
        self._leaving = self._new_leaving()
        self._graces = self._new_graces()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news: Callable[[AttemptNews], None] = lambda _: None

    # -- the port --

    async def start(self, news: Callable[[AttemptNews], None], ready: Ready = unrivalled) -> None:
        """Adopt the pods that are there. An API server that cannot be reached is waited for in the background."""
        self._news = news
        self._api.heed(ready)
        self._entries.clear()
        self._by_key.clear()
        await self._owners.start()
        self._leaving = self._new_leaving()
        self._graces = self._new_graces()
        self._do(self._graces.keep())
        self._do(self._room.keep())
        if not await self._reflectors.start():
            log.warning("the cluster has not told what it has yet: going on without")

    async def stop(self) -> None:
        """Stop watching. Pods go on and are adopted by the next `start`."""
        await self._owners.stop()
        await self._reflectors.stop()
        for entry in self._entries.values():
            entry.hush()
        tasks = [*self._tasks, *(task for e in self._entries.values() for task in e.chores)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._logs.close()
        self._room.clear()

    def carries(self, template: core.TaskTemplate) -> bool:  # noqa: ARG002 - all alike
        """Pods read their inputs where the blobs are."""
        return False

    def prepare(self, spec: AttemptSpec) -> bool:  # noqa: ARG002 - a pod is made at the launch
        """A pod is drawn when it is launched."""
        return True

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Create the attempt's pod if it is absent. Where a quota is used up, it is created as soon as there is room.

        Raises whatever may pass: the server is busy or cannot be reached, a pod of that name is still being deleted.
        """
        if spec.id in self._entries or spec.id in self._room:
            return Accepted()
        key = namespace_of(spec.id.run, self._settings.pods), pod_name(spec.id)
        if not self._reflectors.covers(key[0]):
            why = f"the namespace {key[0]} is not among those that this installation uses"
            return Rejected(Failure("NamespaceNotUsed", why))
        await self._leaving.wait(key)
        try:
            made = await self._maker.make(spec)
        except StillLeaving as error:
            self._leaving.add(error.key, error.uid)
            await self._leaving.wait(error.key)
            made = await self._maker.make(spec)
        if isinstance(made, Rejected):
            return made
        if isinstance(made, TryAgain):
            self._room.queue(spec, key[0])
            self._news(AttemptNews(spec.id, None, Waits(made.stage, made.reason)))
        else:
            self._made(made)
        return Accepted()

    async def kill(self, attempt: AttemptId) -> None:
        """Have the pod deleted, with a short grace, and forget the attempt. Raises what may pass."""
        self._room.drop(attempt)
        await self._end(attempt)

    async def _end(self, attempt: AttemptId) -> None:
        entry = self._entries.get(attempt)
        if entry is not None:
            entry.begin()
            await self._leaving.remove(entry.key, entry.uid, self._settings.kill_seconds)
            self._forget(entry)
            return
        # A launch that nobody heard the answer of may have made one.
        key = namespace_of(attempt.run, self._settings.pods), pod_name(attempt)
        try:
            found = await self._api.read(objects.pod(key))
        except Refused as error:
            if error.status == objects.NOT_FOUND:
                return
            raise
        if self._maker.is_ours(found) and attempt_of(found) == attempt:
            await self._leaving.remove(key, found["metadata"]["uid"], self._settings.kill_seconds)

    async def reap(self, attempt: AttemptId) -> None:
        """Delete the pod of an ended attempt, once its log is kept. Nothing when it is unknown or goes on."""
        entry = self._entries.get(attempt)
        if entry is None or entry.is_ is not Is.ENDED:
            return
        entry.begin()
        await asyncio.gather(*entry.chores, return_exceptions=True)
        await self._leaving.remove(entry.key, entry.uid, None)
        self._forget(entry)

    async def listing(self) -> Listing:
        """What exists, from what the watch has told; asked anew where there is no watch.

        While the cluster cannot be reached the listing is as of the beginning of time, so that nothing is missed in it.
        """
        as_of = self._clock.now()
        if not self._reflectors.synced and not await self._reflectors.look():
            as_of = _NEVER
        entries = self._entries.items()
        pending = {a for a, e in entries if e.is_ is Is.PENDING}
        return Listing(
            as_of=as_of,
            queued=frozenset(pending | self._room.attempts()),
            running=frozenset(a for a, e in entries if e.is_ is Is.RUNNING),
            ended={a: e.how for a, e in entries if e.how is not None},
        )

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """A part of the log, also of an attempt whose pod is long gone."""
        key = namespace_of(attempt.run, self._settings.pods), pod_name(attempt)
        return await self._logs.read(key, self._entries.get(attempt), offset, limit)

    # -- looking --

    def seen(self, found: Json) -> None:
        """A pod is there, new or changed (for the reflector)."""
        key, uid = key_of(found), found["metadata"]["uid"]
        if self._leaving.has(key, uid):
            return
        entry = self._by_key.get(key)
        if entry is None:
            attempt = attempt_of(found)
            if attempt is None:
                log.warning("the pod %s/%s says of no attempt that it is its: left alone", *key)
                return
            entry = self._enter(attempt, found)
            self._room.drop(attempt)  # made after all, although the answer was lost
        # Another one of the same name: the one before has left.
        entry.uid = uid
        self._judge(entry, found)

    def gone(self, key: Key, uid: str, last: Json | None) -> None:
        """A pod is no longer there, or no longer ours by its labels (for the reflector)."""
        self._room.look()
        if self._leaving.gone(key, uid):
            return
        entry = self._by_key.get(key)
        if entry is None or entry.uid != uid or entry.is_ is Is.ENDED:
            return
        if last is not None and last["metadata"].get("deletionTimestamp"):
            self._finish_gone(entry, last)
        else:
            self._do(self._ask_whether_gone(entry, last))

    def _finish_gone(self, entry: Entry, last: Json | None) -> None:
        if last is not None:
            self._judge(entry, last)
        if entry.is_ is not Is.ENDED:
            self._finish(entry, Ended(vanished()))

    async def _ask_whether_gone(self, entry: Entry, last: Json | None) -> None:
        """Labels can be edited by hand: a pod that is still there gets them back, and nothing has happened.

        Where they cannot be put back, no watch tells of it any more: it is looked at again and again until it has ended.
        """
        # Before the look: what is heard after it counts.
        self._reflectors.unbury(entry.uid)
        labels = selector(self._settings.pods, entry.id.run)
        backoff = Backoff(self._api.pace, self._api.dice)
        while (found := await self._missing.find(entry.key, entry.uid)) is not None:
            if self._entries.get(entry.id) is not entry:
                return
            self._judge(entry, found)
            back = await self._missing.put_back(entry.key, labels)
            if back is not None:
                self._reflectors.note(back)
                self._judge(entry, back)
            if back is not None or entry.is_ is Is.ENDED:
                return
            await asyncio.sleep(backoff.next())
        if self._entries.get(entry.id) is entry:
            self._finish_gone(entry, last)

    # -- judging --

    def _made(self, pod: Json) -> None:
        attempt = attempt_of(pod)
        assert attempt is not None, "a pod of ours says whose it is"
        news = self._reflectors.note(pod)
        if self._reflectors.has_gone(pod["metadata"]["uid"]):
            if attempt not in self._entries:
                self._finish(self._enter(attempt, pod), Ended(vanished()))
        elif news:
            self.seen(pod)

    def _enter(self, attempt: AttemptId, pod: Json) -> Entry:
        entry = Entry(attempt, key_of(pod), pod["metadata"]["uid"], container_of(pod))
        self._entries[attempt] = entry
        self._by_key[entry.key] = entry
        return entry

    def _new_graces(self) -> Graces[Entry]:
        graces = self._settings.graces
        return Graces(self._api, self._clock, graces, self._reflectors, self._judged)

    def _judge(self, entry: Entry, pod: Json) -> None:
        if entry.is_ is not Is.ENDED and (says := self._graces.heard(entry, pod)) is not None:
            self._judged(entry, says)

    def _judged(self, entry: Entry, says: Meaning) -> None:
        match says:
            case Pending(stage, reason):
                self._wait(entry, Waits(stage, reason))
            case Running():
                self._run(entry)
            case Ended():
                self._finish(entry, says)

    def _wait(self, entry: Entry, what: Waits) -> None:
        """Tell what it waits for, unless that is over soon."""
        if what == entry.told and entry.teller is None:
            return
        entry.hush()
        if entry.is_ is not Is.PENDING or what in (entry.told, Waits(Stage.QUEUED)):
            return

        def tell() -> None:
            entry.teller, entry.told = None, what
            self._news(AttemptNews(entry.id, None, what))
            if what.reason in ON_ITS_WAY:
                entry.asker = self._do(self._tell_why(entry, what))

        entry.teller = asyncio.get_running_loop().call_later(self._settings.tell_after, tell)

    async def _tell_why(self, entry: Entry, what: Waits) -> None:
        async for why in warnings(self._api, entry.key, entry.uid, self._settings.ask_after):
            self._news(AttemptNews(entry.id, None, Waits(what.stage, f"{what.reason}: {why}")))

    def _run(self, entry: Entry) -> None:
        entry.hush()
        entry.began = True
        if entry.is_ is Is.PENDING:
            entry.is_ = Is.RUNNING
            self._news(AttemptNews(entry.id, None))

    def _finish(self, entry: Entry, how: Ended) -> None:
        entry.hush()
        entry.is_, entry.how = Is.ENDED, how.how
        entry.began = entry.began or how.how.code is not None or how.how.ran > 0
        self._graces.forget(entry)
        self._news(AttemptNews(entry.id, how.how))
        if entry.began or how.delete:
            wait = 0.0 if how.delete else self._settings.log_after
            entry.put_off(partial(self._wind_up, entry, how), wait)
        self._room.look()

    async def _wind_up(self, entry: Entry, how: Ended) -> None:
        try:
            if entry.began:
                await self._logs.keep(entry)
            if how.delete:
                await self._leaving.remove(entry.key, entry.uid, self._settings.kill_seconds)
        except (Refused, Unreachable, OSError) as error:
            log.warning("%s has ended, and is not wound up yet: %s", entry.id, error)

    # -- leaving --

    def _new_leaving(self) -> Leaving:
        return Leaving(self._api, self._reflectors, self._settings.patience)

    def _forget(self, entry: Entry) -> None:
        entry.hush()
        self._graces.forget(entry)
        if self._entries.get(entry.id) is entry:
            del self._entries[entry.id]
        if self._by_key.get(entry.key) is entry:
            del self._by_key[entry.key]

    # -- waiting for room --

    async def _try_again(self, spec: AttemptSpec) -> bool:
        """Whether there was room, or never will be, for an attempt that waits for it."""
        made = await self._maker.make(spec)
        if isinstance(made, TryAgain):
            return False
        waited = spec.id in self._room
        self._room.drop(spec.id)
        if isinstance(made, Rejected):
            if waited:
                self._news(AttemptNews(spec.id, Exit(why=made.why)))
        elif waited or spec.id in self._entries:
            if waited:  # from here on it may have run, whatever becomes of it
                self._news(AttemptNews(spec.id, None, Waits(Stage.QUEUED)))
            self._made(made)
        else:  # killed meanwhile, or even over
            await self._leaving.remove(key_of(made), made["metadata"]["uid"], 0)
        return True

    async def _give_up(self, spec: AttemptSpec, error: Exception, times: int) -> None:
        await self._end(spec.id)
        if spec.id in self._room:
            self._room.drop(spec.id)
            why = defect(f"{spec.id} cannot be launched", error, times)
            self._news(AttemptNews(spec.id, Exit(why=why)))

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
