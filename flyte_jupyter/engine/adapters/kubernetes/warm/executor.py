"""Runs attempts in worker pods, one after the other in each, so that a short one doesn't wait for a pod of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.logs import PodLogs
from flyte_jupyter.engine.adapters.kubernetes.pod_templates import PodTemplates
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.adapters.kubernetes.warm import kinds
from flyte_jupyter.engine.adapters.kubernetes.warm.crew import Crew
from flyte_jupyter.engine.adapters.kubernetes.warm.link import WorkerLink
from flyte_jupyter.engine.adapters.kubernetes.warm.workers import NOBODY_FREE, At, Turn, Worker
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Stage
from flyte_jupyter.engine.pods.manifests import PodRefused
from flyte_jupyter.engine.pods.naming import namespace_of, pod_name
from flyte_jupyter.engine.ports import (
    Accepted,
    AttemptNews,
    AttemptSpec,
    Clock,
    Listing,
    LogSlice,
    NotNow,
    Rejected,
    Waits,
)
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId

log = logging.getLogger(__name__)

_NEVER = datetime.min.replace(tzinfo=UTC)
_KILL_PATIENCE = 5.0
_JOINING = 15.0
"""Seconds that a worker without an engine stays longer than one with: a new one must be there when it is joined."""


class WorkersUntold(NotNow):
    """Some worker has not said yet which attempts it has: ask again."""


class WarmExecutor:
    """An `Executor` for attempts that `kinds.wants` a worker, on an `Api` that knows whom to heed. Belongs to one event loop."""

    def __init__(self, api: Api, clock: Clock, logs: Path, settings: KubernetesSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._logs = PodLogs(api, logs, settings)
        self._templates = PodTemplates(api, settings)
        self._crew = Crew(api, clock, self, settings)
        self._turns: dict[AttemptId, Turn] = {}
        self._by_key: dict[str, Turn] = {}
        self._news: Callable[[AttemptNews], None] = lambda _: None

    def __contains__(self, attempt: AttemptId) -> bool:
        return attempt in self._turns

    # -- the port --

    async def start(self, news: Callable[[AttemptNews], None]) -> None:
        """Find the workers of an earlier engine, and what they do."""
        self._news = news
        await self._crew.start()

    async def stop(self) -> None:
        """Hang up. Workers go on with what they do, and then wait for the next engine for a while."""
        chores = [turn.chore for turn in self._turns.values() if turn.chore is not None]
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await self._crew.stop()
        self._turns.clear()
        self._by_key.clear()

    def carries(self, template: core.TaskTemplate) -> bool:  # noqa: ARG002 - all alike
        """Pods read their inputs where the blobs are."""
        return False

    def prepare(self, spec: AttemptSpec) -> bool:  # noqa: ARG002 - a worker is found at the launch
        """A worker for it is found when it is launched."""
        return False

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Queue the attempt for a worker if it is absent.

        Raises what may pass: a worker of an earlier engine may have it, and has not told yet.
        """
        if spec.id in self._turns:
            return Accepted()
        if not self._crew.informed:
            text = f"{spec.id} waits: an earlier engine's worker pod that is not joined yet may have it"
            raise WorkersUntold(text)
        try:
            linger = self._settings.warm.idle_seconds + _JOINING
            template = await self._templates.of(spec)
            kind, told = kinds.kind_of(spec, self._settings.pods, linger, template)
        except PodRefused as error:
            return Rejected(error.why)
        if spec.id in self._turns:  # somebody else was quicker
            return Accepted()
        turn = self._enter(Turn(spec.id, spec, told))
        self._crew.add(kind, turn)
        if turn.at is At.QUEUED:
            self.waits(turn, NOBODY_FREE)
        return Accepted()

    async def kill(self, attempt: AttemptId) -> None:
        """End the attempt's processes and forget it; its worker goes on, unless the attempt outlives even that.

        Raises what may pass: the worker pod must be deleted, and is not yet.
        """
        turn = self._turns.get(attempt)
        if turn is None:
            return
        turn.killed = True
        self._crew.drop(turn)
        worker = turn.worker
        if worker is not None and worker.leaving and turn.at is At.ENDED:
            # Asked again, because the pod could not be deleted the last time.
            await self._crew.dismiss(worker)
        elif turn.at in (At.STARTING, At.RUNNING) and worker is not None:
            try:
                await worker.say({"op": "kill", "key": turn.key})
                async with asyncio.timeout(_KILL_PATIENCE):
                    await turn.over.wait()
            except (TimeoutError, Unreachable):
                await self._crew.dismiss(worker)
        await self._let_go(turn)

    async def reap(self, attempt: AttemptId) -> None:
        """Forget an ended attempt, once its log is kept; nothing when it is unknown or goes on."""
        turn = self._turns.get(attempt)
        if turn is None or turn.at is not At.ENDED:
            return
        if turn.chore is not None:
            await asyncio.gather(turn.chore, return_exceptions=True)
        await self._let_go(turn)

    async def listing(self) -> Listing:
        """What exists, as workers have told. While one has yet to tell, as of the beginning of time: nothing is missed in it."""
        turns = self._turns.items()
        return Listing(
            as_of=self._clock.now() if self._crew.complete else _NEVER,
            queued=frozenset(a for a, t in turns if t.at in (At.QUEUED, At.STARTING)),
            running=frozenset(a for a, t in turns if t.at is At.RUNNING),
            ended={a: t.how for a, t in turns if t.how is not None},
        )

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """A part of the log: from the worker while it has the attempt, else as it was kept."""
        turn = self._turns.get(attempt)
        worker = turn.worker if turn is not None else None
        if turn is not None and turn.how is None:
            data = b""
            if worker is not None and worker.link is not None:
                patience = self._settings.log_seconds
                data = await worker.link.log(turn.key, offset, limit, patience)
            return LogSlice(data, offset, complete=False)
        return await self._logs.read(self._log_key(attempt), None, offset, limit)

    def _log_key(self, attempt: AttemptId) -> Key:
        return namespace_of(attempt.run, self._settings.pods), pod_name(attempt)

    # -- what the crew says --

    def turn(self, key: str) -> Turn | None:
        """The attempt that workers know by this key."""
        return self._by_key.get(key)

    def begin(self, turn: Turn) -> None:
        """Its process has started."""
        turn.at = At.RUNNING
        if not turn.killed:
            self._news(AttemptNews(turn.id, None))

    def waits(self, turn: Turn, reason: str) -> None:
        """It waits for a worker, and why there is none. Nothing of it has run: an engine that forgets it launches it again."""
        turn.waited = True
        self._news(AttemptNews(turn.id, None, Waits(Stage.RESOURCES, reason)))

    def taken(self, turn: Turn) -> None:
        """A worker is about to get it: from here on it may have run, whatever becomes of it."""
        turn.at = At.STARTING
        if turn.waited:
            turn.waited = False
            self._news(AttemptNews(turn.id, None, Waits(Stage.QUEUED)))

    def adopt(self, worker: Worker, attempt: AttemptId, how: Exit | None) -> None:
        """A worker has this attempt since an earlier engine, or connection."""
        turn = self._turns.get(attempt) or self._enter(Turn(attempt))
        # Whoever was to be given it must not: its worker has it.
        self._crew.drop(turn)
        turn.worker, turn.spec, turn.told = worker, None, {}
        if how is not None:
            if worker.turn is turn:
                worker.turn = None
            self.finish(turn, how)
        elif turn.at is not At.ENDED:
            worker.turn = turn
            if turn.at is not At.RUNNING:
                self.begin(turn)

    def _enter(self, turn: Turn) -> Turn:
        self._turns[turn.id] = turn
        self._by_key[turn.key] = turn
        return turn

    def finish(self, turn: Turn, how: Exit) -> None:
        """It is over (for the crew)."""
        if turn.at is At.ENDED:
            return
        turn.at, turn.how = At.ENDED, how
        turn.over.set()
        if turn.killed:
            return
        self._news(AttemptNews(turn.id, how))
        if turn.worker is not None and turn.worker.link is not None:
            turn.chore = asyncio.create_task(self._keep_log(turn, turn.worker.link))

    async def _keep_log(self, turn: Turn, link: WorkerLink) -> None:
        data = b""
        try:
            while len(data) < self._settings.log_bytes:
                rest = self._settings.log_bytes - len(data)
                piece = await link.log(turn.key, len(data), rest, self._settings.log_seconds)
                if not piece:
                    break
                data += piece
            await self._logs.put(self._log_key(turn.id), data)
        except (Unreachable, OSError) as error:
            log.info("the log of %s is not kept: %s", turn.id, error)

    async def _let_go(self, turn: Turn) -> None:
        self._turns.pop(turn.id, None)
        self._by_key.pop(turn.key, None)
        if turn.worker is not None and turn.worker.link is not None:
            try:
                await turn.worker.link.send({"op": "reap", "key": turn.key})
            except Unreachable as error:
                log.info("%s", error)
