"""Worker pods on a real cluster: the same image, forks instead of pods."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from cluster_attempts import LiveBench
from cluster_planes import cluster_settings, own_task
from kubernetes_bench import attempt_id
from local_attempts import bundle, number, seen

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.routing import ClusterExecutor
from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings, WarmSettings
from flyte_jupyter.engine.adapters.kubernetes.warm.executor import WarmExecutor
from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.engine.ports import Accepted, AttemptSpec
from flyte_jupyter.idl import core

SOURCE = """
def do_echo(inputs):
    print("here", flush=True)

def do_wait(inputs):
    import time
    print("waiting", flush=True)
    time.sleep(1000)
"""
BUNDLE = "s3://flyte/code/workers.tar.gz"


class WorkerBench(LiveBench):
    def task(self, name: str, node: str, *, warm: bool = True) -> AttemptSpec:
        _, spec = own_task(f"steps.{name}", BUNDLE, f"steps:{name}")
        if warm:
            spec.template.config["flyte_jupyter.warm"] = "true"
        attempt = attempt_id(node, run=f"r{time.monotonic_ns()}")
        where = f"s3://flyte/{attempt.run.name}/{node}"
        return AttemptSpec(
            attempt, spec.template, "s3://flyte/in.pb", f"{where}/0", f"{where}/raw", {}
        )


@pytest.fixture
def workers(node_cluster, s3_server, namespace, tmp_path):
    with open(bundle(tmp_path / "bundle", SOURCE).removeprefix("file://"), "rb") as file:
        s3_server.put("flyte", "code/workers.tar.gz", file.read())
    inputs = core.LiteralMap(literals={"x": number(3)})
    s3_server.put("flyte", "in.pb", inputs.SerializeToString())

    @contextlib.asynccontextmanager
    async def bench(**warm):
        settings = cluster_settings(
            namespace, s3_server, warm=WarmSettings(**{"most": 1, **warm}), patience=30.0
        )
        made = WorkerBench(None, SystemClock())
        at = ConnectionSettings(node_cluster.kubeconfig)
        made.api = Api(await connect(at, made.clock), settings.pace)
        parts = made.api, made.clock
        pods = KubernetesExecutor(
            *parts, FolderBlobs(tmp_path / "blobs"), tmp_path / "logs", settings=settings
        )
        made.executor = ClusterExecutor(pods, WarmExecutor(*parts, tmp_path / "logs", settings))
        await made.executor.start(made.news)
        try:
            yield made
        finally:
            await made.executor.stop()
            await made.api.close()

    bench.pods = lambda: node_cluster.get("pods", "-n", namespace)["items"]
    bench.delete = lambda name: node_cluster.kubectl(
        "delete", "pod", name, "-n", namespace, "--grace-period=0", "--force"
    )
    return bench


def test_a_worker_serves_attempts_faster_than_pods_could_start(workers, record_property):
    async def main():
        async with workers() as b:
            cold = b.task("echo", "cold", warm=False)
            began = time.monotonic()
            assert (await b.run(cold)).code == 0
            alone = time.monotonic() - began
            record_property("alone", alone)
            first = b.task("echo", "first")
            assert (await b.run(first)).code == 0
            began = time.monotonic()
            specs = [b.task("echo", f"n{i}") for i in range(10)]
            for spec in specs:
                assert (await b.run(spec)).code == 0
            took = (time.monotonic() - began) / len(specs)
            record_property("warm", took)
            print(f"a pod of its own: {alone:.2f} s, a fork in a warm one: {took:.2f} s")
            for spec in [cold, first, *specs]:
                await b.executor.reap(spec.id)
            assert await b.log(specs[3]) == "here\n"
            (worker,) = workers.pods()
            assert worker["metadata"]["name"].startswith("worker-")
            assert "execution-id" not in worker["metadata"]["labels"]

    asyncio.run(main())


def test_a_kill_ends_the_attempt_and_not_the_worker_and_a_deleted_worker_is_the_systems_fault(
    workers,
):
    async def main():
        async with workers() as b:
            killed, deleted, last = b.task("wait", "n0"), b.task("wait", "n1"), b.task("echo", "n2")
            await b.executor.launch(killed)
            await b.started(killed.id)
            assert (await seen(lambda: b.log(killed))).startswith("waiting")
            await b.executor.kill(killed.id)
            assert await b.executor.launch(deleted) == Accepted()
            await b.started(deleted.id)
            (worker,) = workers.pods()
            workers.delete(worker["metadata"]["name"])
            how = await b.ended(deleted.id)
            assert (how.why.code, how.why.blame) == ("WorkerLost", Blame.SYSTEM)
            assert (await b.run(last)).code == 0

    asyncio.run(main())


def test_the_next_engine_adopts_workers_and_what_they_do(workers):
    async def main():
        async with workers() as b:
            spec, done = b.task("wait", "n0"), b.task("echo", "n1")
            assert (await b.run(done)).code == 0
            await b.executor.launch(spec)
            await b.started(spec.id)
        async with workers() as b:
            listing = await b.executor.listing()
            assert listing.running == {spec.id}
            assert set(listing.ended) == {done.id}
            await b.executor.kill(spec.id)
            await b.executor.reap(done.id)
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_an_idle_worker_goes_also_when_no_engine_is_there(workers):
    async def main():
        async with workers(idle_seconds=1.0) as b:
            assert (await b.run(b.task("echo", "n0"))).code == 0
        await seen(ended)

    async def ended():
        return all(p["status"]["phase"] == "Succeeded" for p in workers.pods())

    asyncio.run(main())
