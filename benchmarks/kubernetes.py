"""Figures on Kubernetes (``python -m benchmarks --kubernetes``), on the tests' own cluster: real pods on one node, and fake nodes.

Figures of fake nodes stand beside a loop of the same client that does nothing but create, watch and delete, in the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from benchmarks.ours import ROOT
from benchmarks.table import Figure

WIDE, LONG, AT_ONCE = 500, 100, 64
FLYTE = {"Flyte v1.16.8": 4.6}
"""Seconds a node for ten of flytekit's tasks in a chain, taken on a machine of this kind on another day."""
_NAMESPACE = "flytesnacks-development"


def _with_tests() -> None:
    for folder in ("tests/kubernetes", "tests/cluster", "tests"):
        sys.path.insert(0, str(ROOT / folder))


def figures() -> Iterator[Figure]:
    """All of them, with the versions that they were taken with."""
    _with_tests()
    from cluster_places import running_folder
    from kubernetes_cluster import Cluster

    with running_folder() as folder:
        cluster = Cluster.start(folder)
        try:
            yield from on_fake_nodes(cluster)
        finally:
            cluster.stop()
    with running_folder() as folder:
        cluster = Cluster.start(folder, node=True)
        try:
            yield from on_a_node(cluster)
        finally:
            cluster.stop()


def versions(cluster: Any) -> str:
    """Of what is measured with, and how busy the machine is."""
    import kubernetes
    from flytekit import __version__ as flytekit

    told = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"Kubernetes {told}, client {kubernetes.__version__}, flytekit {flytekit}, load {load}"


# -- real pods -------------------------------------------------------------------------------------


def on_a_node(cluster: Any) -> Iterator[Figure]:
    """Chains of ten through `flyte-jupyter serve` and an S3 server, a pod each and with warm pods."""
    import pytest
    from object_storage import S3Server
    from serving import Served, define

    s3 = S3Server.start(cluster.folder, host=cluster.node.network.host)
    try:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            for name, value in s3.environment.items():
                patch.setenv(name, value)
            define(cluster)
            served = Served(Path(folder), cluster, s3).start()
            try:
                print(f"\non one node: {versions(cluster)}", flush=True)
                yield from _chains(served, s3)
            finally:
                served.stop()
    finally:
        s3.stop()


def _chains(served: Any, s3: Any) -> Iterator[Figure]:
    from cluster_planes import programs
    from flytekit_specs import PROJECT

    from benchmarks import pod_chains

    assert PROJECT == "flytesnacks"
    _ours(served, pod_chains.cold)  # makes the namespace
    yield Figure("a bare pod of the task image, create to Succeeded", _bare_pod(served.cluster), "s")  # fmt: skip
    s3.put("flyte", "code/programs.tar.gz", programs())
    made = served.register("lengths")
    run = served.platform.launch(made, "ten")
    took = _took(served.platform.ended(run)) / 10
    yield Figure("chain of 10 pods, flytekit's tasks, a node", took, "s", None, FLYTE)
    yield Figure("chain of 10 pods, our tasks, a node", _ours(served, pod_chains.cold), "s", None, FLYTE)  # fmt: skip
    first = _ours(served, pod_chains.warm)
    yield Figure("chain of 10 on a warm pod that is to be made, a node", first, "s", None, FLYTE)
    again = min(_ours(served, pod_chains.warm) for _ in range(3))
    yield Figure("chain of 10 on a warm pod that is there, a node", again, "s", None, FLYTE)


def _ours(served: Any, workflow: Any) -> float:
    import flyte_jupyter
    from flyte_jupyter import LaunchOptions
    from flyte_jupyter.kernel.client import Client

    options = LaunchOptions(client=Client(served.endpoint))
    execution = flyte_jupyter.launch(workflow, options=options, x=0)
    execution.wait(timeout=300)
    assert execution.outputs["o0"] == 10, execution.error
    return _took(execution.message) / 10


def _took(execution: Any) -> float:
    closure = execution.closure
    created, ended = closure.created_at.ToDatetime(), closure.updated_at.ToDatetime()
    return float((ended - created).total_seconds())


def _bare_pod(cluster: Any) -> float:
    from task_pods import pod, run

    def once() -> float:
        start = time.perf_counter()
        made = pod(f"bare-{uuid.uuid4().hex[:6]}", _NAMESPACE, "python3", "-c", "pass")
        made["spec"]["securityContext"] = {"runAsUser": 65532}
        assert run(cluster, made)[0] == "Succeeded"
        return time.perf_counter() - start

    return min(once() for _ in range(3))


# -- fake nodes ------------------------------------------------------------------------------------


def on_fake_nodes(cluster: Any) -> Iterator[Figure]:
    """Pods that run and end at once, so that what is left is the API server's time and ours."""
    from fake_nodes import FakeNodes
    from serving import define

    define(cluster)
    nodes = FakeNodes.start(cluster, number=4)
    try:
        print(f"\non fake nodes (KWOK): {versions(cluster)}", flush=True)
        raw = max(asyncio.run(_raw_rate(cluster)) for _ in range(2))
        ours = max(asyncio.run(_our_rate(cluster)) for _ in range(2))
        raw = max(raw, asyncio.run(_raw_rate(cluster)))
        yield Figure(f"raw client, {WIDE} pods: create, watch, delete", raw, "pods/s")
        yield Figure(f"a workflow of {WIDE} nodes, a pod each", ours, "pods/s")
        yield Figure("raw client's rate to ours", raw / ours, "x", 2)
        for name, chain in (("raw client", _raw_chain), ("our engine", _our_chain)):
            p50, p99 = _gaps(cluster, chain)
            target = 10 if chain is _our_chain else None
            yield Figure(f"{name}: pod succeeded to next created, p50", p50, "ms", target)
            yield Figure(f"{name}: pod succeeded to next created, p99", p99, "ms")
    finally:
        nodes.stop()


def _settings(namespace: str) -> Any:
    import dataclasses

    from cluster_attempts import settings_for

    from flyte_jupyter.engine.adapters.kubernetes.settings import PaceSettings

    made = settings_for(namespace, pace=PaceSettings(qps=1e5, burst=100_000), log_seconds=2.0)
    return dataclasses.replace(made, tell_after=1.0)


@contextlib.asynccontextmanager
async def _api(cluster: Any, settings: Any) -> AsyncIterator[Any]:
    from flyte_jupyter.engine.adapters.kubernetes.api import Api
    from flyte_jupyter.engine.adapters.kubernetes.connection import connect
    from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings

    api = Api(await connect(ConnectionSettings(cluster.kubeconfig)), settings.pace)
    try:
        yield api
    finally:
        await api.close()


class RawLoop:
    """Creates pods, hears of their ends by one watch, deletes them."""

    def __init__(self, api: Any, namespace: str, settings: Any) -> None:
        self.api, self.namespace, self.settings = api, namespace, settings
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        self.ended: dict[str, asyncio.Event] = {}
        self.left: dict[str, asyncio.Event] = {}

    async def watch(self) -> None:
        query = {"watch": "true", "resourceVersion": "0", "timeoutSeconds": "600"}
        async for event in self.api.events(self.path, query, 60.0):
            name = event["object"]["metadata"]["name"]
            if event["type"] == "DELETED":
                self.left[name].set()
            elif event["object"].get("status", {}).get("phase") == "Succeeded":
                self.ended[name].set()

    async def one(self, number: int) -> None:
        from cluster_attempts import LiveBench
        from kubernetes_bench import attempt_id

        from flyte_jupyter.engine.pods.manifest import pod_for

        spec = LiveBench.shell(None, "true", attempt_id(f"n{number}"))
        made = pod_for(spec, self.settings.pods)
        name = made["metadata"]["name"]
        self.ended[name], self.left[name] = asyncio.Event(), asyncio.Event()
        await self.api.create(self.path, made)
        await self.ended[name].wait()
        self.last = name
        await self.api.delete(f"{self.path}/{name}")

    async def all_left(self) -> None:
        await asyncio.gather(*(left.wait() for left in self.left.values()))


async def _raw_rate(cluster: Any) -> float:
    namespace = _namespace(cluster)
    settings = _settings(namespace)
    async with _api(cluster, settings) as api:
        loop = RawLoop(api, namespace, settings)
        watching = asyncio.create_task(loop.watch())
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with room:
                await loop.one(number)

        start = time.perf_counter()
        await asyncio.gather(*(one(n) for n in range(WIDE)))
        await loop.all_left()
        took = time.perf_counter() - start
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    return WIDE / took


async def _raw_chain(cluster: Any, namespace: str) -> None:
    settings = _settings(namespace)
    async with _api(cluster, settings) as api:
        loop = RawLoop(api, namespace, settings)
        watching = asyncio.create_task(loop.watch())
        for number in range(LONG):
            await loop.one(number)
        await loop.all_left()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _our_rate(cluster: Any) -> float:
    namespace = _namespace(cluster)
    took = await _launched(cluster, namespace, WIDE, chain=False)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    return WIDE / took


async def _our_chain(cluster: Any, namespace: str) -> None:
    await _launched(cluster, namespace, LONG, chain=True)


def _namespace(cluster: Any) -> str:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    cluster.make_namespace(name)
    return name


async def _launched(cluster: Any, namespace: str, nodes: int, *, chain: bool) -> float:
    """Seconds from the launch of a workflow to its end, its pods gone. Data stands in a folder: fake pods read none."""
    from flyte_jupyter.idl.ids import RunId
    from flyte_jupyter.server.admin.calls import Caller
    from flyte_jupyter.server.admin.table import use_cases
    from flyte_jupyter.server.assembly import open_database
    from flyte_jupyter.server.cluster import plane_on
    from flyte_jupyter.store.projections import execution_is_final

    settings = _settings(namespace)
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder))
        async with _api(cluster, settings) as api:
            plane = plane_on(api, database, Path(folder), f"{folder}/blobs", settings)
            await plane.engine.start()
            for name, message in _requests(nodes, chain=chain):
                await use_cases(plane.platform)[name](message, Caller("bench"))
            start = time.perf_counter()
            launch = _execution(nodes)
            await use_cases(plane.platform)["CreateExecution"](launch, Caller("bench"))
            run = RunId(launch.project, launch.domain, launch.name)
            while True:
                found = await plane.platform.executions.get(run)
                if execution_is_final(found.closure.phase):
                    break
                await asyncio.sleep(0.02)
            assert found.closure.phase == 4, found.closure.error
            await _emptied(api, namespace)
            took = time.perf_counter() - start
            await plane.engine.stop()
        await database.close()
    return took


async def _emptied(api: Any, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    while (await api.read(path, {"limit": "1"}))["items"]:  # noqa: ASYNC110 - it asks a server
        await asyncio.sleep(0.01)


def _requests(nodes: int, *, chain: bool) -> Iterator[tuple[str, Any]]:
    """A task without data, and a workflow of it: one after the other, or all at once."""
    from task_image import TASK_IMAGE

    from flyte_jupyter.idl import admin, core

    def identifier(kind: int, name: str) -> Any:
        return core.Identifier(resource_type=kind, project="flytesnacks", domain="development", name=name, version="v1")  # fmt: skip

    task = identifier(core.ResourceType.TASK, "bench.step")
    interface = core.TypedInterface(inputs=core.VariableMap(), outputs=core.VariableMap())
    template = core.TaskTemplate(
        id=task,
        type="raw-container",
        interface=interface,
        container=core.Container(image=TASK_IMAGE, args=["true"]),
    )
    yield "CreateTask", admin.TaskCreateRequest(id=task, spec=admin.TaskSpec(template=template))
    workflow = identifier(core.ResourceType.WORKFLOW, "bench.workflow")
    made = core.WorkflowTemplate(id=workflow, interface=interface)
    for number in range(nodes):
        node = made.nodes.add(id=f"n{number}", task_node=core.TaskNode(reference_id=task))
        node.metadata.name = f"n{number}"
        if chain and number:
            node.upstream_node_ids.append(f"n{number - 1}")
    yield "CreateWorkflow", admin.WorkflowCreateRequest(id=workflow, spec=admin.WorkflowSpec(template=made))  # fmt: skip
    plan = identifier(core.ResourceType.LAUNCH_PLAN, "bench.workflow")
    yield "CreateLaunchPlan", admin.LaunchPlanCreateRequest(id=plan, spec=admin.LaunchPlanSpec(workflow_id=workflow))  # fmt: skip


def _execution(nodes: int) -> Any:
    from flyte_jupyter.idl import admin, core

    where = {"project": "flytesnacks", "domain": "development"}
    kind = core.ResourceType.LAUNCH_PLAN
    plan = core.Identifier(resource_type=kind, name="bench.workflow", version="v1", **where)
    spec = admin.ExecutionSpec(launch_plan=plan, max_parallelism=nodes)
    return admin.ExecutionCreateRequest(name="bench", spec=spec, **where)


def _gaps(cluster: Any, chain: Any) -> tuple[float, float]:
    """Milliseconds from a pod's success to the next pod's creation, median and 99th, as a process of its own sees them."""
    namespace = _namespace(cluster)
    words = [sys.executable, "-m", "benchmarks.kubernetes", str(cluster.kubeconfig), namespace]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()
        asyncio.run(chain(cluster, namespace))
        seen: dict[str, list[float]] = {"created": [], "succeeded": []}
        while len(seen["succeeded"]) < LONG:
            what, at = watcher.stdout.readline().split()
            seen[what].append(float(at))
        watcher.terminate()
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    pairs = zip(sorted(seen["succeeded"]), sorted(seen["created"])[1:], strict=False)
    gaps = sorted((created - succeeded) * 1000 for succeeded, created in pairs)
    return statistics.median(gaps), gaps[int(len(gaps) * 0.99)]


async def observe(kubeconfig: str, namespace: str) -> None:
    """Print when each pod of a namespace was seen to be there, and to have succeeded."""
    from flyte_jupyter.engine.adapters.kubernetes.api import Api
    from flyte_jupyter.engine.adapters.kubernetes.connection import connect
    from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings

    api = Api(await connect(ConnectionSettings(Path(kubeconfig))))
    seen: set[tuple[str, str]] = set()
    path = f"/api/v1/namespaces/{namespace}/pods"
    version = (await api.read(path))["metadata"]["resourceVersion"]
    print("ready", flush=True)
    query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "900"}
    async for event in api.events(path, query, 900.0):
        at, name = time.monotonic(), event["object"]["metadata"]["name"]
        done = event["object"].get("status", {}).get("phase") == "Succeeded"
        what = "succeeded" if done else "created"
        if (what, name) not in seen and (done or event["type"] == "ADDED"):
            seen.add((what, name))
            print(what, at, flush=True)


if __name__ == "__main__":
    asyncio.run(observe(sys.argv[1], sys.argv[2]))
