"""Figures on fake nodes (KWOK), where pods run and end at once: what is left is the API server's time and ours.

They stand beside a loop of the same client that does nothing but create, watch and delete, in the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.ours import ROOT
from benchmarks.table import Figure
from benchmarks.transitions import Overheard

if TYPE_CHECKING:
    from flyte_jupyter.engine.adapters.kubernetes.api import Transport
    from flyte_jupyter.engine.adapters.kubernetes.connection import KubernetesConnection

WIDE, LONG, AT_ONCE = 500, 100, 64
GAPS = {
    "raw client: pod succeeded to next created": (None, None),
    "raw client: success heard to next create sent": (None, None),
    "our engine: pod succeeded to next created": (10, None),
    "our engine: success heard to next create sent": (10, 50),
}
"""Between two pods of a chain, as a process of its own sees it and as the engine does; the most that it may be."""


def on_fake_nodes(cluster: Any) -> Iterator[Figure]:
    """Pods that run and end at once, so that what is left is the API server's time and ours."""
    from fake_nodes import FakeNodes
    from serving import define

    define(cluster)
    nodes = FakeNodes.start(cluster, number=4)
    try:
        # In turn, and the middle of three: the cluster's own pace changes from one minute to the next.
        rates = [_rates(cluster) for _ in range(3)]
        raw, ours = (statistics.median(each) for each in zip(*rates, strict=True))
        yield Figure(f"raw client, {WIDE} pods: create, watch, delete", raw, "pods/s")
        yield Figure(f"a workflow of {WIDE} nodes, a pod each", ours, "pods/s")
        yield Figure("raw client's rate to ours", raw / ours, "x", 2)
        gaps = [_both_gaps(cluster) for _ in range(3)]
        for at, (name, targets) in enumerate(GAPS.items()):
            for which, (percentile, target) in enumerate(zip(("p50", "p99"), targets, strict=True)):
                value = statistics.median(each[at][which] for each in gaps)
                yield Figure(f"{name}, {percentile}", value, "ms", target)
    finally:
        nodes.stop()


def _rates(cluster: Any) -> tuple[float, float]:
    """Pods a second, the raw client's and ours, one after the other."""
    raw, ours = asyncio.run(_raw_rate(cluster)), asyncio.run(_our_rate(cluster))
    print(f"  raw {raw:.1f}, ours {ours:.1f} pods/s, load {os.getloadavg()[0]:.1f}", flush=True)
    return raw, ours


def _both_gaps(cluster: Any) -> list[tuple[float, float]]:
    """The gaps of `GAPS`, the raw client's chain and ours one after the other: median and 99th, in milliseconds."""
    chains = [_gaps(cluster, chain) for chain in (_raw_chain, _our_chain)]
    found = [_percentiles(gaps) for both in chains for gaps in both]
    raw, _, ours, own = (p50 for p50, _ in found)
    print(f"  raw {raw:.1f}, ours {ours:.1f}, of that our part {own:.1f} ms, load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    return found


def _percentiles(gaps: list[float]) -> tuple[float, float]:
    ordered = sorted(each * 1000 for each in gaps)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)]


def _settings(namespace: str) -> Any:
    import dataclasses

    from cluster_attempts import settings_for

    from flyte_jupyter.engine.adapters.kubernetes.settings import PaceSettings

    made = settings_for(namespace, pace=PaceSettings(qps=1e5, burst=100_000))
    # Fake pods have no logs, and the API server takes long to find that out.
    return dataclasses.replace(made, tell_after=1.0, log_seconds=0.0)


async def _connected(kubeconfig: Path) -> KubernetesConnection:
    from flyte_jupyter.engine.adapters.clock import SystemClock
    from flyte_jupyter.engine.adapters.kubernetes.connection import connect
    from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings

    return await connect(ConnectionSettings(kubeconfig), SystemClock())


@contextlib.asynccontextmanager
async def _api(connection: Transport, settings: Any) -> AsyncIterator[Any]:
    from flyte_jupyter.engine.adapters.kubernetes.api import Api

    api = Api(connection, settings.pace)
    try:
        yield api
    finally:
        await api.close()


async def _watched(api: Any, path: str, version: str) -> AsyncIterator[Any]:
    """What happens below a path from this version on. A busy API server ends watches that are read too slowly: it is asked on."""
    while True:
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
        async for event in api.events(path, query, 60.0):
            version = event["object"]["metadata"]["resourceVersion"]
            yield event


async def _version(api: Any, path: str) -> str:
    """The version that a watch for all that is still to come begins with."""
    return str((await api.read(path))["metadata"]["resourceVersion"])


class RawLoop:
    """Creates pods, hears of their ends by one watch, deletes them: as little as anybody can do who runs pods.

    They are pods of the task that our engine runs, without the owner that it gives them.
    """

    def __init__(self, api: Any, namespace: str, settings: Any) -> None:
        from flyte_jupyter.engine.pods.drafts import Drafts

        self.api, self.namespace = api, namespace
        self.task, self.drafts = _task(), Drafts(settings.pods)
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        self.ended: dict[str, asyncio.Event] = {}
        self.left: dict[str, asyncio.Event] = {}

    async def watch(self, version: str) -> None:
        async for event in _watched(self.api, self.path, version):
            name = event["object"]["metadata"]["name"]
            if event["type"] == "DELETED":
                self.left[name].set()
            elif event["object"].get("status", {}).get("phase") == "Succeeded":
                self.ended[name].set()

    async def run(self, number: int) -> str:
        """Create a pod and wait for its end; its name."""
        from kubernetes_bench import attempt_id

        from flyte_jupyter.engine.ports import AttemptSpec

        attempt = attempt_id(f"n{number}")
        where = f"file:///bench/{number}"
        spec = AttemptSpec(
            attempt, self.task, f"{where}/inputs.pb", where, where, {}, workflow="bench.workflow"
        )
        made = self.drafts.of(spec).pod(spec)
        name = made["metadata"]["name"]
        self.ended[name], self.left[name] = asyncio.Event(), asyncio.Event()
        await self.api.create(self.path, made)
        await self.ended[name].wait()
        return str(name)

    async def delete(self, name: str) -> None:
        await self.api.delete(f"{self.path}/{name}")

    async def watched(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work while the watch goes on."""
        watch = asyncio.create_task(self.watch(await _version(self.api, self.path)))
        working = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait([watch, working], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            assert working in done, "the watch ended before the work"
        finally:
            for task in (watch, working):
                task.cancel()
            await asyncio.gather(watch, working, return_exceptions=True)

    async def all_left(self) -> None:
        await asyncio.gather(*(left.wait() for left in self.left.values()))


async def _raw_rate(cluster: Any) -> float:
    namespace = _namespace(cluster)
    settings = _settings(namespace)
    async with _api(await _connected(cluster.kubeconfig), settings) as api:
        loop = RawLoop(api, namespace, settings)
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with room:
                await loop.delete(await loop.run(number))

        async def all_of_them() -> None:
            await asyncio.gather(*(one(n) for n in range(WIDE)))
            await loop.all_left()

        start = time.perf_counter()
        await loop.watched(all_of_them())
        took = time.perf_counter() - start
    _remove(cluster, namespace)
    return WIDE / took


async def _raw_chain(connection: Transport, namespace: str) -> None:
    settings = _settings(namespace)
    async with _api(connection, settings) as api:
        loop = RawLoop(api, namespace, settings)

        async def one_by_one() -> None:
            # What comes next does not wait for what was to be gone, as it does not with us.
            async with asyncio.TaskGroup() as deletions:
                for number in range(LONG):
                    deletions.create_task(loop.delete(await loop.run(number)))
            await loop.all_left()

        await loop.watched(one_by_one())


async def _our_rate(cluster: Any) -> float:
    namespace = _namespace(cluster)
    took = await _launched(await _connected(cluster.kubeconfig), namespace, WIDE)
    _remove(cluster, namespace)
    return WIDE / took


async def _our_chain(connection: Transport, namespace: str) -> None:
    await _launched(connection, namespace, LONG, chain=True)


def _namespace(cluster: Any) -> str:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    cluster.make_namespace(name)
    return name


def _remove(cluster: Any, namespace: str) -> None:
    """Take it away with its hundreds of events, so that this does not go on while the next is measured."""
    cluster.kubectl("delete", "namespace", namespace)


async def _launched(
    connection: Transport, namespace: str, nodes: int, *, chain: bool = False
) -> float:
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
        async with _api(connection, settings) as api:
            plane = plane_on(api, database, Path(folder), f"{folder}/blobs", settings)
            await plane.engine.start()
            for name, message in _requests(nodes, chain=chain):
                await use_cases(plane.platform)[name](message, Caller("bench"))
            start = time.perf_counter()
            launch = _execution()
            await use_cases(plane.platform)["CreateExecution"](launch, Caller("bench"))
            run = RunId(launch.project, launch.domain, launch.name)
            while True:
                found = await plane.platform.executions.get(run)
                if execution_is_final(found.closure.phase):
                    break
                await asyncio.sleep(0.1)
            assert found.closure.phase == 4, found.closure.error
            await _emptied(api, namespace)
            took = time.perf_counter() - start
            await _forgotten(api, namespace)
            await plane.engine.stop()
        await database.close()
    return took


async def _emptied(api: Any, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    while (await api.read(path, {"limit": "1"}))["items"]:  # noqa: ASYNC110 - it asks a server
        await asyncio.sleep(0.01)


async def _forgotten(api: Any, namespace: str) -> None:
    """Delete what shows the execution in the cluster: only the engine, while it runs, lets it go."""
    from flyte_jupyter.engine.adapters.kubernetes.handles import path_of

    while shown := (await api.read(path_of(namespace)))["items"]:
        for handle in shown:
            if not handle["metadata"].get("deletionTimestamp"):
                await api.delete(path_of(namespace, handle["metadata"]["name"]))
        await asyncio.sleep(0.1)


def _identifier(kind: Any, name: str) -> Any:
    from flyte_jupyter.idl import core

    return core.Identifier(resource_type=kind, project="flytesnacks", domain="development", name=name, version="v1")  # fmt: skip


def _task() -> Any:
    """A task without data."""
    from task_image import TASK_IMAGE

    from flyte_jupyter.idl import core

    return core.TaskTemplate(
        id=_identifier(core.ResourceType.TASK, "bench.step"),
        type="raw-container",
        interface=core.TypedInterface(inputs=core.VariableMap(), outputs=core.VariableMap()),
        container=core.Container(image=TASK_IMAGE, args=["true"]),
    )


def _requests(nodes: int, *, chain: bool) -> Iterator[tuple[str, Any]]:
    """A task, and a workflow of it: one after the other, or all at once."""
    from flyte_jupyter.idl import admin, core

    template = _task()
    task, interface = template.id, template.interface
    yield "CreateTask", admin.TaskCreateRequest(id=task, spec=admin.TaskSpec(template=template))
    workflow = _identifier(core.ResourceType.WORKFLOW, "bench.workflow")
    made = core.WorkflowTemplate(id=workflow, interface=interface)
    for number in range(nodes):
        node = made.nodes.add(id=f"n{number}", task_node=core.TaskNode(reference_id=task))
        node.metadata.name = f"n{number}"
        if chain and number:
            node.upstream_node_ids.append(f"n{number - 1}")
    yield "CreateWorkflow", admin.WorkflowCreateRequest(id=workflow, spec=admin.WorkflowSpec(template=made))  # fmt: skip
    plan = _identifier(core.ResourceType.LAUNCH_PLAN, "bench.workflow")
    yield "CreateLaunchPlan", admin.LaunchPlanCreateRequest(id=plan, spec=admin.LaunchPlanSpec(workflow_id=workflow))  # fmt: skip


def _execution() -> Any:
    from flyte_jupyter.idl import admin, core

    where: dict[str, Any] = {"project": "flytesnacks", "domain": "development"}
    kind = core.ResourceType.LAUNCH_PLAN
    plan = core.Identifier(resource_type=kind, name="bench.workflow", version="v1", **where)
    spec = admin.ExecutionSpec(launch_plan=plan, max_parallelism=AT_ONCE)
    return admin.ExecutionCreateRequest(name="bench", spec=spec, **where)


def _gaps(cluster: Any, chain: Any) -> tuple[list[float], list[float]]:
    """Seconds from a pod's success to the next pod's creation, as a process of its own sees them, and what of that is ours."""

    async def overheard() -> list[float]:
        connection = Overheard(await _connected(cluster.kubeconfig))
        await chain(connection, namespace)
        return connection.transitions()

    namespace = _namespace(cluster)
    words = [sys.executable, "-m", "benchmarks.fake_nodes", str(cluster.kubeconfig), namespace]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()
        own = asyncio.run(overheard())
        seen: dict[str, list[float]] = {"created": [], "succeeded": []}
        while len(seen["succeeded"]) < LONG:
            what, at = watcher.stdout.readline().split()
            seen[what].append(float(at))
        watcher.terminate()
    _remove(cluster, namespace)
    pairs = zip(sorted(seen["succeeded"]), sorted(seen["created"])[1:], strict=False)
    return [created - succeeded for succeeded, created in pairs], own


async def observe(kubeconfig: str, namespace: str) -> None:
    """Print when each pod of a namespace was seen to be there, and to have succeeded."""
    from flyte_jupyter.engine.adapters.kubernetes.api import Api

    api = Api(await _connected(Path(kubeconfig)))
    seen: set[tuple[str, str]] = set()
    path = f"/api/v1/namespaces/{namespace}/pods"
    version = await _version(api, path)
    print("ready", flush=True)
    async for event in _watched(api, path, version):
        at, name = time.monotonic(), event["object"]["metadata"]["name"]
        done = event["object"].get("status", {}).get("phase") == "Succeeded"
        what = "succeeded" if done else "created"
        if (what, name) not in seen and (done or event["type"] == "ADDED"):
            seen.add((what, name))
            print(what, at, flush=True)


if __name__ == "__main__":
    asyncio.run(observe(sys.argv[1], sys.argv[2]))
