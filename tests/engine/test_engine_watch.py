"""Alarms and heartbeats of runs that are large."""

from __future__ import annotations

import asyncio
import gc
import warnings
from datetime import timedelta

from engine_programs import INT, Listed, Shelf, flow, mapped, node, task
from engine_worlds import RUN

from flyte_jupyter.engine.adapters.memory import ManualClock
from flyte_jupyter.engine.watch import Timers
from flyte_jupyter.idl.ids import RunId


def test_alarms_that_were_set_anew_are_forgotten():
    clock, fired = ManualClock(), []
    timers = Timers(clock, fired.append)
    other = RunId("p", "d", "other")
    timers.set(other, clock.now() + timedelta(hours=1))
    for number in range(100_000):
        timers.set(RUN, clock.now() + timedelta(days=1, seconds=number))
    assert len(timers._heap) < 1000

    async def main():
        keeping = asyncio.create_task(timers.keep())
        clock.advance(timedelta(hours=2))
        async with asyncio.timeout(20):
            while fired != [other]:  # noqa: ASYNC110 - it has no event, and nothing is timed
                await asyncio.sleep(0)
            clock.advance(timedelta(days=3))
            while fired != [other, RUN]:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0)
        keeping.cancel()

    asyncio.run(main())


def test_alarms_whose_loop_ends_before_they_sleep_leave_nothing():
    clock = ManualClock()
    timers = Timers(clock, lambda run: None)
    timers.set(RUN, clock.now() + timedelta(hours=1))

    async def main():
        keeping = asyncio.create_task(timers.keep())
        await asyncio.sleep(0)
        # What a loop does with its tasks when it ends: also with those that have not begun.
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    assert not told


def test_the_reservations_of_a_large_map_are_extended_together(play):
    """One after the other they would run out before the last had its turn."""
    slow = task(
        "slow", {"x0": INT}, discoverable=True, discovery_version="1", cache_serializable=True
    )
    many = flow("m", [node("m", mapped(slow), x0=list(range(200)))], {"o": Listed("m.o")})

    async def scenario(world, engine):
        world.create(Shelf(slow).compiled(many))
        async with asyncio.timeout(20):
            while len(world.executor.queued) < 200:  # noqa: ASYNC110 - it has no event, and nothing is timed
                await asyncio.sleep(0)
            reserve, now, most, done = world.catalog.reserve, 0, 0, 0

            async def counted(*asked):
                nonlocal now, most, done
                now += 1
                most = max(most, now)
                await asyncio.sleep(0)
                now, done = now - 1, done + 1
                return await reserve(*asked)

            world.catalog.reserve = counted
            world.clock.advance(timedelta(seconds=10))
            while done < 200:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0)
        assert most > 10

    play(scenario, by_itself=False)
