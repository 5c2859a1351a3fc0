"""An executor over a real cluster, attempts for it, and what it said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from kubernetes_bench import Bench, attempt_id
from task_image import TASK_IMAGE, USER

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.settings import (
    ConnectionSettings,
    KubernetesSettings,
)
from flyte_jupyter.engine.pods.settings import PodSettings, Resources
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId

SMALL = Resources(requests={"cpu": "50m", "memory": "64Mi"}, limits={"cpu": "2", "memory": "1Gi"})


class LiveBench(Bench):
    """The bench of the fake cluster's tests, with nothing fake in it."""

    cluster = None

    def shell(
        self, script: str, attempt: AttemptId | None = None, *, image: str = TASK_IMAGE
    ) -> AttemptSpec:
        """An attempt that is a line of shell."""
        attempt = attempt or attempt_id()
        template = core.TaskTemplate(
            id=core.Identifier(project="p", domain="d", name="steps.task", version="v1"),
            type="container",
            container=core.Container(image=image, args=["sh", "-c", script]),
        )
        where = f"s3://flyte/{attempt.run.name}/{attempt.path[0]}"
        return AttemptSpec(
            attempt, template, f"{where}/inputs.pb", f"{where}/{attempt.attempt}", f"{where}/raw", {}
        )  # fmt: skip

    async def run(self, spec: AttemptSpec):
        assert not hasattr(await self.executor.launch(spec), "why")
        return await self.ended(spec.id)

    async def log(self, spec: AttemptSpec) -> str:
        return (await self.executor.read_log(spec.id, 0, 1 << 30)).data.decode()


def settings_for(namespace: str, **changes: object) -> KubernetesSettings:
    pods = PodSettings(
        installation=namespace,
        namespace=namespace,
        image_pull_policy="IfNotPresent",
        run_as_user=USER,
        run_as_group=USER,
        resources=SMALL,
    )
    return KubernetesSettings(**{"pods": pods, "tell_after": 0.0, **changes})


@contextlib.asynccontextmanager
async def live_bench(
    kubeconfig: Path, folder: Path, settings: KubernetesSettings, owners: object = None
) -> AsyncIterator[LiveBench]:
    """A started executor; its pods stay when it is left."""
    made = LiveBench(None, SystemClock())
    made.api = Api(await connect(ConnectionSettings(kubeconfig), made.clock), settings.pace)
    blobs = FolderBlobs(folder / "blobs")
    made.executor = KubernetesExecutor(
        made.api, made.clock, blobs, folder / "logs", settings=settings, owners=owners
    )
    await made.executor.start(made.news)
    try:
        yield made
    finally:
        await made.executor.stop()
        await made.api.close()
        await _good_byes()


async def _good_byes() -> None:
    """A request that was broken off ends its TLS politely, a moment after everything else is closed."""
    waiting = asyncio.get_running_loop()._selector.get_map()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while len(waiting) > 1:  # noqa: ASYNC110 - the loop's own socket stays, and nothing tells of the others
                await asyncio.sleep(0.01)
