"""Every node kind through the engine's public door, over memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from engine_programs import (
    ERROR,
    INT,
    INTS,
    Listed,
    Shelf,
    approval,
    bindings,
    branch,
    flow,
    less,
    mapped,
    nap,
    node,
    question,
    task,
)
from engine_worlds import RUN, until

from flyte_jupyter.engine.core.observations import AbortRequested, Exit
from flyte_jupyter.engine.core.state import (
    Aborted,
    Failed,
    Nested,
    RunPhase,
    Skipped,
    Succeeded,
    Waiting,
)
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.ids import RunId

ADD = task("add", {"x0": INT})
TWO = task("plus", {"x0": INT, "x1": INT})
RANGE = task("range", {"x0": INT}, {"o": INTS})
TOTAL = task("total", {"x0": INTS})
GROW = task("grow", {"x0": INT})
TELL = task("tell", {"err": ERROR}, {})
MAYBE = core.UnionType(variants=[INT, core.LiteralType(simple=core.SimpleType.NONE)])
MAYBES = core.LiteralType(collection_type=core.LiteralType(union_type=MAYBE))
AGAIN = core.RetryStrategy(retries=1)


def broken(*, again=False):
    kind = core.ContainerError.RECOVERABLE if again else core.ContainerError.NON_RECOVERABLE
    return core.ContainerError(code="Broken", message="it broke", kind=kind)


def literal_map(**values):
    return core.LiteralMap(literals={n: literals.literal(v) for n, v in values.items()})


async def run_of(world, shelf, template, *, run=RUN, **more):
    world.plans.update(shelf.plans)
    world.create(shelf.compiled(template), run, **more)
    return await world.ended(run)


def test_a_sub_workflow_runs_inside(play):
    inner = flow(
        "inner", [node("n0", ADD, x0=".x"), node("n1", ADD, x0="n0.o")], {"o": "n1.o"}, {"x": INT}
    )
    outer = flow("outer", [node("s", inner, x=40), node("t", ADD, x0="s.o")], {"o": "t.o"})

    async def scenario(world, engine):
        stored = await run_of(world, Shelf(ADD, inner), outer)
        assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state
        assert await world.outputs() == {"o": 43}
        assert [a.path for a in world.executor.created] == [("s", 0, "n0"), ("s", 0, "n1"), ("t",)]

    play(scenario)


@pytest.mark.parametrize(("value", "gives"), [(1, 102), (5, 206), (50, 51)])
def test_a_branch_takes_one_arm_and_skips_the_rest(play, value, gives):
    few = node("few", TWO, x0="a.o", x1=100 - 1)
    some = node("some", TWO, x0="a.o", x1=200 - 1)
    many = node("many", ADD, x0=value)
    fork = node("b", branch(less("x", 3, few), less("x", 10, some), otherwise=many), x=value)
    outer = flow("outer", [node("a", ADD, x0=value), fork, node("t", ADD, x0="b.o")], {"o": "b.o"})

    async def scenario(world, engine):
        stored = await run_of(world, Shelf(ADD, TWO), outer)
        assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state
        assert await world.outputs() == {"o": gives}
        arms = [s for p, s in stored.state.nodes.items() if len(p) == 3]
        assert sum(isinstance(s, Succeeded) for s in arms) == 1
        assert all(isinstance(s, Succeeded | Skipped) for s in arms)

    play(scenario)


def test_a_branch_without_a_way_fails_by_its_own_words(play):
    fork = branch(less("x", 3, node("few", ADD, x0=1)), otherwise="too much")
    outer = flow("outer", [node("b", fork, x=9)], {})

    async def scenario(world, engine):
        failure = (await run_of(world, Shelf(ADD), outer)).state.summary.failure
        assert failure.code == "UserProvidedError"
        assert (failure.message, failure.blame) == ("too much", "user")

    play(scenario)


def test_a_dynamic_task_becomes_a_graph(play):
    outer = flow("outer", [node("g", GROW, x0=5), node("t", ADD, x0="g.o")], {"o": "t.o"})

    async def scenario(world, engine):
        stored = await run_of(world, Shelf(ADD, GROW), outer)
        assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state
        assert await world.outputs() == {"o": 5 + 3 + 1}
        compiled = await world.blobs.get(f"{world.node_prefix('g')}/0/futures_compiled.pb")
        closure = core.CompiledWorkflowClosure.FromString(compiled)
        assert closure.primary.template.id.name == "dynamic_g"
        paths = [a.path for a in world.executor.created]
        assert paths == [("g",), ("g", 0, "d0"), ("g", 0, "d1"), ("g", 0, "d2"), ("t",)]

    play(scenario)


def test_a_bad_graph_of_a_dynamic_task_is_the_users_failure(play):
    outer = flow("outer", [node("g", GROW, x0=5)], {"o": "g.o"})

    async def scenario(world, engine):
        world.create(Shelf(ADD, GROW).compiled(outer))
        await until(lambda: world.executor.queued)
        attempt = min(world.executor.queued)
        spec = core.DynamicJobSpec(nodes=[node("d0", TWO, x0=1)], tasks=[TWO])
        await world.blobs.put(f"{world.node_prefix('g')}/0/futures.pb", spec.SerializeToString())
        world.executor.begin(attempt)
        world.executor.end(attempt, Exit(code=0))
        failure = (await world.ended()).state.summary.failure
        assert failure.code == "DynamicWorkflowBuildFailed"
        assert "x1" in failure.message

    play(scenario, by_itself=False)


def test_a_workflow_that_goes_on_after_a_failure_does_so_at_any_depth(play):
    long = [node(f"a{i}", ADD, x0=f"a{i - 1}.o" if i else 1) for i in range(9)]
    inner = flow("inner", [node("bad", ADD, x0=1), *long], {"o": "a8.o"})
    outer = flow(
        "outer",
        [node("s", inner), node("g", GROW, x0=1)],
        {"o": "s.o", "p": "g.o"},
        policy=core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE,
    )
    graph = core.DynamicJobSpec(
        nodes=[node("bad", ADD, x0=1), *long, node("s", inner)],
        tasks=[ADD],
        subworkflows=[inner],
        outputs=bindings({"o": "s.o"}),
    )

    async def scenario(world, engine):
        await world.blobs.put(f"{world.node_prefix('g')}/0/futures.pb", graph.SerializeToString())
        world.failures[("g", 0)] = Exit(code=0)
        for each in ("s-0-bad", "g-0-bad", "g-0-s-0-bad"):
            world.failures[(each, 0)] = broken()
        stored = await run_of(world, Shelf(ADD, GROW, inner), outer)
        assert stored.state.summary.phase is RunPhase.FAILED
        for scope in (("s", 0), ("g", 0), ("g", 0, "s", 0)):
            assert isinstance(stored.state.nodes[*scope, "bad"], Failed)
            assert isinstance(stored.state.nodes[*scope, "a8"], Succeeded), scope

    play(scenario)


def test_a_failed_node_of_a_dynamic_task_fails_it_whatever_retries_it_has(play):
    grow = task("grow", {"x0": INT}, retries=AGAIN)
    outer = flow("outer", [node("g", grow, x0=4)], {"o": "g.o"})

    async def scenario(world, engine):
        world.failures[("g-0-d1", 0)] = broken(again=True)
        stored = await run_of(world, Shelf(ADD, grow), outer)
        assert stored.state.summary.failure.code == "Broken"
        assert stored.state.nodes[("g",)].attempt == 0
        assert [node for _, node, _ in world.worked] == ["g", "g-0-d0", "g-0-d1"]

    play(scenario)


@pytest.mark.parametrize("kind", ["sub-workflow", "dynamic task"])
def test_what_stands_inside_a_node_has_the_time_of_one_attempt(play, kind):
    waits = flow("waits", [node("a", ADD, x0=1), node("n0", question("how-many"))])
    inside = node("s", waits) if kind == "sub-workflow" else node("s", GROW, x0=1)
    inside.metadata.timeout.FromSeconds(60)
    outer = flow("outer", [inside], {"o": "s.o"})
    graph = core.DynamicJobSpec(
        nodes=[node("n0", question("how-many"))], outputs=bindings({"o": "n0.o"})
    )

    async def scenario(world, engine):
        await world.blobs.put(f"{world.node_prefix('s')}/0/futures.pb", graph.SerializeToString())
        world.failures[("s", 0)] = Exit(code=0)
        world.create(Shelf(ADD, GROW, waits).compiled(outer))
        await until(lambda: world.signals.opened)
        world.clock.advance(timedelta(seconds=61))
        stored = await world.ended()
        assert stored.state.summary.failure.code == "TimeoutExpired"
        assert "timeout of 0:01:00" in stored.state.summary.failure.message
        assert isinstance(stored.state.nodes["s", 0, "n0"], Aborted)
        assert not stored.state.nodes[("s",)].timed_out

    play(scenario)


@pytest.mark.parametrize("kind", ["sub-workflow", "branch"])
def test_what_ran_out_of_time_inside_a_node_begins_again_while_the_node_has_retries(play, kind):
    waits = flow("waits", [node("a", ADD, x0=1), node("n0", question("how-many"), ["a"])])
    fork = branch(less("x", 3, node("w", waits)), otherwise=node("v", ADD, x0=1))
    inside = node("s", waits) if kind == "sub-workflow" else node("s", fork, x=1)
    inside.metadata.timeout.FromSeconds(60)
    inside.metadata.retries.retries = 1
    outer = flow("outer", [inside], {"o": "s.o"})

    async def scenario(world, engine):
        world.create(Shelf(ADD, waits).compiled(outer))
        await until(lambda: world.signals.opened)
        world.clock.advance(timedelta(seconds=61))
        await until(lambda: len(world.worked) == 2)
        world.signals.answer(RUN, "how-many", literals.literal(7))
        stored = await world.ended()
        assert await world.outputs() == {"o": 7}
        gates = {path[1]: type(s) for path, s in stored.state.nodes.items() if path[-1] == "n0"}
        assert gates == {0: Aborted, 1: Succeeded}
        assert stored.state.nodes[("s",)].attempt == 1

    play(scenario)


@pytest.mark.parametrize("single", [False, True])
def test_a_map_runs_its_task_for_each_element(play, single):
    each = node("m", mapped(TWO, single=single, bound=["x1"]), x0="r.o", x1=10)
    outer = flow(
        "outer",
        [node("r", RANGE, x0=5), each, node("t", TOTAL, x0="m.o")],
        {"o": "t.o", "all": Listed("m.o")},
    )

    async def scenario(world, engine):
        stored = await run_of(world, Shelf(RANGE, TWO, TOTAL), outer)
        assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state.summary
        assert await world.outputs() == {"o": 65, "all": [11, 12, 13, 14, 15]}

    play(scenario)


def test_a_map_of_nothing_gives_nothing(play):
    outer = flow("outer", [node("m", mapped(ADD), x0=[])], {"o": Listed("m.o")})

    async def scenario(world, engine):
        await run_of(world, Shelf(ADD), outer)
        assert await world.outputs() == {"o": []}

    play(scenario)


def test_a_map_forgives_as_many_as_it_says(play):
    each = node("m", mapped(ADD, min_success_ratio=0.6), x0=[1, 2, 3])
    total = task("total", {"x0": MAYBES})
    outer = flow("outer", [each, node("t", total, x0="m.o")], {"o": "t.o"})

    async def scenario(world, engine):
        world.failures[("m-1", 0)] = broken()
        stored = await run_of(world, Shelf(ADD, total), outer)
        assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state.summary
        assert await world.outputs() == {"o": 6}
        gathered = await world.blobs.get(f"{world.node_prefix('m')}/0/outputs.pb")
        given = core.LiteralMap.FromString(gathered).literals["o"]
        assert literals.value(given) == [2, None, 4]

    play(scenario)


def test_lists_of_unequal_lengths_cannot_be_mapped(play):
    outer = flow("outer", [node("m", mapped(TWO), x0=[1, 2, 3], x1=[1])], {"o": Listed("m.o")})

    async def scenario(world, engine):
        failure = (await run_of(world, Shelf(TWO), outer)).state.summary.failure
        assert failure.code == "InvalidArrayLength"
        assert "x0 has 3" in failure.message
        assert failure.blame == "user"

    play(scenario)


def test_a_launch_plan_node_is_an_execution_of_its_own(play):
    inner = flow("inner", [node("n0", ADD, x0=".x")], inputs={"x": INT})
    outer = flow("outer", [node("c", "lp", x=6), node("t", ADD, x0="c.o")], {"o": "t.o"})

    async def scenario(world, engine):
        shelf = Shelf(ADD, plans={"lp": inner})
        stored = await run_of(world, shelf, outer)
        assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state.summary
        assert await world.outputs() == {"o": 8}
        (child,) = world.children.created
        assert (child.name, child.node) == (RunId("p", "d", "r1-c-0"), "c")
        assert (await world.phase(child.name)) is RunPhase.SUCCEEDED

    play(scenario)


def test_a_map_over_a_launch_plan_starts_an_execution_for_each(play):
    inner = flow("inner", [node("n0", ADD, x0=".x")], inputs={"x": INT})
    outer = flow("outer", [node("m", mapped("lp"), x=[1, 2, 3])], {"o": Listed("m.o")})

    async def scenario(world, engine):
        await run_of(world, Shelf(ADD, plans={"lp": inner}), outer)
        assert await world.outputs() == {"o": [2, 3, 4]}
        assert len(world.children.created) == 3

    play(scenario)


def test_a_failed_child_fails_its_node_and_an_abort_reaches_it(play):
    inner = flow("inner", [node("n0", ADD, x0=".x")], inputs={"x": INT})
    outer = flow("outer", [node("c", "lp", x=6)], {"o": "c.o"})

    async def scenario(world, engine):
        shelf = Shelf(ADD, plans={"lp": inner})
        world.failures[("n0", 0)] = broken()
        failure = (await run_of(world, shelf, outer)).state.summary.failure
        assert failure.code == "Broken"
        assert "r1-c-0" in failure.message

    play(scenario)

    async def aborted(world, engine):
        shelf = Shelf(ADD, plans={"lp": inner})
        world.plans.update(shelf.plans)
        world.create(shelf.compiled(outer))
        await until(lambda: world.executor.queued)
        world.runs.post(RUN, AbortRequested("enough", "me"))
        assert (await world.ended()).state.summary.phase is RunPhase.ABORTED
        child = RunId("p", "d", "r1-c-0")
        assert (await world.ended(child)).state.summary.phase is RunPhase.ABORTED
        assert not world.executor.queued

    play(aborted, by_itself=False)


def test_gates_wait_for_what_they_are_for(play):
    outer = flow(
        "outer",
        [
            node("yes", approval("go")),
            node("ask", question("how-many"), ["yes"]),
            node("rest", nap(60), ["ask"]),
            node("t", ADD, ["rest"], x0="ask.o"),
        ],
        {"o": "t.o"},
    )

    async def scenario(world, engine):
        world.create(Shelf(ADD).compiled(outer))
        await until(lambda: (RUN, "go") in world.signals.opened)
        world.signals.answer(RUN, "go", literals.literal(True))
        await until(lambda: (RUN, "how-many") in world.signals.opened)
        world.signals.answer(RUN, "how-many", literals.literal(7))

        async def asleep():
            return isinstance((await world.runs.load(RUN)).state.nodes.get(("rest",)), Waiting)

        async with asyncio.timeout(20):
            while not await asleep():  # noqa: ASYNC110 - see `until`
                await asyncio.sleep(0)
        assert not world.executor.created
        world.clock.advance(timedelta(seconds=61))
        await world.ended()
        assert await world.outputs() == {"o": 8}

    play(scenario)


@pytest.mark.parametrize(
    ("value", "code"), [(False, "ReceivedRejectSignal"), (3, "InvalidSignalValue")]
)
def test_a_refused_gate_is_the_users_failure(play, value, code):
    outer = flow("outer", [node("yes", approval("go"))], {})

    async def scenario(world, engine):
        world.create(Shelf(ADD).compiled(outer))
        await until(lambda: (RUN, "go") in world.signals.opened)
        world.signals.answer(RUN, "go", literals.literal(value))
        failure = (await world.ended()).state.summary.failure
        assert (failure.code, failure.blame) == (code, "user")

    play(scenario)


def test_a_failure_node_is_told_what_failed(play):
    outer = flow("outer", [node("a", ADD, x0=1)], {"o": "a.o"}, failure=node("fail", TELL, err=1))
    for binding in outer.failure_node.inputs:
        error = core.Error(message="", failed_node_id="")
        binding.binding.CopyFrom(core.BindingData(scalar=core.Scalar(error=error)))

    async def scenario(world, engine):
        world.failures[("a", 0)] = broken()
        stored = await run_of(world, Shelf(ADD, TELL), outer)
        assert stored.state.summary.phase is RunPhase.FAILED
        assert isinstance(stored.state.nodes[("a",)], Failed)
        assert isinstance(stored.state.nodes[("fail",)], Succeeded)
        data = await world.blobs.get(f"{world.node_prefix('fail')}/inputs.pb")
        told = core.LiteralMap.FromString(data).literals["err"].scalar.error
        assert (told.failed_node_id, told.message) == ("a", "it broke")

    play(scenario)


def test_nested_scopes_share_one_limit(play):
    inner = flow(
        "inner", [node(f"n{i}", ADD, x0=".x") for i in range(4)], {"o": "n0.o"}, {"x": INT}
    )
    outer = flow("outer", [node(f"s{i}", inner, x=i) for i in range(3)], {"o": "s0.o"})

    async def scenario(world, engine):
        world.create(Shelf(ADD, inner).compiled(outer), max_parallelism=2)
        most = 0
        while (await world.phase()) is not RunPhase.SUCCEEDED:
            most = max(most, len(world.executor.queued | world.executor.running))
            for attempt in sorted(world.executor.queued):
                world.executor.begin(attempt)
                await world.executor.finish(attempt)
            await asyncio.sleep(0)
        assert most == 2

    play(scenario, by_itself=False)


def test_attribute_paths_lead_into_offloaded_lists(play):
    outer = flow("outer", [node("r", RANGE, x0=5), node("t", ADD, x0="r.o")], {"o": "t.o"})
    part = core.PromiseAttribute(int_value=3)
    outer.nodes[1].inputs[0].binding.promise.attr_path.append(part)

    async def scenario(world, engine):
        world.create(Shelf(ADD, RANGE).compiled(outer))
        await until(lambda: world.executor.queued)
        attempt = min(world.executor.queued)
        where = f"{world.node_prefix('r')}/0/big.pb"
        await world.blobs.put(where, literals.literal([0, 10, 20, 30]).SerializeToString())
        offloaded = core.LiteralOffloadedMetadata(uri=where, size_bytes=9, inferred_type=INTS)
        outputs = core.LiteralMap(literals={"o": core.Literal(offloaded_metadata=offloaded)})
        await world.blobs.put(f"{world.node_prefix('r')}/0/outputs.pb", outputs.SerializeToString())
        world.executor.begin(attempt)
        world.executor.end(attempt, Exit(code=0))
        await until(lambda: world.executor.queued)
        following = min(world.executor.queued)
        world.executor.begin(following)
        await world.executor.finish(following)
        await world.ended()
        assert await world.outputs() == {"o": 31}

    play(scenario, by_itself=False)


def test_a_nested_run_can_be_seen_half_way(play):
    inner = flow("inner", [node("n0", ADD, x0=".x")], inputs={"x": INT})
    outer = flow("outer", [node("s", inner, x=1)], {"o": "s.o"})

    async def scenario(world, engine):
        world.create(Shelf(ADD, inner).compiled(outer))
        await until(lambda: world.executor.queued)
        stored = await world.runs.load(RUN)
        assert isinstance(stored.state.nodes[("s",)], Nested)

    play(scenario, by_itself=False)


def test_a_value_that_is_offloaded_elsewhere_is_never_read(play):
    many = flow("m", [node("m", mapped(ADD), x0=".x")], {"o": Listed("m.o")}, {"x": INTS})

    async def scenario(world, engine):
        elsewhere = core.LiteralOffloadedMetadata(uri="file:///etc/passwd", inferred_type=INTS)
        given = {"x": core.Literal(offloaded_metadata=elsewhere)}
        uri = f"{world.blobs.root}/given.pb"
        await world.blobs.put(uri, core.LiteralMap(literals=given).SerializeToString())
        world.create(Shelf(ADD).compiled(many), inputs=uri)
        summary = (await world.ended()).state.summary
        assert summary.failure.code == "BindingResolutionFailure"
        assert "not below" in summary.failure.message
        assert not engine.status().troubles

    play(scenario)


def test_a_sleep_of_ten_thousand_years_harms_nobody(play):
    program = flow("s", [node("n0", ADD, x0=1), node("g", nap(315_576_000_000))])

    async def scenario(world, engine):
        world.create(Shelf(ADD).compiled(program))

        async with asyncio.timeout(20):
            while ("g",) not in (stored := await world.runs.load(RUN)).state.nodes:  # noqa: ASYNC110 - nothing is timed
                await asyncio.sleep(0)
        assert isinstance(stored.state.nodes["g",], Waiting)
        assert not engine.status().troubles

    play(scenario)


def test_a_dynamic_task_that_makes_itself_comes_to_an_end(play, monkeypatch):
    async def itself(blobs, spec):
        again = core.DynamicJobSpec(tasks=[GROW], outputs=bindings({"o": "d.o"}))
        again.nodes.append(node("d", GROW, x0=1))
        return again

    monkeypatch.setattr("engine_worlds.work_of", itself)

    async def scenario(world, engine):
        world.create(Shelf(ADD, GROW).compiled(flow("g", [node("g", GROW, x0=1)], {"o": "g.o"})))
        summary = (await world.ended()).state.summary
        assert summary.failure.code == "DynamicWorkflowBuildFailed"
        assert "inside each other" in summary.failure.message

    play(scenario)


def test_a_question_that_nobody_can_answer_is_not_asked_for_ever_however_it_is_asked(
    play, monkeypatch
):
    """What a long turn leaves over is asked by the outbox."""
    monkeypatch.setattr("flyte_jupyter.engine.actor._ROUNDS", 1)
    chain = flow("c", [node("a", ADD, x0=1), node("b", ADD, x0="a.o")], {"o": "b.o"})

    async def scenario(world, engine):
        put, asked = world.blobs.put, []

        async def refuses(uri, data):
            if uri.endswith("/b/data/inputs.pb"):
                asked.append(uri)
                raise RuntimeError("never")
            await put(uri, data)

        world.blobs.put = refuses
        world.create(Shelf(ADD).compiled(chain))
        failure = (await world.ended()).state.summary.failure
        assert failure.code == "SystemError"
        assert "never" in failure.message
        assert 1 < len(asked) < 100

    play(scenario)
