"""An executor over the fake cluster, by plain calls or by real HTTP, and what it said."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fake_api import kubeconfig, served
from fake_cluster import FakeCluster

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.making import Owners
from flyte_jupyter.engine.adapters.kubernetes.settings import (
    ConnectionSettings,
    KubernetesSettings,
    PaceSettings,
    WatchSettings,
)
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.ports import AttemptNews, AttemptSpec, Fenced
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

DEADLINE = 30.0
QUICK = KubernetesSettings(
    pace=PaceSettings(qps=1e6, burst=1000, first_wait=0.01, longest_wait=0.05),
    watch=WatchSettings(page=3, silence=5.0),
    patience=2.0,
    tell_after=0.0,
    log_seconds=5.0,
)


class HandClock:
    """Time that goes on when a test says so."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    def gap(self) -> timedelta:
        return timedelta(0)

    def move(self, span: timedelta) -> None:
        self._now += span
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep_until(self, when: datetime) -> None:
        while self._now < when:
            await self._moved.wait()


def attempt_id(node: str = "n0", attempt: int = 0, run: str = "r1") -> AttemptId:
    return AttemptId(RunId("p", "d", run), (node,), attempt)


def spec_of(attempt: AttemptId, command: str = "work") -> AttemptSpec:
    template = core.TaskTemplate(
        id=core.Identifier(project="p", domain="d", name="steps.task", version="v1"),
        type="python-task",
        container=core.Container(image="localhost/task:test", args=[command]),
    )
    where = f"s3://bucket/{attempt.run.name}/{attempt.path[0]}"
    return AttemptSpec(
        attempt, template, f"{where}/inputs.pb", f"{where}/{attempt.attempt}", f"{where}/raw", {}
    )


class Rivalry:
    """Whether another engine has taken over, and how often this one asked since."""

    lost = False
    asked = 0

    async def ready(self) -> None:
        if self.lost:
            self.asked += 1
            raise Fenced("another engine has taken over")


class Bench:
    """What tests hold: the cluster, the executor over it, its news."""

    def __init__(self, cluster: FakeCluster, clock: HandClock) -> None:
        self.cluster = cluster
        self.clock = clock
        self.said: list[AttemptNews] = []
        self.rivalry = Rivalry()
        self.executor: KubernetesExecutor
        self.api: Api
        self.within = DEADLINE

    def news(self, news: AttemptNews) -> None:
        self.said.append(news)

    def said_of(self, attempt: AttemptId) -> list[AttemptNews]:
        return [n for n in self.said if n.id == attempt]

    async def until(self, look: Callable[[], object], what: str = "") -> object:
        async with asyncio.timeout(self.within):
            while not (found := look()):  # noqa: ASYNC110  # the fake raises no events of its own
                await asyncio.sleep(0.002)
            return found

    async def started(self, attempt: AttemptId) -> None:
        await self.until(
            lambda: any(n.how is None and n.waits is None for n in self.said_of(attempt))
        )

    async def ended(self, attempt: AttemptId) -> Exit:
        await self.until(lambda: any(n.how for n in self.said_of(attempt)))
        return next(n.how for n in self.said_of(attempt) if n.how)

    def pod_of(self, attempt: AttemptId) -> dict:
        from flyte_jupyter.engine.pods.naming import pod_name

        return self.cluster.pod(pod_name(attempt))

    def changes(self) -> list[str]:
        """What was asked for that changes the cluster."""
        return [f"{c.method} {c.path}" for c in self.cluster.calls if c.method != "GET"]

    async def running(self, node: str = "n0") -> AttemptSpec:
        """Launch an attempt and let it run."""
        spec = spec_of(attempt_id(node))
        await self.executor.launch(spec)
        self.cluster.run(self.pod_of(spec.id))
        await self.started(spec.id)
        return spec


@contextlib.asynccontextmanager
async def bench(
    folder: Path,
    *,
    http: bool = False,
    settings: KubernetesSettings = QUICK,
    cluster: FakeCluster | None = None,
    owners: Owners | None = None,
    **changes: object,
) -> AsyncIterator[Bench]:
    """A started executor over a fake cluster."""
    clock = HandClock()
    cluster = cluster or FakeCluster(clock.now)
    settings = dataclasses.replace(settings, **changes)
    made = Bench(cluster, clock)
    async with contextlib.AsyncExitStack() as held:
        transport: object = cluster
        if http:
            url = await held.enter_async_context(served(cluster))
            transport = await connect(ConnectionSettings(kubeconfig(folder, url)), clock)
        made.api = Api(transport, settings.pace, dice=random.Random(1))
        held.push_async_callback(made.api.close)
        blobs, logs = FolderBlobs(folder / "blobs"), folder / "logs"
        made.executor = KubernetesExecutor(
            made.api, clock, blobs, logs, settings=settings, owners=owners
        )
        await made.executor.start(made.news, made.rivalry.ready)
        try:
            yield made
        finally:
            await made.executor.stop()
