"""Maps that are too large for Flyte (its issue 2739) run through the whole engine."""

from __future__ import annotations

from engine_programs import INT, Listed, Shelf, flow, mapped, node, task
from engine_worlds import RUN

from flyte_jupyter.engine.core.state import RunPhase
from flyte_jupyter.idl import core, literals

MANY = 10_000
EACH = task("each", {"x0": INT})


def test_ten_thousand_items(play):
    each = node("m", mapped(EACH), x0=list(range(MANY)))
    outer = flow("outer", [each], {"o": Listed("m.o")})

    async def scenario(world, engine):
        world.create(Shelf(EACH).compiled(outer), max_parallelism=500)
        stored = await world.ended(RUN, within=240)
        assert stored.state.summary.phase is RunPhase.SUCCEEDED
        gathered = await world.blobs.get(f"{world.node_prefix('m')}/0/outputs.pb")
        given = literals.value(core.LiteralMap.FromString(gathered).literals["o"])
        assert len(given) == MANY
        assert len(set(world.worked)) == len(world.worked) == MANY

    play(scenario)
