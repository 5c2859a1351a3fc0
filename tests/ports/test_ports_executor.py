"""What every executor owes the engine, over every adapter."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import pytest
from kubernetes_bench import bench as kubernetes_bench
from kubernetes_bench import spec_of as pod_spec_of
from local_attempts import Bench, attempt_id, bench, seen

from flyte_jupyter.engine.adapters.memory import MemoryExecutor
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.ports import Accepted, Executor


@dataclass
class Place:
    """An executor with attempts that end when they are told to."""

    executor: Executor
    bench: Bench
    tell: object

    def spec(self, node="n0", attempt=0):
        gate = self.bench.folder / f"gate-{node}-{attempt}"
        script = f"echo begun; until [ -e {gate} ]; do sleep 0.01; done; echo done"
        return self.bench.command(["/bin/sh", "-c", script], attempt_id(node, attempt))

    async def finish(self, spec):
        await self.bench.started(spec.id)
        gate = self.bench.folder / f"gate-{spec.id.path[0]}-{spec.id.attempt}"
        gate.touch()
        return await self.bench.ended(spec.id)


@contextlib.asynccontextmanager
async def local(folder):
    async with bench(folder) as b:
        yield Place(b.executor, b, None)


@contextlib.asynccontextmanager
async def memory(folder):
    b = Bench(folder)

    async def work(spec):
        gate = folder / f"gate-{spec.id.path[0]}-{spec.id.attempt}"

        async def look():
            return gate.exists()

        await seen(look)
        return Exit(code=0)

    executor = MemoryExecutor(work)
    await executor.start(b.news)
    yield Place(executor, b, None)
    await executor.stop()
    for path in ("n0", "n1"):
        (folder / f"gate-{path}-0").touch()

    async def idle():
        return not executor._tasks

    await seen(idle)


class PodPlace:
    """Pods of a fake cluster that run at once and end when they are told to."""

    def __init__(self, bench):
        self.bench = bench
        self.executor = bench.executor

    def spec(self, node="n0", attempt=0):
        return pod_spec_of(attempt_id(node, attempt))

    async def finish(self, spec):
        await self.bench.started(spec.id)
        self.bench.cluster.finish(self.bench.pod_of(spec.id))
        return await self.bench.ended(spec.id)


@contextlib.asynccontextmanager
async def pods(folder):
    async with kubernetes_bench(folder, http=True) as b:
        b.cluster.kubelet = b.cluster.run
        yield PodPlace(b)


places = pytest.mark.parametrize(
    "place", [local, memory, pods], ids=["local", "memory", "kubernetes"]
)


@places
def test_an_attempt_is_told_started_then_ended_and_stays_until_it_is_reaped(tmp_path, place):
    async def main():
        async with place(tmp_path) as p:
            spec = p.spec()
            assert await p.executor.launch(spec) == Accepted()
            assert spec.id in (await p.executor.listing()).all
            assert (await p.finish(spec)).code == 0
            assert [n.how is None for n in p.bench.said if n.id == spec.id] == [True, False]
            assert (await p.executor.listing()).ended[spec.id].code == 0
            await p.executor.reap(spec.id)
            await p.executor.reap(spec.id)
            assert not (await p.executor.listing()).all

    asyncio.run(main())


@places
def test_launching_twice_creates_one_attempt(tmp_path, place):
    async def main():
        async with place(tmp_path) as p:
            spec = p.spec()
            for _ in range(3):
                assert await p.executor.launch(spec) == Accepted()
            await p.finish(spec)
            assert await p.executor.launch(spec) == Accepted()
            assert len([n for n in p.bench.said if n.how is None]) == 1
            assert spec.id in (await p.executor.listing()).ended

    asyncio.run(main())


@places
def test_a_killed_attempt_is_gone_and_may_be_created_anew(tmp_path, place):
    async def main():
        async with place(tmp_path) as p:
            spec = p.spec()
            await p.executor.launch(spec)
            await p.bench.started(spec.id)
            await p.executor.kill(spec.id)
            await p.executor.kill(spec.id)
            assert not (await p.executor.listing()).all
            assert await p.executor.launch(spec) == Accepted()
            assert (await p.finish(spec)).code == 0

    asyncio.run(main())


@places
def test_killing_and_reaping_the_unknown_is_nothing(tmp_path, place):
    async def main():
        async with place(tmp_path) as p:
            await p.executor.kill(attempt_id("nobody"))
            await p.executor.reap(attempt_id("nobody"))
            assert not (await p.executor.listing()).all

    asyncio.run(main())


@places
def test_a_running_attempt_is_not_reaped(tmp_path, place):
    async def main():
        async with place(tmp_path) as p:
            spec = p.spec()
            await p.executor.launch(spec)
            await p.bench.started(spec.id)
            await p.executor.reap(spec.id)
            assert spec.id in (await p.executor.listing()).running
            await p.finish(spec)

    asyncio.run(main())


@places
def test_attempts_are_told_apart(tmp_path, place):
    async def main():
        async with place(tmp_path) as p:
            one, two = p.spec("n0"), p.spec("n1")
            await p.executor.launch(one)
            await p.executor.launch(two)
            await p.bench.started(two.id)
            await p.finish(one)
            listing = await p.executor.listing()
            assert set(listing.ended) == {one.id}
            assert listing.running == {two.id}
            await p.finish(two)

    asyncio.run(main())


@places
def test_a_log_that_is_not_there_is_empty(tmp_path, place):
    async def main():
        async with place(tmp_path) as p:
            part = await p.executor.read_log(attempt_id("nobody"), 0, 100)
            assert part.data == b""

    asyncio.run(main())
