"""Whole runs through the engine's public door, over memory."""

from __future__ import annotations

from engine_worlds import RUN, expected, workflow

from flyte_jupyter.engine.core.state import RunPhase, Succeeded

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_diamond_runs_to_its_outputs(play):
    async def scenario(world, engine):
        world.create(workflow(DIAMOND))
        stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.SUCCEEDED
        assert await world.outputs() == expected(DIAMOND)
        assert all(isinstance(s, Succeeded) for s in stored.state.nodes.values())
        assert len(world.executor.created) == 4
        assert not world.executor.ended, "what is recorded is reaped"

    play(scenario)
