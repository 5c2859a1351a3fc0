"""The engine and its pods together, over an API server in memory: what neither of them alone would lose."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from engine_programs import INT, Shelf, flow, node, task
from engine_worlds import RUN, World
from fake_cluster import FakeCluster
from kubernetes_bench import QUICK

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.core.state import Queued, RunPhase, Stage
from flyte_jupyter.engine.engine import Ports
from flyte_jupyter.engine.pods.naming import attempt_of
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.ids import AttemptId

ADD = task("add", {"x0": INT})
TWO = flow("two", [node("a", ADD, x0=1), node("b", ADD, x0=2)], {"o": "a.o", "p": "b.o"})


@contextlib.asynccontextmanager
async def engine_over(world, cluster, folder):
    """An engine with an executor of its own, as another process has."""
    api = Api(cluster, QUICK.pace)
    executor = KubernetesExecutor(api, world.clock, world.blobs, folder, settings=QUICK)
    engine = world.engine(
        ports=Ports(
            world.runs,
            executor,
            world.blobs,
            world.catalog,
            world.clock,
            world.children,
            world.signals,
        )
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def until(look, within=20.0):
    async with asyncio.timeout(within):
        while not (found := await look()):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.002)
        return found


async def succeeds(world, cluster, pod):
    attempt = attempt_of(pod)
    outputs = core.LiteralMap(literals={"o": literals.literal(7)})
    uri = layout.outputs_uri(world.blobs.root, attempt)
    await world.blobs.put(uri, outputs.SerializeToString())
    cluster.run(pod)
    cluster.finish(pod)


def test_an_attempt_that_a_quota_keeps_waiting_survives_its_engine(tmp_path):
    async def main():
        world = World(by_itself=False)
        cluster = FakeCluster(world.clock.now)
        cluster.quota["p-d"] = 1

        async def waiting():
            nodes = (await world.runs.load(RUN)).state.nodes.values()
            kept = [each for each in nodes if isinstance(each, Queued)]
            return any(each.stage is Stage.RESOURCES for each in kept) and len(kept) == 2

        async def alive():
            return cluster.pods(alive=True)

        async with engine_over(world, cluster, tmp_path):
            world.create(Shelf(ADD).compiled(TWO))
            await until(waiting)
        world.clock.advance(timedelta(seconds=60))
        async with engine_over(world, cluster, tmp_path):
            made = []
            while len(made) < 2:
                (pod,) = await until(alive)
                made.append(attempt_of(pod))
                await succeeds(world, cluster, pod)
                await until(lambda: gone(cluster, made[-1]))
            assert set(made) == {AttemptId(RUN, (name,), 0) for name in ("a", "b")}
            assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    asyncio.run(main())


async def gone(cluster, attempt):
    return attempt not in [attempt_of(pod) for pod in cluster.pods()]
