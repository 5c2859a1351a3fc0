"""Pods of their own and worker pods as one executor."""

from __future__ import annotations

from collections.abc import Callable

from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.warm import kinds
from flyte_jupyter.engine.adapters.kubernetes.warm.executor import WarmExecutor
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


class ClusterExecutor:
    """An `Executor`: attempts that want a worker get one, all others a pod of their own."""

    def __init__(self, pods: KubernetesExecutor, warm: WarmExecutor) -> None:
        self._pods = pods
        self._warm = warm

    async def start(self, news: Callable[[AttemptNews], None], ready: Ready = unrivalled) -> None:
        """Start both."""
        await self._pods.start(news, ready)
        await self._warm.start(news)

    async def stop(self) -> None:
        """Stop both."""
        await self._warm.stop()
        await self._pods.stop()

    def carries(self, template: core.TaskTemplate) -> bool:
        """As those that it may be sent to."""
        return self._pods.carries(template) and self._warm.carries(template)

    def prepare(self, spec: AttemptSpec) -> bool:
        """Where the task wants to be."""
        return (self._warm if kinds.wants(spec) else self._pods).prepare(spec)

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Where the task wants to be."""
        return await (self._warm if kinds.wants(spec) else self._pods).launch(spec)

    async def kill(self, attempt: AttemptId) -> None:
        """Wherever it is."""
        if attempt in self._warm:
            await self._warm.kill(attempt)
        else:
            await self._pods.kill(attempt)

    async def reap(self, attempt: AttemptId) -> None:
        """Wherever it is."""
        if attempt in self._warm:
            await self._warm.reap(attempt)
        else:
            await self._pods.reap(attempt)

    async def listing(self) -> Listing:
        """Both together, as of the earlier look."""
        pods, warm = await self._pods.listing(), await self._warm.listing()
        return Listing(
            as_of=min(pods.as_of, warm.as_of),
            queued=pods.queued | warm.queued,
            running=pods.running | warm.running,
            ended={**pods.ended, **warm.ended},
        )

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """Wherever it is; kept logs are in one place."""
        if attempt in self._warm:
            return await self._warm.read_log(attempt, offset, limit)
        return await self._pods.read_log(attempt, offset, limit)
