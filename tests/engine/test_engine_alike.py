"""Nodes that are written alike: what one has come to is another's only where both were given the same."""

from __future__ import annotations

from engine_programs import ERROR, INT, Shelf, flow, node, task
from engine_worlds import RUN, until

from flyte_jupyter.engine.core.state import RunPhase
from flyte_jupyter.idl import core

ADD = task("add", {"x0": INT})
TWO = task("plus", {"x0": INT, "x1": INT})
TELL = task("tell", {"err": ERROR}, {})


async def outputs_of(world, shelf, template):
    world.create(shelf.compiled(template), RUN)
    stored = await world.ended(RUN)
    assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state
    return await world.outputs()


def test_alike_nodes_in_two_uses_of_a_workflow_have_each_its_own_inputs(play):
    pair = [node("a", ADD, x0=".x"), node("b", ADD, x0=".x"), node("c", TWO, x0="a.o", x1="b.o")]
    inner = flow("inner", pair, {"o": "c.o"}, {"x": INT})
    uses = [node("s", inner, x=1), node("t", inner, x="s.o"), node("u", inner, x=1)]
    outer = flow("outer", [*uses, node("v", TWO, x0="t.o", x1="u.o")], {"o": "v.o"})

    async def scenario(world, engine):
        def inside(x):
            return 2 * (x + 1) + 1

        given = await outputs_of(world, Shelf(ADD, TWO, inner), outer)
        assert given == {"o": inside(inside(1)) + inside(1) + 1}

    play(scenario)


def test_alike_nodes_with_other_constants_have_other_inputs(play):
    nodes = [node("a", ADD, x0=1), node("b", ADD, x0=2), node("c", ADD, x0=1)]
    flowing = flow("f", [*nodes, node("d", TWO, x0="a.o", x1="b.o")], {"o": "d.o", "p": "c.o"})

    async def scenario(world, engine):
        assert await outputs_of(world, Shelf(ADD, TWO), flowing) == {"o": 6, "p": 2}

    play(scenario, handed=True)


def test_alike_nodes_have_each_its_own_name_and_overrides(play):
    nodes = [node(name, ADD, x0=1) for name in "abc"]
    nodes[2].task_node.overrides.container_image = "another"
    flowing = flow("f", nodes, {"o": "a.o"})

    async def scenario(world, engine):
        world.create(Shelf(ADD).compiled(flowing), RUN)
        await until(lambda: len(world.executor.queued) == 3)
        told = {
            attempt.path: (spec.env["FLYTE_INTERNAL_NODE_ID"], spec.template.container.image)
            for attempt, spec in world.executor.queued.items()
        }
        assert told == {("a",): ("a", "i"), ("b",): ("b", "i"), ("c",): ("c", "another")}

    play(scenario, by_itself=False)


def test_alike_failure_nodes_are_each_told_of_their_own_failure(play):
    handler = node("fail", TELL, err=1)
    handler.inputs[0].binding.scalar.CopyFrom(core.Scalar(error=core.Error()))
    inner = flow("inner", [node("bad", ADD, x0=1)], {"o": "bad.o"}, failure=handler)
    goes_on = core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    outer = flow("outer", [node("s", inner), node("t", inner)], {"o": "s.o"}, policy=goes_on)

    async def scenario(world, engine):
        for each in "st":
            world.failures[f"{each}-0-bad", 0] = core.ContainerError(code="C", message=f"in {each}")
        world.create(Shelf(ADD, TELL, inner).compiled(outer), RUN)
        await world.ended(RUN)
        for each in "st":
            data = await world.blobs.get(f"{world.node_prefix(each)}/0/fail/data/inputs.pb")
            told = core.LiteralMap.FromString(data).literals["err"].scalar.error
            assert told.message == f"in {each}"

    play(scenario)
