"""Time in which the machine slept is nobody's time, whatever goes wrong just then."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from engine_worlds import RUN, until, workflow
from google.protobuf.duration_pb2 import Duration

from flyte_jupyter.engine.core.observations import Tick
from flyte_jupyter.engine.core.state import Running
from flyte_jupyter.engine.ports import StoreBusy
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

ONE = {"a": ()}
MINUTE = {"timeout": Duration(seconds=60)}
ASLEEP = timedelta(hours=8)
FINISH = core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE


async def state_of(world, node):
    return (await world.runs.load(RUN)).state.nodes[node,]


async def begins(world, node):
    """A node's attempt begins, and its run has heard of it."""
    attempt = AttemptId(RUN, (node,), 0)
    await until(lambda: attempt in world.executor.queued)
    world.executor.begin(attempt)
    async with asyncio.timeout(20):
        while not isinstance(await state_of(world, node), Running):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


def ticks(world):
    return [seen for _, seen in world.runs.heard(RUN) if isinstance(seen, Tick)]


def test_a_gap_outlasts_a_lease_that_cannot_be_renewed_at_once(play):
    async def scenario(world, engine):
        world.create(workflow(ONE, **MINUTE))
        await begins(world, "a")
        acquire, refused = world.runs.acquire, []

        async def busy(*args, **options):
            if len(refused) < 4:
                refused.append(args)
                raise StoreBusy("another process writes and does not come to an end")
            return await acquire(*args, **options)

        world.runs.acquire = busy
        world.clock.stand_still(ASLEEP)
        await until(lambda: ticks(world))
        assert len(refused) == 4
        assert ticks(world)[0] == Tick(ASLEEP)
        assert isinstance(await state_of(world, "a"), Running), "the time asleep does not count"

    play(scenario, by_itself=False)


def test_a_turn_that_failed_judges_no_deadline_before_the_gap_that_another_run_was_told_of(play):
    async def scenario(world, engine):
        world.create(workflow({"a": (), "b": ()}, FINISH, **MINUTE))
        await begins(world, "b")
        world.clock.advance(timedelta(seconds=30))
        await begins(world, "a")
        commit, waits, goes_on = world.runs.commit, asyncio.Event(), asyncio.Event()

        async def interrupted(what, nearly=None):
            if what.run == RUN and not waits.is_set():
                waits.set()
                await goes_on.wait()
                raise StoreBusy("another process writes and does not come to an end")
            return await commit(what, nearly)

        world.runs.commit = interrupted
        world.clock.advance(timedelta(seconds=31))
        await until(waits.is_set)
        world.clock.stand_still(ASLEEP)
        other = world.create(workflow(ONE), RunId("p", "d", "r2"))
        await until(lambda: AttemptId(other, ("a",), 0) in world.executor.queued)
        goes_on.set()
        await until(lambda: len(ticks(world)) > 1)
        assert Tick(ASLEEP) in ticks(world)
        assert isinstance(await state_of(world, "a"), Running), "it has half a minute left"
        assert not isinstance(await state_of(world, "b"), Running), "its minute had passed before"

    play(scenario, by_itself=False)


def test_a_gap_that_was_written_without_anybody_hearing_of_it_counts_once(play):
    async def scenario(world, engine):
        world.create(workflow(ONE, **MINUTE))
        await begins(world, "a")
        before = (await state_of(world, "a")).deadline
        commit, lost = world.runs.commit, []

        async def unheard(what, nearly=None):
            committed = await commit(what, nearly)
            if not lost and any(isinstance(seen, Tick) and seen.gap for _, seen in what.log):
                lost.append(what)
                raise OSError("the answer was lost")
            return committed

        world.runs.commit = unheard
        world.clock.stand_still(ASLEEP)
        await until(lambda: lost)
        world.clock.stand_still(ASLEEP)
        await until(lambda: sum(bool(tick.gap) for tick in ticks(world)) > 1)
        assert (await state_of(world, "a")).deadline == before + 2 * ASLEEP

    play(scenario, by_itself=False)
