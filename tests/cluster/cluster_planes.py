"""A control plane over a real cluster and an S3 server, without what serves clients."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

from cluster_attempts import settings_for
from kubernetes_cluster import Cluster
from object_storage import S3Server

from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.settings import (
    ConnectionSettings,
    KubernetesSettings,
)
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.table import use_cases
from flyte_jupyter.server.assembly import open_database
from flyte_jupyter.server.cluster import ClusterPlane, plane_on
from flyte_jupyter.store.projections import execution_is_final

HERE = Path(__file__).resolve()
CRD = HERE.parents[2] / "deploy" / "crd.yaml"
PROJECT, DOMAIN = "flytesnacks", "development"
ME = Caller("ann")


@dataclasses.dataclass
class Stack:
    """The control plane, and what tests do with it."""

    plane: ClusterPlane
    cluster: Cluster
    s3: S3Server
    namespace: str

    async def call(self, name: str, message):
        return await use_cases(self.plane.platform)[name](message, ME)

    async def register(self, name: core.Identifier, spec) -> None:
        match spec:
            case admin.TaskSpec():
                await self.call("CreateTask", admin.TaskCreateRequest(id=name, spec=spec))
            case admin.WorkflowSpec():
                await self.call("CreateWorkflow", admin.WorkflowCreateRequest(id=name, spec=spec))
            case _:
                request = admin.LaunchPlanCreateRequest(id=name, spec=spec)
                await self.call("CreateLaunchPlan", request)

    async def ended(self, run: RunId, *, within: float = 240.0) -> admin.Execution:
        async with asyncio.timeout(within):
            while True:
                found = await self.plane.platform.executions.get(run)
                if execution_is_final(found.closure.phase):
                    return found
                await asyncio.sleep(0.05)

    async def outputs(self, run: RunId) -> dict:
        from flyte_jupyter.idl import literals

        found = await self.ended(run)
        assert found.closure.phase == core.WorkflowExecution.SUCCEEDED, found.closure.error
        body = await self.plane.platform.blobs.get(found.closure.outputs.uri)
        made = core.LiteralMap.FromString(body)
        return {name: literals.value(value) for name, value in made.literals.items()}

    def pods(self) -> list[dict]:
        return self.cluster.get("pods", "-n", self.namespace)["items"]


def programs() -> bytes:
    """The modules of flytekit's programs, as its fast registration packs them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for file in sorted((HERE.parents[1] / "flytekit_programs").glob("*.py")):
            tar.add(file, f"flytekit_programs/{file.name}")
    return packed.getvalue()


def own_task(name: str, bundle: str, entity: str) -> tuple[core.Identifier, admin.TaskSpec]:
    """A task of our own SDK, whose code stands in object storage."""
    identifier = core.Identifier(
        resource_type=core.ResourceType.TASK, project=PROJECT, domain=DOMAIN, name=name, version="v1"
    )  # fmt: skip
    words = [
        "flyte-jupyter-execute", "--inputs", "{{.input}}", "--output-prefix", "{{.outputPrefix}}",
        "--raw-output-data-prefix", "{{.rawOutputDataPrefix}}", "--checkpoint-path", "{{.checkpointOutputPrefix}}",
        "--prev-checkpoint", "{{.prevCheckpointPrefix}}", "--bundle", bundle, "--entity", entity,
    ]  # fmt: skip
    whole = core.Variable(type=core.LiteralType(simple=core.SimpleType.INTEGER))
    variables = core.VariableMap(variables={"x": whole})
    template = core.TaskTemplate(
        id=identifier,
        type="python-task",
        interface=core.TypedInterface(inputs=variables, outputs=variables),
        container=core.Container(image="localhost/flyte-jupyter/task:test", args=words),
    )
    return identifier, admin.TaskSpec(template=template)


def cluster_settings(namespace: str, s3: S3Server, **changes: object) -> KubernetesSettings:
    settings = settings_for(namespace, **changes)
    return dataclasses.replace(
        settings, pods=dataclasses.replace(settings.pods, env=s3.environment)
    )


@contextlib.asynccontextmanager
async def stack(
    cluster: Cluster, s3: S3Server, namespace: str, folder: Path, **changes: object
) -> AsyncIterator[Stack]:
    """A running control plane on a data folder. What it started goes on when it is left, and is found again."""
    settings = cluster_settings(namespace, s3, **changes)
    database = open_database(folder)
    at = ConnectionSettings(cluster.kubeconfig)
    api = Api(await connect(at, SystemClock()), settings.pace)
    plane = plane_on(api, database, folder, f"s3://flyte/{namespace}", settings)
    await plane.engine.start()
    try:
        yield Stack(plane, cluster, s3, namespace)
    finally:
        await plane.engine.stop()
        await api.close()
        await database.close()
