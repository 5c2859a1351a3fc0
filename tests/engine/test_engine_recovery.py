"""Executions that recover another one: nothing that succeeded there is done again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from engine_programs import (
    INT,
    INTS,
    Listed,
    Shelf,
    branch,
    expansion,
    flow,
    less,
    mapped,
    node,
    task,
    work_of,
)
from engine_worlds import RUN, until
from google.protobuf.duration_pb2 import Duration

from flyte_jupyter.engine.adapters.memory import MemoryRuns, NewRun
from flyte_jupyter.engine.answers.recovering import Earlier, Recoveries, backwards
from flyte_jupyter.engine.core.observations import AbortRequested
from flyte_jupyter.engine.core.state import CacheOutcome, RunPhase, Scope, Succeeded
from flyte_jupyter.engine.ports import NotNow
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId, child_run

ADD = task("add", {"x0": INT})
GROW = task("grow", {"x0": INT})
AGAIN = RunId("p", "d", "r2")
BROKEN = core.ContainerError(code="Broken", message="no", kind=core.ContainerError.NON_RECOVERABLE)


async def fails_then_recovers(world, compiled, *broken):
    for name in broken:
        world.failures[(name, 0)] = BROKEN
    world.create(compiled)
    assert (await world.ended()).state.summary.phase is RunPhase.FAILED
    before = len(world.executor.created)
    world.failures.clear()
    world.create(compiled, AGAIN, recovers=RUN)
    stored = await world.ended(AGAIN)
    assert stored.state.summary.phase is RunPhase.SUCCEEDED, stored.state.summary
    return stored, [a.path for a in world.executor.created[before:] if a.run == AGAIN]


def test_what_succeeded_is_taken_over(play):
    chain = flow("c", [node("a", ADD, x0=1), node("b", ADD, x0="a.o")], {"o": "b.o"})

    async def scenario(world, engine):
        stored, ran = await fails_then_recovers(world, Shelf(ADD).compiled(chain), "b")
        assert ran == [("b",)]
        assert stored.state.nodes[("a",)].recovered == "p/d/r1/a/0"
        assert await world.outputs(AGAIN) == {"o": 3}
        assert await world.blobs.exists(f"{world.node_prefix('a', AGAIN)}/inputs.pb")

    play(scenario)


def test_items_of_a_map_are_taken_over_one_by_one(play):
    many = flow("m", [node("m", mapped(ADD), x0=[1, 2, 3, 4])], {"o": Listed("m.o")})

    async def scenario(world, engine):
        world.create(Shelf(ADD).compiled(many), max_parallelism=1)
        world.failures[("m-2", 0)] = BROKEN
        await world.ended()
        before = len(world.executor.created)
        world.failures.clear()
        world.create(Shelf(ADD).compiled(many), AGAIN, recovers=RUN)
        await world.ended(AGAIN)
        assert await world.outputs(AGAIN) == {"o": [2, 3, 4, 5]}
        assert {a.path for a in world.executor.created[before:]} == {("m", 2), ("m", 3)}

    play(scenario)


def test_the_graph_of_a_dynamic_task_is_used_again(play):
    outer = flow("g", [node("g", GROW, x0=5)], {"o": "g.o"})

    async def scenario(world, engine):
        compiled = Shelf(ADD, GROW).compiled(outer)
        _, ran = await fails_then_recovers(world, compiled, "g-0-d1")
        assert ran == [("g", 0, "d1"), ("g", 0, "d2")]
        assert await world.outputs(AGAIN) == {"o": 8}

    play(scenario)


def test_inner_nodes_are_found_under_the_last_attempt_that_there_was(play):
    grow = task("grow", {"x0": INT}, retries=core.RetryStrategy(retries=1))
    outer = flow("g", [node("g", grow, x0=4)], {"o": "g.o"})
    again = core.ContainerError(code="Flaky", message="no", kind=core.ContainerError.RECOVERABLE)

    async def scenario(world, engine):
        world.failures[("g", 0)] = again
        compiled = Shelf(ADD, grow).compiled(outer)
        _, ran = await fails_then_recovers(world, compiled, "g-1-d1")
        assert ran == [("g", 0, "d1")]
        assert await world.outputs(AGAIN) == {"o": 6}

    play(scenario)


def test_inside_an_item_of_a_map_they_are_found_too():
    item = Succeeded("outputs", 2)
    nodes = {("m", 3): item, ("m", 3, 2): Scope(0, "graph"), ("m", 3, 2, "n"): item}
    earlier = Earlier(RUN, nodes, "")
    assert earlier.path(("m", 3)) == ("m", 3)
    assert earlier.path(("m", 3, 0, "n")) == ("m", 3, 2, "n")
    assert earlier.success(("m", 3, 0, "n")) == AttemptId(RUN, ("m", 3, 2, "n"), 2)
    assert earlier.path(("m", 4, 0, "n")) is None


def test_a_child_execution_is_recovered_in_its_turn(play):
    inner = flow("i", [node("a", ADD, x0=".x"), node("b", ADD, x0="a.o")], {"o": "b.o"}, {"x": INT})
    outer = flow("o", [node("c", "lp", x=1)], {"o": "c.o"})

    async def scenario(world, engine):
        shelf = Shelf(ADD, plans={"lp": inner})
        world.plans.update(shelf.plans)
        await fails_then_recovers(world, shelf.compiled(outer), "b")
        first, second = world.children.created
        assert second.recover == first.name == child_run(AttemptId(RUN, ("c",), 0))
        ran = [a.path for a in world.executor.created if a.run == second.name]
        assert ran == [("b",)]
        assert await world.outputs(AGAIN) == {"o": 3}

    play(scenario)


def test_what_a_recovered_node_left_beside_its_outputs_is_known_after_any_number_of_recoveries(
    play,
):
    """The deck of a task, what the catalog said, the execution that a launch plan started."""
    cached = task("cached", {"x0": INT}, discoverable=True, discovery_version="1")
    inner = flow("i", [node("a", ADD, x0=".x")], {"o": "a.o"}, {"x": INT})
    nodes = [node("t", cached, x0=1), node("c", "lp", x="t.o"), node("b", ADD, x0="c.o")]
    shelf = Shelf(ADD, cached, plans={"lp": inner})
    compiled = shelf.compiled(flow("o", nodes, {"o": "b.o"}))

    async def scenario(world, engine):
        world.plans.update(shelf.plans)
        deck = f"{world.node_prefix('t')}/0/deck.html"
        await world.blobs.put(deck, b"<h1>deck</h1>")
        world.failures[("b", 0)] = BROKEN
        world.create(compiled)
        await world.ended()
        for name, earlier in (("r2", RUN), ("r3", AGAIN)):
            world.create(compiled, RunId("p", "d", name), recovers=earlier)
            nodes = (await world.ended(RunId("p", "d", name))).state.nodes
            assert nodes[("t",)].deck == deck
            assert nodes[("t",)].cache is CacheOutcome.POPULATED
            assert nodes[("c",)].child == str(child_run(AttemptId(RUN, ("c",), 0)))

    play(scenario)


def test_a_recovery_that_was_stopped_at_once_loses_nothing_that_was_done_before_it(play):
    inner = flow("i", [node("a", ADD, x0=".x"), node("b", ADD, x0="a.o")], {"o": "b.o"}, {"x": INT})
    nodes = [
        node("t", ADD, x0=1),
        node("g", GROW, x0="t.o"),
        node("s", inner, x="g.o"),
        node("m", mapped(ADD), x0=[1, 2, 3]),
    ]
    compiled = Shelf(ADD, GROW, inner).compiled(flow("o", nodes, {"o": "s.o", "m": Listed("m.o")}))

    async def scenario(world, engine):
        world.failures[("s-0-b", 0)] = world.failures[("m-2", 0)] = BROKEN
        world.create(compiled, max_parallelism=1)
        assert (await world.ended()).state.summary.phase is RunPhase.FAILED
        world.failures.clear()
        done = {
            path
            for path, state in (await world.runs.load(RUN)).state.nodes.items()
            if isinstance(state, Succeeded)
        }
        assert len(done) > 4
        earlier = RUN
        for name in ("r2", "r3"):
            again = RunId("p", "d", name)
            world.create(compiled, again, recovers=earlier)
            world.runs.post(again, AbortRequested("enough"))
            assert (await world.ended(again)).state.summary.phase is RunPhase.ABORTED
            earlier = again
        last = RunId("p", "d", "r4")
        world.create(compiled, last, recovers=earlier)
        assert (await world.ended(last)).state.summary.phase is RunPhase.SUCCEEDED
        assert not done & {each.path for each in world.executor.created if each.run == last}

    play(scenario)


def test_a_child_execution_is_recovered_though_a_recovery_between_had_not_come_to_it(play):
    inner = flow("i", [node("a", ADD, x0=".x"), node("b", ADD, x0="a.o")], {"o": "b.o"}, {"x": INT})
    shelf = Shelf(ADD, plans={"lp": inner})
    compiled = shelf.compiled(flow("o", [node("c", "lp", x=1)], {"o": "c.o"}))

    async def scenario(world, engine):
        world.plans.update(shelf.plans)
        world.failures[("b", 0)] = BROKEN
        world.create(compiled)
        await world.ended()
        world.failures.clear()
        world.create(compiled, AGAIN, recovers=RUN)
        world.runs.post(AGAIN, AbortRequested("enough"))
        await world.ended(AGAIN)
        last = RunId("p", "d", "r3")
        world.create(compiled, last, recovers=AGAIN)
        assert (await world.ended(last)).state.summary.phase is RunPhase.SUCCEEDED
        first, second = (child.name for child in world.children.created)
        ran = [each for each in world.executor.created if each.run in (first, second)]
        assert [(each.run, *each.path) for each in ran] == [
            (first, "a"),
            (first, "b"),
            (second, "b"),
        ]

    play(scenario)


def test_a_child_execution_that_was_never_made_begins_afresh(play):
    inner = flow("i", [node("a", ADD, x0=".x")], {"o": "a.o"}, {"x": INT})
    outer = flow("o", [node("b", ADD, x0=1), node("c", "lp", x=1)], {"o": "c.o"})

    async def scenario(world, engine):
        shelf = Shelf(ADD, plans={"lp": inner})
        world.plans.update(shelf.plans)
        world.failures[("b", 0)] = BROKEN
        world.create(shelf.compiled(outer), max_parallelism=1)
        assert not (await world.ended()).state.summary.outputs
        assert not world.children.created
        world.failures.clear()
        world.create(shelf.compiled(outer), AGAIN, recovers=RUN)
        await world.ended(AGAIN)
        assert await world.outputs(AGAIN) == {"o": 2}

    play(scenario)


def test_a_child_execution_that_is_still_being_ended_is_recovered_as_it_ends(play):
    """What succeeds in it after its parent has failed does not run again."""
    inner = flow("i", [node("a", ADD, x0=".x"), node("b", ADD, x0="a.o")], {"o": "b.o"}, {"x": INT})
    outer = flow("o", [node("c", "lp", x=1), node("d", ADD, x0=1)], {"o": "c.o"})

    async def scenario(world, engine):
        shelf, executor = Shelf(ADD, plans={"lp": inner}), world.executor
        world.plans.update(shelf.plans)
        terminate, away = world.children.terminate, asyncio.Event()

        async def later(child, cause):
            if not away.is_set():
                raise NotNow("admin is away")
            await terminate(child, cause)

        world.children.terminate = later
        world.create(shelf.compiled(outer))
        await until(lambda: len(executor.queued) == 2)
        first = world.children.created[0].name
        beside, a = AttemptId(RUN, ("d",), 0), AttemptId(first, ("a",), 0)
        world.failures["d", 0] = BROKEN
        executor.begin(beside)
        executor.begin(a)
        await executor.finish(beside)
        while not (await world.phase()).final:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        world.failures.clear()
        world.create(shelf.compiled(outer), AGAIN, recovers=RUN)
        await until(lambda: AttemptId(AGAIN, ("d",), 0) in executor.queued)
        await executor.finish(a)
        await until(lambda: AttemptId(first, ("b",), 0) in executor.queued)
        assert len(world.children.created) == 1, "the earlier child has not ended"
        away.set()
        await until(lambda: len(world.children.created) == 2)
        second = world.children.created[1].name
        for attempt in (AttemptId(AGAIN, ("d",), 0), AttemptId(second, ("b",), 0)):
            await until(lambda one=attempt: one in executor.queued)
            executor.begin(attempt)
            await executor.finish(attempt)
        assert (await world.ended(AGAIN)).state.summary.phase is RunPhase.SUCCEEDED
        assert await world.outputs(AGAIN) == {"o": 3}
        assert [x.path for x in executor.created if x.run == second] == [("b",)]

    play(scenario, by_itself=False)


def test_nothing_is_taken_from_another_graph_than_the_one_that_runs(play, monkeypatch):
    """A dynamic task need not make the same graph each time: its nodes' names say nothing then."""
    minute = Duration(seconds=60)
    grow = task("grow", {"x0": INT}, retries=core.RetryStrategy(retries=1), timeout=minute)
    outer = flow("g", [node("g", grow, x0=1)], {"o": "g.o"})

    async def changing(blobs, spec):
        if (spec.id.run, spec.node) == (AGAIN, "g-0-d1"):
            await asyncio.Event().wait()
        if spec.template.id.name == "grow":
            return expansion(2, 10 if spec.id.attempt == 0 else 20)
        return await work_of(blobs, spec)

    monkeypatch.setattr("engine_worlds.work_of", changing)

    async def scenario(world, engine):
        world.failures[("g-0-d1", 0)] = BROKEN
        compiled = Shelf(ADD, grow).compiled(outer)
        world.create(compiled)
        assert (await world.ended()).state.summary.phase is RunPhase.FAILED
        del world.failures[("g-0-d1", 0)]
        world.create(compiled, AGAIN, recovers=RUN)
        await until(lambda: (AGAIN.name, "g-0-d1", 0) in world.worked)
        world.clock.advance(timedelta(minutes=2))
        stored = await world.ended(AGAIN)
        assert stored.state.nodes[("g", 0, "d0")].recovered
        assert not stored.state.nodes[("g", 1, "d0")].recovered
        assert await world.outputs(AGAIN) == {"o": 22}

    play(scenario)


def test_skipped_arms_and_branches_are_judged_anew(play):
    fork = node("b", branch(less("x", 3, node("few", ADD, x0="a.o")), otherwise="no"), x="a.o")
    outer = flow("o", [node("a", ADD, x0=1), fork, node("t", ADD, x0="b.o")], {"o": "t.o"})

    async def scenario(world, engine):
        _, ran = await fails_then_recovers(world, Shelf(ADD).compiled(outer), "b-0-b-few")
        assert ran == [("b", 0, "b-few"), ("t",)]

    play(scenario)


def test_a_checkpoint_of_the_last_attempt_is_carried_over(play):
    lone = flow("l", [node("n0", ADD, x0=1)])

    async def scenario(world, engine):
        specs = {}
        launch = world.executor.launch

        async def noted(spec):
            specs[spec.id.run] = spec
            return await launch(spec)

        world.executor.launch = noted
        await fails_then_recovers(world, Shelf(ADD).compiled(lone), "n0")
        before = specs[RUN]
        assert before.prev_checkpoint == ""
        wanted = f"{before.raw_output_prefix}/_flytecheckpoints"
        assert specs[AGAIN].prev_checkpoint == wanted

    play(scenario)


def test_large_recoveries_read_the_earlier_run_once(play):
    wide = flow("w", [node("m", mapped(ADD), x0=list(range(50)))], {"o": Listed("m.o")})
    assert INTS

    async def scenario(world, engine):
        loads = []
        load = world.runs.load

        async def counted(run):
            loads.append(run)
            return await load(run)

        world.failures[("m-49", 0)] = BROKEN
        compiled = Shelf(ADD).compiled(wide)
        world.create(compiled, max_parallelism=1)
        await world.ended()
        world.failures.clear()
        world.create(compiled, AGAIN, recovers=RUN)
        world.runs.load = counted
        await world.ended(AGAIN)
        assert loads.count(RUN) <= 1

    play(scenario)


def test_who_cleans_up_after_a_failure_does_so_each_time(play):
    cleaning = flow("k", [node("k", ADD, x0=1)], {"o": "k.o"})
    outer = flow("o", [node("a", ADD, x0=1)], {"o": "a.o"}, failure=node("f", cleaning))

    async def scenario(world, engine):
        world.failures[("a", 0)] = BROKEN
        compiled = Shelf(ADD, cleaning).compiled(outer)
        for run, earlier in ((RUN, None), (AGAIN, RUN)):
            world.create(compiled, run, recovers=earlier)
            await world.ended(run)
            ran = [a.path for a in world.executor.created if a.run == run]
            assert ran == [("a",), ("f", 0, "k")]

    play(scenario)


def test_many_recoveries_at_once_read_each_earlier_run_once():
    async def main():
        runs, loads = MemoryRuns(), []
        names = [RunId("p", "d", f"r{i}") for i in range(20)]
        for name in names:
            runs.create(NewRun(name, b"", ""))
        load = runs.load

        async def counted(run):
            loads.append(run)
            return await load(run)

        runs.load = counted
        recoveries = Recoveries(runs)
        for _ in range(3):
            for name in names:
                assert (await recoveries.of(name)).run == name
        assert sorted(loads) == sorted(names)
        few = Recoveries(runs, most=3)
        for name in (*names[:3], names[0], names[3], names[0]):
            await few.of(name)
        assert loads[len(names) :] == names[:4]

    asyncio.run(main())


def test_of_recoveries_that_recovered_one_another_no_more_are_asked_than_can_be_held():
    async def main():
        runs, loads = MemoryRuns(), []
        names = [RunId("p", "d", f"r{i}") for i in range(4)]
        for name, before in zip(names, [None, *names], strict=False):
            runs.create(NewRun(name, b"", "", recovers=before))
        load = runs.load

        async def counted(run):
            loads.append(run)
            return await load(run)

        runs.load = counted

        async def asked(recoveries):
            found = await backwards(recoveries, names[-1], ("a",), {})
            return [earlier.run for earlier in found]

        recoveries = Recoveries(runs, most=2)
        await asked(recoveries)
        nearest = await asked(recoveries)
        assert nearest == [names[3], names[2]]
        loads.clear()
        for _ in range(10):
            assert await asked(recoveries) == nearest
        assert loads == []
        assert await asked(Recoveries(runs)) == names[::-1]

    asyncio.run(main())
