"""The lease is held while an engine begins, and nothing leaves one that has lost it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from engine_programs import INT, Shelf, flow, node, task
from engine_worlds import RUN, World, until, workflow

from flyte_jupyter.engine.adapters.memory import MemoryExecutor
from flyte_jupyter.engine.core.observations import AbortRequested
from flyte_jupyter.engine.core.state import RunPhase, Stage
from flyte_jupyter.engine.engine import EngineState
from flyte_jupyter.engine.lease import Tenure
from flyte_jupyter.engine.ports import NotNow, Waits
from flyte_jupyter.idl.ids import RunId

ONE = {"a": ()}
ADD = task("add", {"x0": INT})
CHILD = flow("child", [node("n0", ADD, x0=1)])
PARENT = flow("parent", [node("n0", "child")])
RESERVED = {"discoverable": True, "discovery_version": "1", "cache_serializable": True}


class Slow:
    """Has a port's call wait until it may go on."""

    def __init__(self, port, name):
        self._call = getattr(port, name)
        self.asked = []
        self.goes_on = asyncio.Event()
        setattr(port, name, self)

    async def __call__(self, *args, **more):
        self.asked.append(args)
        await self.goes_on.wait()
        return await self._call(*args, **more)


async def pass_time(world, seconds):
    """Have time pass, and everybody do what it brings."""
    for _ in range(seconds):
        world.clock.advance(timedelta(seconds=1))
        for _ in range(20):
            await asyncio.sleep(0)


class Unlisted(MemoryExecutor):
    """Cannot say what it has."""

    async def listing(self):
        raise ValueError("what it has cannot be read")


def test_an_engine_that_takes_long_to_begin_keeps_its_lease():
    async def main():
        world = World()
        world.create(workflow(ONE))
        load = Slow(world.runs, "load")
        first, second = world.engine(), world.engine()
        starting = asyncio.create_task(first.start())
        await until(lambda: load.asked)
        await second.start()
        await pass_time(world, 60)
        assert second.status().state is EngineState.STANDBY
        load.goes_on.set()
        await starting
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert first.status().state is EngineState.ACTIVE
        await first.stop()
        await second.stop()

    asyncio.run(main())


def test_an_engine_that_loses_its_lease_while_it_begins_stands_by():
    async def main():
        world = World()
        world.create(workflow(ONE))
        load = Slow(world.runs, "load")
        first = world.engine()
        starting = asyncio.create_task(first.start())
        await until(lambda: load.asked)
        await world.runs.acquire("usurper", timedelta(hours=1), world.clock.now(), force=True)
        await pass_time(world, 6)
        await until(starting.done)
        assert first.status().state is EngineState.STANDBY
        assert "taken over" in first.status().notice
        assert not world.executor.created
        await first.stop()

    asyncio.run(main())


def test_an_engine_whose_run_hears_of_another_while_it_begins_stands_by():
    async def main():
        world = World()
        for name in ("r1", "r2", "r3"):
            world.create(workflow(ONE), RunId("p", "d", name))
        first, load, told = world.engine(), world.runs.load, []

        async def overtaken(run):
            told.append(run)
            if len(told) == 2:
                usurper = "usurper", timedelta(hours=1), world.clock.now()
                await world.runs.acquire(*usurper, force=True)
                await pass_time(world, 1)
            return await load(run)

        world.runs.load = overtaken
        await first.start()
        assert first.status().state is EngineState.STANDBY
        assert not world.executor.created
        await first.stop()

    asyncio.run(main())


def test_an_engine_that_cannot_begin_leaves_the_lease_to_one_that_can():
    async def main():
        world = World()
        world.create(workflow(ONE))
        await world.runs.acquire("gone", timedelta(seconds=15), world.clock.now())
        unlisted = replace(world.ports(), executor=Unlisted(world.add_up))
        sick, well = world.engine(ports=unlisted), world.engine()
        await sick.start()
        await well.start()
        await pass_time(world, 30)
        assert sick.status().state is EngineState.STANDBY
        assert well.status().state is EngineState.ACTIVE
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        await sick.stop()
        await well.stop()

    asyncio.run(main())


def test_an_engine_that_stood_still_launches_nothing_again_and_keeps_no_reservation():
    async def main():
        world = World(by_itself=False)
        world.create(workflow(ONE, **RESERVED))
        first = world.engine()
        await first.start()
        await until(lambda: world.executor.queued)
        (waits,) = world.executor.queued
        world.executor.hold(waits, Waits(Stage.RESOURCES, "the quota is used up"))
        await until(lambda: "quota" in repr(world.runs.heard(RUN)))
        world.executor.vanish(waits)
        reserved = dict(world.catalog.reservations)
        assert reserved
        await world.runs.acquire("another", timedelta(hours=1), world.clock.now(), force=True)
        acquire = Slow(world.runs, "acquire")
        world.clock.stand_still(timedelta(seconds=40))
        await until(lambda: acquire.asked)
        await pass_time(world, 1)
        acquire.goes_on.set()
        await pass_time(world, 6)
        assert first.status().state is EngineState.STANDBY
        assert world.executor.created == [waits]
        assert world.catalog.reservations == reserved
        await first.stop()

    asyncio.run(main())


@pytest.mark.parametrize("told", [True, False], ids=["a gap", "out of time"])
def test_an_engine_that_stood_still_in_a_launch_makes_no_other(told):
    async def main():
        world = World(by_itself=False)
        world.create(workflow(dict.fromkeys("abcdefgh", ())))
        first, launch, hour = world.engine(), world.executor.launch, timedelta(hours=1)

        async def stands_still(spec):
            answer = await launch(spec)
            if len(world.executor.created) == 3:
                if told:
                    world.clock.stand_still(timedelta(seconds=20))
                else:
                    world.clock.advance(timedelta(seconds=20))
                    await asyncio.sleep(0)
                await world.runs.acquire("another", hour, world.clock.now())
            return answer

        world.executor.launch = stands_still
        await first.start()
        await until(lambda: world.executor.created)
        await pass_time(world, 6)
        assert first.status().state is EngineState.STANDBY
        assert len(world.executor.created) == 3
        await first.stop()

    asyncio.run(main())


def test_nobody_is_sure_of_a_lease_that_is_being_taken_again():
    async def main():
        world, second = World(), timedelta(seconds=1)
        tenure = Tenure(world.runs, world.clock, "me", 15 * second, 5 * second)
        await tenure.take()
        stood, seen = [], []
        acquire = Slow(world.runs, "acquire")

        async def all_is_well():
            await tenure.check(stood.append)
            seen.append(tenure.is_sure())
            world.clock.stand_still(20 * second)

        async def finds_out():
            await tenure.check(stood.append)

        async def comes_meanwhile():
            seen.append(tenure.is_sure())
            acquire.goes_on.set()

        await asyncio.gather(all_is_well(), finds_out(), comes_meanwhile())
        assert seen == [True, False]
        assert stood == [20 * second]

    asyncio.run(main())


async def unavailable(_):
    raise NotNow("nothing can be launched right now")


def test_an_engine_that_stood_still_starts_no_child_of_what_another_has_ended():
    async def main():
        world, shelf = World(), Shelf(ADD, plans={"child": CHILD})
        world.plans.update(shelf.plans)
        launch = Slow(world.children, "launch")
        first, second = world.engine("first"), world.engine()
        await first.start()
        world.create(shelf.compiled(PARENT))
        await until(lambda: launch.asked)
        world.children.launch = unavailable
        await world.runs.release("first")
        await second.start()
        world.runs.post(RUN, AbortRequested("it is not wanted any more", "ann"))
        assert (await world.ended()).state.summary.phase is RunPhase.ABORTED
        launch.goes_on.set()
        await pass_time(world, 6)
        assert first.status().state is EngineState.STANDBY
        assert not world.children.created
        await first.stop()
        await second.stop()

    asyncio.run(main())
