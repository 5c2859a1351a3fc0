"""What the catalog would give is told without a trace, and without keeping others waiting."""

from __future__ import annotations

import asyncio

import pytest
from engine_programs import INT, INTS, Listed, Shelf, flow, mapped, node, task
from engine_worlds import RUN, World

from flyte_jupyter.engine.answers import RunContext
from flyte_jupyter.engine.ports import Ports
from flyte_jupyter.engine.preview import Verdict, preview
from flyte_jupyter.engine.program import program_of
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId

ADD = task("add", {"x0": INT})
KEPT = task("addkept", {"x0": INT}, discoverable=True, discovery_version="1")


async def foreseen(world, compiled, spec=None):
    ports = Ports(
        world.runs,
        world.executor,
        world.blobs,
        world.catalog,
        world.clock,
        world.children,
        world.signals,
    )
    program = program_of(compiled.closure)
    context = RunContext(RunId("p", "d", "seen"), program, "", {}, spec or admin.ExecutionSpec())
    found = await preview(ports, world.answers, context, core.LiteralMap())
    return {each.node: each.verdict for each in found}


@pytest.mark.parametrize(("overwrite", "verdict"), [(False, Verdict.HIT), (True, Verdict.RUN)])
def test_what_is_to_be_replaced_would_run(play, overwrite, verdict):
    chain = flow("c", [node("a", KEPT, x0=1), node("b", KEPT, x0="a.o")], {"o": "b.o"})

    async def scenario(world, engine):
        compiled = Shelf(KEPT).compiled(chain)
        world.create(compiled, RUN)
        await world.ended()
        before = dict(world.blobs.content)
        found = await foreseen(world, compiled, admin.ExecutionSpec(overwrite_cache=overwrite))
        assert found["a"] is verdict
        assert world.blobs.content == before

    play(scenario)


def test_what_takes_the_list_of_a_map_whose_items_hit_is_looked_at_too(play):
    total = task("total", {"x0": INTS}, discoverable=True, discovery_version="1")
    nodes = [node("m", mapped(KEPT), x0=[1, 2]), node("t", total, x0="m.o")]
    compiled = Shelf(KEPT, total).compiled(flow("f", nodes, {"o": "t.o"}))

    async def scenario(world, engine):
        world.create(compiled, RUN)
        await world.ended()
        before = dict(world.blobs.content)
        found = await foreseen(world, compiled)
        assert set(found.values()) == {Verdict.HIT}
        assert set(found) == {"m-0", "m-1", "t"}
        assert world.blobs.content == before

    play(scenario)


def test_others_have_their_turn_while_a_large_map_is_looked_at():
    many = flow("m", [node("m", mapped(ADD), x0=list(range(2000)))], {"o": Listed("m.o")})

    async def main():
        turns = 0

        async def others():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(others())
        found = await foreseen(World(), Shelf(ADD).compiled(many))
        ticking.cancel()
        assert len(found) == 2000
        assert turns > 20

    asyncio.run(main())
