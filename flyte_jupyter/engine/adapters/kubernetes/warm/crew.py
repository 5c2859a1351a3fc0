"""The worker pods: made when attempts wait, joined when they run, given attempts when they are free, sent home when nobody comes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.entries import container_of
from flyte_jupyter.engine.adapters.kubernetes.graces import Graces
from flyte_jupyter.engine.adapters.kubernetes.namespaces import Namespaces
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key, key_of
from flyte_jupyter.engine.adapters.kubernetes.reflectors import Reflectors
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.adapters.kubernetes.warm import kinds
from flyte_jupyter.engine.adapters.kubernetes.warm.kinds import Kind
from flyte_jupyter.engine.adapters.kubernetes.warm.link import WorkerLink
from flyte_jupyter.engine.adapters.kubernetes.warm.workers import (
    NOBODY_FREE,
    At,
    Desk,
    Pool,
    Turn,
    Worker,
    exit_of,
    known_attempts,
    lost,
)
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.pods.meaning import Ended, Meaning, Running
from flyte_jupyter.engine.pods.refusals import refusal
from flyte_jupyter.engine.ports import Clock

log = logging.getLogger(__name__)

_GREETING = 30.0
_LATER = 1.0
_TRIES = 12
_JOIN, _CLOSE = "join", "close"
"""Names of tasks: those that a start waits for, and those that a stop lets finish."""


class Crew:
    """All worker pods of an installation, in pools of a kind."""

    def __init__(self, api: Api, clock: Clock, desk: Desk, settings: KubernetesSettings) -> None:
        self._api = api
        self._clock = clock
        self._desk = desk
        self._settings = settings
        self._namespaces = Namespaces(api, settings)
        self._pools: dict[str, Pool] = {}
        wanted = kinds.worker_selector(settings.pods)
        self._reflectors = Reflectors(api, objects.pods, wanted, self, settings)
        self._graces = self._new_graces()
        self._tasks: set[asyncio.Task[None]] = set()
        self._informed = False
        self._parted: set[str] = set()
        """Uids of pods that are workers no longer, and still there: what is heard of them is no news."""

    async def start(self) -> None:
        """Find the workers of an earlier engine, and what they do."""
        self._graces = self._new_graces()
        self._do(self._graces.keep())
        if await self._reflectors.start():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.patience):
                    while joins := self._joins():
                        await asyncio.wait(joins)
        if not self.complete:
            log.warning("not all worker pods have told what they do yet: going on without")

    async def stop(self) -> None:
        """Hang up. Workers go on with what they do, and then wait for the next engine for a while."""
        await self._reflectors.stop()
        for task in self._tasks:
            if task.get_name() != _CLOSE:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pool in self._pools.values():
            for worker in pool.workers.values():
                self._unwind(worker)
                if worker.link is not None:
                    await worker.link.close()
        self._pools.clear()
        self._parted.clear()
        self._informed = False

    @property
    def complete(self) -> bool:
        """Whether every worker that there is has told what it does."""
        return self._reflectors.synced and not self._joins()

    @property
    def informed(self) -> bool:
        """Whether all workers of an earlier engine have told what they do, wherever the server tells of any: they may have attempts."""
        self._informed = self._informed or (self._reflectors.answered and not self._joins())
        return self._informed

    def add(self, kind: Kind, turn: Turn) -> None:
        """Let an attempt wait for a worker of this kind."""
        pool = self._pools.setdefault(kind.name, Pool())
        pool.kind = kind
        pool.queue.append(turn)
        self._staff(pool)

    def drop(self, turn: Turn) -> None:
        """It waits no more."""
        for pool in self._pools.values():
            with suppress(ValueError):
                pool.queue.remove(turn)
        self._forget_kinds()

    def _joins(self) -> list[asyncio.Task[None]]:
        return [task for task in self._tasks if task.get_name() == _JOIN]

    # -- pods --

    def seen(self, found: Json) -> None:
        """A worker pod is there, new or changed (for the reflector)."""
        key, uid = key_of(found), found["metadata"]["uid"]
        if uid in self._parted:
            return
        name = found["metadata"]["labels"].get(kinds.WORKER_KIND, "")
        pool = self._pools.setdefault(name, Pool())
        worker = pool.workers.get(key)
        if worker is None:
            worker = Worker(key, uid, name, container_of(found))
            pool.workers[key] = worker
        if (says := self._graces.heard(worker, found)) is not None:
            self._judged(worker, says)

    def _new_graces(self) -> Graces[Worker]:
        graces = self._settings.graces
        return Graces(self._api, self._clock, graces, self._reflectors, self._judged)

    def _judged(self, worker: Worker, says: Meaning) -> None:
        pool = self._pools[worker.kind]
        if isinstance(says, Ended):
            self._failed(pool, worker, says)
        elif isinstance(says, Running) and worker.link is None and not worker.joining:
            worker.joining = True
            self._do(self._join(pool, worker), _JOIN)
        elif not isinstance(says, Running) and says.reason:
            for turn in pool.queue:
                self._desk.waits(turn, says.reason)

    def gone(self, key: Key, uid: str, last: Json | None) -> None:  # noqa: ARG002 - a reflector says it
        """A worker pod is no longer there (for the reflector)."""
        for pool in self._pools.values():
            worker = pool.workers.get(key)
            if worker is not None and worker.uid == uid:
                how = lost("the worker pod was deleted while it ran the attempt")
                self._remove(pool, worker, how)
                self._staff(pool)
                break
        self._parted.discard(uid)

    def _failed(self, pool: Pool, worker: Worker, says: Ended) -> None:
        """The pod is over: an idle one as it should, one that could not start for a reason that is its attempts' too."""
        started = worker.link is not None or worker.turn is not None
        why = says.how.why
        if not started and why is not None and not any(w.free for w in pool.workers.values()):
            self._fail_next(pool, why)
        text = (
            f"the worker pod ended while it ran the attempt: {why.message if why else 'it exited'}"
        )
        self._remove(pool, worker, lost(text))
        self._do(self._see_off(worker))
        self._staff(pool)

    def _remove(self, pool: Pool, worker: Worker, how: Exit) -> None:
        self._unwind(worker)
        self._graces.forget(worker)
        worker.leaving = True
        self._parted.add(worker.uid)
        pool.workers.pop(worker.key, None)
        turn, worker.turn = worker.turn, None
        link, worker.link = worker.link, None
        if link is not None:
            self._do(link.close(), _CLOSE)
        if turn is not None:
            self._put_back(pool, turn, how)

    def _put_back(self, pool: Pool, turn: Turn, how: Exit) -> None:
        """Its worker does not have it: it ended as `how` says, but for an attempt that was not sent yet, which another one takes."""
        if turn.spec is None or turn.killed:
            self._desk.finish(turn, how)
            return
        turn.worker, turn.at = None, At.QUEUED
        pool.queue.appendleft(turn)
        self._desk.waits(turn, NOBODY_FREE)

    async def dismiss(self, worker: Worker) -> None:
        """End the pod and whatever runs in it. Raises `Refused` or `Unreachable`: ask again."""
        if not worker.leaving:
            pool = self._pools[worker.kind]
            self._remove(pool, worker, lost("the worker pod was ended"))
            self._staff(pool)
        await objects.delete(self._api, objects.pod(worker.key), worker.uid, 0)

    async def _see_off(self, worker: Worker) -> None:
        """End the pod, however long that takes."""
        backoff = Backoff(self._api.pace, self._api.dice)
        while True:
            try:
                await self.dismiss(worker)
            except (Refused, Unreachable) as error:
                log.warning("the worker pod %s/%s is not deleted yet: %s", *worker.key, error)
                await asyncio.sleep(backoff.next())
            else:
                return

    def _send_home(self, worker: Worker) -> None:
        """Nobody has come for so long; but somebody may have, this very moment."""
        worker.idle_timer = None
        if worker.free:
            self._do(self._see_off(worker))
            pool = self._pools[worker.kind]
            self._remove(pool, worker, lost("the worker pod was ended"))
            self._staff(pool)

    def _staff(self, pool: Pool) -> None:
        """Give waiting attempts to free workers, make workers while there are too few, and forget a kind that nobody wants."""
        for worker in pool.workers.values():
            if pool.queue and worker.free:
                turn = pool.queue.popleft()
                # At once: whoever ends the attempt or the worker in the meantime must find them together.
                worker.turn, turn.worker = turn, worker
                self._desk.taken(turn)
                self._unwind(worker)
                self._do(self._send(pool, worker, turn))
        coming = pool.making + sum(1 for w in pool.workers.values() if w.link is None)
        missing = len(pool.queue) - coming
        room = self._settings.warm.most - len(pool.workers) - pool.making
        for _ in range(min(missing, room)):
            pool.making += 1
            self._do(self._make(pool))
        self._forget_kinds()

    def _forget_kinds(self) -> None:
        self._pools = {name: pool for name, pool in self._pools.items() if not pool.over}

    async def _make(self, pool: Pool) -> None:
        assert pool.kind is not None, "an attempt asked for it"
        manifest = pool.kind.manifest(secrets.token_hex(4))
        try:
            found = await self._namespaces.create(objects.pods(pool.kind.namespace), manifest)
            if self._reflectors.note(found):
                self.seen(found)
        except Refused as error:
            await self._not_made(pool, error)
        except Unreachable:
            await asyncio.sleep(_LATER)
        except Exception as error:
            log.exception("a worker pod of the kind %s cannot be made", pool.kind.name)
            why = f"a worker pod cannot be made: {error!r}"
            self._fail_next(pool, Failure("LaunchFailed", why, Blame.SYSTEM, retryable=True))
            await asyncio.sleep(_LATER)
        finally:
            pool.making -= 1
        self._staff(pool)

    def _fail_next(self, pool: Pool, why: Failure) -> None:
        if pool.queue:
            self._desk.finish(pool.queue.popleft(), Exit(why=why))

    async def _not_made(self, pool: Pool, error: Refused) -> None:
        assert pool.kind is not None, "an attempt asked for it"
        answer = refusal(error.status, error.body, error.retry_after)
        settling = self._namespaces.is_settling(pool.kind.namespace, error)
        if isinstance(answer, Failure) and not settling:
            if not pool.workers:
                self._fail_next(pool, answer)
        else:
            for turn in pool.queue:
                self._desk.waits(turn, str(error))
        await asyncio.sleep(_LATER)

    # -- connections --

    async def _join(self, pool: Pool, worker: Worker) -> None:
        """Connect; a server that is away for a while costs no worker and no attempt."""
        backoff = Backoff(self._api.pace, self._api.dice)
        try:
            for _ in range(_TRIES):
                if worker.leaving:
                    return
                try:
                    await self._greet(pool, worker)
                except Exception as error:  # noqa: BLE001 - whatever it is, attempts wait for this worker
                    log.warning("the worker pod %s/%s cannot be joined: %r", *worker.key, error)
                    await asyncio.sleep(backoff.next())
                else:
                    return
        finally:
            worker.joining = False
        await self._see_off(worker)

    async def _greet(self, pool: Pool, worker: Worker) -> None:
        duplex = await self._api.execute(objects.pod(worker.key), worker.container, kinds.ATTEND)
        link = WorkerLink(duplex)
        try:
            inventory, hello = await link.greet(_GREETING)
        except BaseException:
            await link.close()
            raise
        if worker.leaving:
            # It ended in the meantime: nobody would hear of the end of what it has.
            await link.close()
            return
        worker.link = link
        had = worker.turn
        known = known_attempts(inventory, hello)
        for attempt, how in known:
            self._desk.adopt(worker, attempt, how)
        if had is not None and had.id not in [attempt for attempt, _ in known]:
            worker.turn = None
            self._put_back(pool, had, lost("the worker does not know the attempt any more"))
        link.listen(lambda m: self._heard(worker, m), lambda: self._hung_up(pool, worker))
        self._rest(pool, worker)

    def _hung_up(self, pool: Pool, worker: Worker) -> None:
        """The connection broke; the worker may be well, and is joined anew."""
        if worker.leaving or worker.link is None:
            return
        link, worker.link = worker.link, None
        self._do(link.close(), _CLOSE)
        worker.joining = True
        self._do(self._join(pool, worker), _JOIN)

    async def _send(self, pool: Pool, worker: Worker, turn: Turn) -> None:
        await self._api.admitted()
        if worker.turn is not turn or turn.spec is None:
            return
        if turn.killed:
            self._served(worker, turn, Exit(signal=signal.SIGKILL))
            return
        if worker.link is None:
            worker.turn = None
            self._put_back(pool, turn, lost("the worker is not connected"))
            self._staff(pool)
            return
        frame = kinds.launch_frame(turn.spec, turn.told, self._settings.log_bytes)
        turn.spec, turn.told = None, {}
        try:
            await worker.say(frame)
        except Unreachable as error:
            log.warning("the worker pod %s/%s is lost: %s", *worker.key, error)
            await self._see_off(worker)

    def _heard(self, worker: Worker, message: Json) -> None:
        turn = self._desk.turn(str(message.get("key", "")))
        if turn is None or turn.worker is not worker:
            return
        match message.get("op"):
            case "started" if turn.at is At.STARTING:
                self._desk.begin(turn)
            case "ended":
                self._served(worker, turn, exit_of(message))
            case "refused":
                why = Failure(str(message.get("code")), str(message.get("message")), retryable=True)
                self._served(worker, turn, Exit(why=why))

    def _served(self, worker: Worker, turn: Turn, how: Exit) -> None:
        if worker.turn is turn:
            worker.turn = None
        self._desk.finish(turn, how)
        if not worker.leaving:
            self._rest(self._pools[worker.kind], worker)

    def _rest(self, pool: Pool, worker: Worker) -> None:
        """The worker is free: give it the next attempt, or let it go after a while."""
        self._staff(pool)
        if worker.free and worker.idle_timer is None:
            loop = asyncio.get_running_loop()
            seconds = self._settings.warm.idle_seconds
            worker.idle_timer = loop.call_later(seconds, lambda: self._send_home(worker))

    def _unwind(self, worker: Worker) -> None:
        if worker.idle_timer is not None:
            worker.idle_timer.cancel()
            worker.idle_timer = None

    def _do(self, work: Coroutine[Any, Any, None], name: str = "") -> None:
        task = asyncio.create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
