"""A blob store that goes away costs no run anything: what it is asked for waits, and what needs none of it goes on."""

from __future__ import annotations

import pytest
from engine_worlds import RUN, expected, until, workflow

from flyte_jupyter.engine.adapters.memory import NewRun
from flyte_jupyter.engine.core.observations import AbortRequested, Started
from flyte_jupyter.engine.core.state import RunPhase
from flyte_jupyter.engine.ports import BlobFailure
from flyte_jupyter.idl.ids import AttemptId

CHAIN = {"a": (), "b": ("a",)}
FIRST, SECOND = AttemptId(RUN, ("a",), 0), AttemptId(RUN, ("b",), 0)
CALLS = ("get", "put", "exists", "names", "copy")
OFTEN = 40
"""More often than any fault of our own is borne."""


def goes_away(blobs):
    """Nothing of it is answered from now on; returns what it is asked."""
    asked = []

    async def refused(*args):
        asked.append(args)
        raise BlobFailure("connection refused")

    for call in CALLS:
        setattr(blobs, call, refused)
    return asked


def comes_back(blobs):
    for call in CALLS:
        delattr(blobs, call)


async def ends_during_an_outage(world):
    """The first node's attempt succeeds; then nobody can read what it left. Returns what is asked in vain."""
    world.create(workflow(CHAIN))
    await until(lambda: FIRST in world.executor.queued)
    world.executor.begin(FIRST)
    how = await world.add_up(world.executor.running[FIRST])
    asked = goes_away(world.blobs)
    world.executor.end(FIRST, how)
    return asked


def test_who_launches_into_an_outage_waits_for_its_end(play):
    async def scenario(world, engine):
        asked = goes_away(world.blobs)
        world.create(workflow(CHAIN))
        await until(lambda: len(asked) > OFTEN)
        assert engine.status().troubles == {RUN: "connection refused"}
        comes_back(world.blobs)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert await world.outputs() == expected(CHAIN)
        assert not engine.status().troubles

    play(scenario)


def test_a_success_outlasts_an_outage(play):
    async def scenario(world, engine):
        asked = await ends_during_an_outage(world)
        await until(lambda: len(asked) > OFTEN)
        comes_back(world.blobs)
        await until(lambda: SECOND in world.executor.queued)
        world.executor.begin(SECOND)
        await world.executor.finish(SECOND)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert world.executor.created == [FIRST, SECOND]

    play(scenario, by_itself=False)


def test_an_abort_waits_for_no_blob(play):
    async def scenario(world, engine):
        asked = await ends_during_an_outage(world)
        await until(lambda: asked)
        world.runs.post(RUN, AbortRequested("enough", "me"))
        assert (await world.ended()).state.summary.phase is RunPhase.ABORTED
        assert not world.executor.ended

    play(scenario, by_itself=False)


def test_a_run_that_cannot_even_begin_can_be_aborted(play):
    async def scenario(world, engine):
        asked = goes_away(world.blobs)
        world.create(workflow(CHAIN))
        await until(lambda: asked)
        world.runs.post(RUN, AbortRequested("enough", "me"))
        assert (await world.ended()).state.summary.phase is RunPhase.ABORTED

    play(scenario)


@pytest.mark.parametrize("inputs", ["elsewhere://x", "memory://blobs/too-long"])
def test_what_no_store_will_ever_give_is_not_waited_for(play, inputs):
    async def scenario(world, engine):
        get = world.blobs.get

        async def guarded(uri):
            if uri.endswith("too-long"):
                raise BlobFailure("cannot read: the name is too long", passes=False)
            return await get(uri)

        world.blobs.get = guarded
        compiled = workflow(CHAIN)
        closure = compiled.closure.SerializeToString(deterministic=True)
        world.runs.create(NewRun(RUN, closure, compiled.digest, inputs=inputs), Started())
        summary = (await world.ended()).state.summary
        assert summary.phase is RunPhase.FAILED
        assert summary.failure.code == "EngineError"

    play(scenario)
