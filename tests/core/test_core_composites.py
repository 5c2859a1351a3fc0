"""A worked example of every rule of nodes that stand around others or wait: each with what is owed, in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from core_checks import check
from core_plans import SECOND, at, graph, task
from test_core_rows import BUG, CLEAN, FLAKY, MACHINE, Run
from test_core_rows import WORKED as ATTEMPT_ROWS

from flyte_jupyter.engine.core import actions as a
from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core import state as s
from flyte_jupyter.engine.core.plan import (
    END,
    START,
    ArrayPlan,
    CachePlan,
    GatePlan,
    NodeKind,
    NodePlan,
    OnFailure,
    Plan,
    Plans,
)
from flyte_jupyter.engine.core.scopes import graph_at, node_at, owner_of, plans_of, state_at
from flyte_jupyter.engine.core.state import CacheOutcome, RunPhase, Stage, Tries
from flyte_jupyter.engine.core.step import give_up
from flyte_jupyter.engine.core.transitions import TABLE
from flyte_jupyter.idl import core

N, X, Y = ("n",), ("n", 0, "x"), ("n", 0, "y")
INNER_END, THE_END = ("n", 0, END), (END,)


def around(kind: NodeKind, **more) -> Plan:
    """One node of this kind, called n."""
    return graph(NodePlan("n", kind, (START,), **more))


def inside(*tasks: NodePlan, **more) -> Plan:
    return replace(graph(*(tasks or (task("x"),)), **more), digest="inside")


def arms(*nodes: NodePlan) -> Plan:
    return Plan("arms", {n.id: n for n in nodes})


LEFT, RIGHT = NodePlan("x", NodeKind.TASK), NodePlan("y", NodeKind.TASK)
WORKFLOW = around(NodeKind.WORKFLOW, body=inside())
BRANCH = around(NodeKind.BRANCH, body=arms(LEFT, RIGHT))
DYNAMIC = Plans(around(NodeKind.TASK, retries=1, timeout=10 * SECOND), {"E": inside()})
GATE = around(NodeKind.GATE, gate=GatePlan("sure?"))
SLEEP = around(NodeKind.GATE, gate=GatePlan(sleep=60 * SECOND))
SLEEP_FIRST = NodePlan("s", NodeKind.GATE, (START,), gate=GatePlan(sleep=SECOND))
SERIAL = around(NodeKind.TASK, retries=1, cache=CachePlan("1", serialize=True))


def mapped(concurrency=None, item: NodePlan | None = None, **limits) -> Plan:
    item = item or NodePlan("n", NodeKind.TASK, task_type="python-task")
    array = ArrayPlan(concurrency, **limits)
    return around(NodeKind.ARRAY, item=item, array=array)


def begun(plans, *seen, **options) -> Run:
    run = Run(plans, **options)
    run.hear(o.Started(), *seen)
    return run


def nested(**options) -> Run:
    return begun(WORKFLOW, o.InputsReady(N, "d"), **options)


def expanded(plans=DYNAMIC) -> Run:
    return begun(plans, o.InputsReady(N, "d"), o.AttemptStarted(N, 0), o.Expanded(N, 0, "E"))


def items(size: int, plan: Plan | None = None, **options) -> Run:
    return begun(plan or mapped(), o.ItemsReady(N, "d", size), **options)


BEGUN = s.Nested(Tries(), "d", at(1))
WORKED = {
    (s.Resolving, o.InputsReady): (
        WORKFLOW, [], o.InputsReady(N, "d"), BEGUN, [a.ResolveInputs(X)],
    ),
    (s.Resolving, o.InputsUnresolvable): (
        BRANCH, [], o.InputsUnresolvable(N, BUG), s.Failed(BUG), [],
    ),
    (s.Resolving, o.ItemsReady): (
        mapped(1), [], o.ItemsReady(N, "d", 3), s.Mapped("d", at(1), 3, 1), [a.ResolveInputs((*N, 0))],
    ),
    (s.Resolving, o.BranchChosen): (
        BRANCH, [], o.BranchChosen(N, "d", "y"), BEGUN, [a.ResolveInputs(Y)],
    ),
    (s.Resolving, o.Recovered): (
        WORKFLOW, [], o.Recovered(N, "old", "p/d/y/n/0", "deck", s.CacheOutcome.HIT, "p/d/y-n-0"),
        s.Succeeded("old", deck="deck", cache=s.CacheOutcome.HIT, recovered="p/d/y/n/0", child="p/d/y-n-0"),
        [a.ResolveInputs(THE_END)],
    ),
    (s.Resolving, o.Expanded): (
        DYNAMIC, [], o.Expanded(N, 2, "E", "d"), BEGUN, [a.ResolveInputs(X), a.WakeAt(at(11))],
    ),
    **{
        (phase, o.Expanded): (
            DYNAMIC, [o.InputsReady(N, "d"), *lead], o.Expanded(N, 0, "E"),
            s.Nested(Tries(), "d", at(since)), [a.Reap(N, 0), a.ResolveInputs(X), *wake],
        )
        for phase, lead, since, wake in [
            (s.Launching, [], 1, [a.WakeAt(at(11))]),
            (s.Queued, [o.AttemptAccepted(N, 0)], 1, [a.WakeAt(at(11))]),
            (s.Running, [o.AttemptStarted(N, 0)], 0, []),
            (s.Collecting, [o.AttemptEnded(N, 0, o.Exit(code=0, ran=3.0))], -3, [a.WakeAt(at(7))]),
        ]
    },
    (s.Probing, o.CacheReserved): (
        SERIAL, [o.InputsReady(N, "d")], o.CacheReserved(N, at(5), "somebody"),
        s.Reserved("d", at(5), None, "somebody"), [a.WakeAt(at(5))],
    ),
    (s.Launching, o.AttemptWaits): (
        DYNAMIC, [o.InputsReady(N, "d")], o.AttemptWaits(N, 0, Stage.RESOURCES, "no GPU"),
        s.Queued(Tries(), "d", at(1), Stage.RESOURCES, "no GPU"), [],
    ),
    (s.Queued, o.AttemptWaits): (
        DYNAMIC, [o.InputsReady(N, "d"), o.AttemptAccepted(N, 0)], o.AttemptWaits(N, 0, Stage.INITIALIZING, "pulling"),
        s.Queued(Tries(), "d", at(0), Stage.INITIALIZING, "pulling"), [],
    ),
    (s.Gathering, o.Gathered): (
        mapped(), [o.ItemsReady(N, "d", 0)], o.Gathered(N, "all"), s.Succeeded("all"), [a.ResolveInputs(THE_END)],
    ),
    (s.Gathering, o.InputsUnresolvable): (
        mapped(), [o.ItemsReady(N, "d", 0)], o.InputsUnresolvable(N, MACHINE), s.Failed(MACHINE), [],
    ),
    (s.Waiting, o.GateOpened): (
        GATE, [o.InputsReady(N, "d")], o.GateOpened(N, "yes"), s.Succeeded("yes"), [a.ResolveInputs(THE_END)],
    ),
    (s.Waiting, o.GateRefused): (GATE, [o.InputsReady(N, "d")], o.GateRefused(N, BUG), s.Failed(BUG), []),
}  # fmt: skip


def test_every_row_has_an_example():
    assert set(WORKED) | set(ATTEMPT_ROWS) == set(TABLE)


@pytest.mark.parametrize("row", WORKED, ids=lambda row: f"{row[0].__name__}-{row[1].__name__}")
def test_row(row):
    plans, lead, seen, after, owed = WORKED[row]
    run = begun(plans, *lead)
    assert type(run.node(N)) is row[0]
    run.time = 1
    assert list(run.hear(seen)) == owed
    assert run.node(N) == after


# -- graphs inside nodes --


def test_entering_a_graph_writes_only_what_begins():
    run = begun(around(NodeKind.WORKFLOW, body=inside(task("x"), task("y", "x"))))
    run.hear(o.InputsReady(N, "d"))
    assert run.changed == {N, ("n", 0), ("n", 0, START), X}
    assert run.state.nodes["n", 0] == s.Scope(3)
    assert run.node(("n", 0, START)) == s.Succeeded("")
    assert run.node(Y) == s.Blocked(1)
    assert run.node(("n", 1, "y")) is None


def test_the_end_inside_is_the_nodes_end():
    run = nested()
    run.hear(o.InputsReady(X, "d"))
    assert run.hear(o.AttemptSucceeded(X, 0, "out")) == (a.Reap(X, 0), a.ResolveInputs(INNER_END))
    assert run.hear(o.InputsReady(INNER_END, "d", "theirs")) == (a.ResolveInputs(THE_END),)
    assert run.node(N) == s.Succeeded("theirs")
    assert run.state.nodes["n", 0].open == 0
    run.hear(o.InputsReady(THE_END, "d", "all"))
    assert (run.summary.phase, run.summary.outputs) == (RunPhase.SUCCEEDED, "all")


def test_a_failure_inside_fails_the_node_for_good():
    run = nested()
    run.hear(o.InputsReady(X, "d"), o.AttemptFailed(X, 0, FLAKY))
    assert run.node(N) == s.Failed(FLAKY)
    assert (run.summary.phase, run.summary.failed_node) == (RunPhase.FAILED, "n")
    assert run.state.nodes["n", 0] == s.Scope(0, "", FLAKY, "x")


def test_each_graph_has_its_own_policy():
    careful = inside(task("x"), task("y"), on_failure=OnFailure.FINISH_RUNNABLE)
    run = begun(around(NodeKind.WORKFLOW, body=careful), o.InputsReady(N, "d"))
    run.hear(o.InputsReady(X, "d"), o.InputsReady(Y, "d"))
    assert run.hear(o.AttemptFailed(X, 0, BUG)) == (a.Reap(X, 0),)
    assert run.node(INNER_END) == s.Skipped()
    assert isinstance(run.node(Y), s.Launching)
    assert isinstance(run.node(N), s.Nested)
    run.hear(o.AttemptFailed(Y, 0, MACHINE), o.AttemptFailed(Y, 1, replace(BUG, code="Worse")))
    assert run.node(N).failure.code == "Worse", "the last one"


def test_fail_fast_inside_stops_only_what_is_inside():
    body = around(NodeKind.WORKFLOW, body=inside(task("x"), task("y")))
    other = NodePlan("other", NodeKind.TASK, (START,))
    plan = graph(body.nodes["n"], other, on_failure=OnFailure.FINISH_RUNNABLE)
    run = begun(plan, o.InputsReady(N, "d"), o.InputsReady(("other",), "d"))
    run.hear(o.InputsReady(X, "d"), o.InputsReady(Y, "d"))
    assert run.hear(o.AttemptFailed(X, 0, BUG)) == (a.Reap(X, 0), a.Kill(Y, 0))
    assert run.node(Y) == s.Aborted("Some node execution failed, auto-abort.")
    assert INNER_END not in run.state.nodes
    assert isinstance(run.node(("other",)), s.Launching)
    assert run.summary.open == 1


def test_who_waits_for_a_slot_inside_leaves_the_queue():
    plan = graph(
        NodePlan("n", NodeKind.WORKFLOW, (START,), body=inside(task("x"), task("y"))),
        task("other"),
        on_failure=OnFailure.FINISH_RUNNABLE,
    )
    run = begun(plan, o.InputsReady(N, "d"), max_parallelism=1)
    run.hear(o.InputsReady(("other",), "d"), o.AttemptSucceeded(("other",), 0, ""))
    assert isinstance(run.node(Y), s.Ready)
    run.hear(o.InputsUnresolvable(X, BUG))
    assert run.node(Y) == s.Aborted("Some node execution failed, auto-abort.")
    check(plans_of(plan), run.state)


def test_an_abort_of_a_retry_that_waits_names_its_last_attempt():
    run = begun(
        graph(task("x", retries=2), task("y")), o.InputsReady(("x",), "d"), max_parallelism=2
    )
    run.hear(o.AttemptFailed(("x",), 0, FLAKY))
    waiting = s.Ready(Tries(2, 0, FLAKY), "d", 5)
    rows = {**run.state.nodes, ("x",): waiting, ("y",): s.Launching(Tries(), "d", at(0))}
    run.state = s.RunState(replace(run.summary, max_parallelism=1), rows)
    run.hear(o.AbortRequested("enough"))
    assert run.node(("x",)) == s.Aborted("enough", 1)


def test_two_failures_at_one_moment_inside_keep_the_first():
    body = inside(task("x", timeout=9 * SECOND), task("y", timeout=9 * SECOND))
    run = begun(around(NodeKind.WORKFLOW, body=body), o.InputsReady(N, "d"))
    run.hear(*(each(path) for path in (X, Y) for each in (lambda p: o.InputsReady(p, "d"), lambda p: o.AttemptStarted(p, 0))))  # fmt: skip
    run.time = 9
    assert run.hear(o.Tick()) == (a.Kill(X, 0), a.Kill(Y, 0))
    assert run.state.nodes["n", 0].failed_node == "x"
    assert isinstance(run.node(Y), s.Failed)


def test_the_last_success_and_a_failure_at_one_moment_fail_the_graph():
    careful = inside(task("x", timeout=9 * SECOND), task("y"), on_failure=OnFailure.FINISH_RUNNABLE)
    run = begun(around(NodeKind.WORKFLOW, body=careful), o.InputsReady(N, "d"))
    run.hear(o.InputsReady(X, "d"), o.InputsReady(Y, "d"), o.AttemptStarted(X, 0))
    run.time = 9
    run.hear(o.AttemptSucceeded(Y, 0, "out"), o.Tick())
    assert run.summary.failure.code == "TimeoutExpired"


def test_an_abort_reaches_every_depth_at_once():
    deep = inside(NodePlan("x", NodeKind.WORKFLOW, (START,), body=inside(task("y"))))
    run = begun(around(NodeKind.WORKFLOW, body=deep), o.InputsReady(N, "d"), o.InputsReady(X, "d"))
    y = (*X, 0, "y")
    run.hear(o.InputsReady(y, "d"))
    assert run.hear(o.AbortRequested("enough")) == (a.Kill(y, 0),)
    for path in (N, X, y):
        assert run.node(path) == s.Aborted("enough")
    assert [run.state.nodes[scope].open for scope in [("n", 0), ("n", 0, "x", 0)]] == [0, 0]
    assert run.summary.phase is RunPhase.ABORTED
    assert run.hear(o.AttemptStarted(y, 0)) == (a.Kill(y, 0),)


def test_giving_up_starts_no_failure_node():
    handler = NodePlan("fn", NodeKind.TASK)
    run = begun(replace(WORKFLOW, failure_node=handler), o.InputsReady(N, "d"))
    run.hear(o.InputsReady(X, "d"))
    done = give_up(run.plan, run.state, MACHINE, at(1))
    assert done.actions == (a.Kill(X, 0),)
    assert (done.state.summary.phase, done.state.summary.failure) == (RunPhase.FAILED, MACHINE)


def test_a_composite_takes_no_slot_and_its_leaves_do():
    plan = around(NodeKind.WORKFLOW, body=inside(task("x"), task("y")))
    run = begun(plan, o.InputsReady(N, "d"), max_parallelism=1)
    assert run.summary.active == 1
    assert run.node(Y) == s.Ready(turn=0)


def test_a_composite_begins_while_all_slots_are_taken():
    plan = graph(task("t"), NodePlan("n", NodeKind.WORKFLOW, ("s",), body=inside()), SLEEP_FIRST)
    run = begun(plan, o.InputsReady(("s",), "d"), max_parallelism=1)
    run.time = 1
    assert run.hear(o.Tick()) == (a.ResolveInputs(N),)
    assert run.summary.active == 1


def test_what_ends_after_the_failure_that_stopped_its_graph_lets_nothing_go_on():
    sleep = GatePlan(sleep=5 * SECOND)
    plan = graph(
        task("t", timeout=9 * SECOND),
        NodePlan("u", NodeKind.GATE, (START,), gate=sleep, timeout=9 * SECOND),
        task("z", "u"),
    )
    run = begun(plan, o.InputsReady(("t",), "d"), o.InputsReady(("u",), "d"))
    run.hear(o.AttemptStarted(("t",), 0))
    run.time = 20
    assert run.hear(o.Tick()) == (a.Kill(("t",), 0),)
    assert run.node(("u",)) == s.Succeeded("")
    assert ("z",) not in run.state.nodes
    assert run.summary.phase is RunPhase.FAILED


def test_what_ends_inside_together_with_its_node_has_no_say():
    body = inside(
        task("x", timeout=9 * SECOND), task("y", "x"), on_failure=OnFailure.FINISH_RUNNABLE
    )
    plan = around(NodeKind.WORKFLOW, body=body, node_timeout=10 * SECOND)
    run = begun(plan, o.InputsReady(N, "d"), o.InputsReady(X, "d"), o.AttemptStarted(X, 0))
    run.time = 20
    assert run.hear(o.Tick()) == (a.Kill(X, 0),)
    assert run.node(N).timed_out
    assert run.state.nodes["n", 0] == s.Scope(0)
    assert Y not in run.state.nodes


# -- branches --


def test_the_arm_that_is_taken_ends_the_branch():
    run = begun(BRANCH, o.BranchChosen(N, "d", "x"), o.InputsReady(X, "d"))
    assert run.node(Y) == s.Skipped()
    assert run.state.nodes["n", 0] == s.Scope(1)
    said = CacheOutcome.POPULATED
    run.hear(o.AttemptSucceeded(X, 0, "the arm's", cache=said))
    assert run.node(N) == s.Succeeded("the arm's")


def test_a_nested_branch_that_is_not_taken_never_begins():
    deep = NodePlan("y", NodeKind.BRANCH, body=arms(LEFT, RIGHT))
    run = begun(around(NodeKind.BRANCH, body=arms(LEFT, deep)), o.BranchChosen(N, "d", "x"))
    assert not [path for path in run.state.nodes if path[:3] == Y and len(path) > 3]


def test_an_arm_that_does_not_exist_fails_the_branch():
    run = begun(BRANCH)
    assert run.hear(o.BranchChosen(N, "d", "nowhere")) == ()
    assert run.node(N).failure.code == "GraphUnknown"
    assert "'nowhere'" in run.node(N).failure.message


@pytest.mark.parametrize(
    ("plan", "seen"),
    [
        (WORKFLOW, o.ItemsReady(N, "d", 3)),
        (WORKFLOW, o.BranchChosen(N, "d", "x")),
        (WORKFLOW, o.Expanded(N, 0, "E", "d")),
        (BRANCH, o.InputsReady(N, "d")),
        (mapped(), o.InputsReady(N, "d")),
    ],
)
def test_an_answer_of_the_wrong_kind_fails_the_node_by_name(plan, seen):
    run = begun(plan, seen)
    assert run.node(N).failure.code == "GraphUnknown"
    assert type(seen).__name__ in run.node(N).failure.message


# -- dynamic tasks --


def test_an_expanded_task_gives_its_slot_back_and_runs_its_graph():
    run = expanded()
    assert run.node(N) == s.Nested(Tries(), "d", at(0))
    assert run.state.nodes["n", 0] == s.Scope(2, "E")
    assert run.summary.active == 1
    run.hear(o.InputsReady(X, "d"), o.AttemptSucceeded(X, 0, "out"))
    run.hear(o.InputsReady(INNER_END, "d", "theirs", CacheOutcome.PUT_FAILURE))
    assert run.node(N) == s.Succeeded("theirs", cache=CacheOutcome.PUT_FAILURE)


@pytest.mark.parametrize("why", [FLAKY, MACHINE, BUG])
def test_a_failure_inside_is_for_good_whatever_retries_the_task_has(why):
    run = expanded(Plans(DYNAMIC.root, {"E": inside(task("x", system_retries=0))}))
    run.hear(o.InputsReady(X, "d"), o.AttemptFailed(X, 0, why))
    assert run.node(N) == s.Failed(why)


def test_a_node_inside_that_is_out_of_time_has_the_task_run_again():
    slow = inside(task("x", node_timeout=2 * SECOND))
    run = expanded(Plans(DYNAMIC.root, {"E": slow}))
    run.hear(o.InputsReady(X, "d"))
    run.time = 2
    assert run.hear(o.Tick()) == (a.Kill(X, 0), a.Launch(N, 1))
    assert run.node(N).tries.last.code == "TimeoutExpired"
    run.hear(o.Expanded(N, 1, "E"))
    again = ("n", 1, "x")
    assert isinstance(run.node(again), s.Resolving)
    assert run.node(X).timed_out
    assert run.hear(o.AttemptStarted(X, 0)) == (a.Kill(X, 0),)
    run.hear(o.InputsReady(again, "d"))
    run.time = 4
    run.hear(o.Tick())
    assert run.node(N).failure.code == "RetriesExhausted|TimeoutExpired"
    assert run.node(N).attempt == 1


def test_a_graph_that_nobody_has_fails_the_task():
    run = begun(DYNAMIC, o.InputsReady(N, "d"))
    assert run.hear(o.Expanded(N, 0, "other")) == (a.Reap(N, 0),)
    assert run.node(N).failure.code == "GraphUnknown"
    assert "'other'" in run.node(N).failure.message


def test_old_news_of_the_attempt_that_expanded_is_a_strangers():
    run = expanded()
    before = run.state
    assert run.hear(o.AttemptEnded(N, 0, CLEAN)) == (a.Reap(N, 0),)
    assert run.hear(o.AttemptStarted(N, 0)) == (a.Kill(N, 0),)
    assert run.hear(o.AttemptWaits(N, 0, Stage.RESOURCES)) == (a.Kill(N, 0),)
    assert run.hear(o.Expanded(N, 0, "E"), o.AttemptSucceeded(N, 0, "x")) == ()
    assert run.state is before


# -- child executions --

CHILD = around(NodeKind.LAUNCH_PLAN, system_retries=1)


def test_a_child_execution_holds_a_slot_and_cannot_be_lost():
    run = begun(CHILD, o.InputsReady(N, "d"), o.AttemptAccepted(N, 0), o.AttemptStarted(N, 0))
    assert run.summary.active == 1
    before = run.state
    run.time = 5
    run.hear(o.Live(frozenset(), at(5)))
    assert run.state is before
    assert run.hear(o.AttemptEnded(N, 0, CLEAN)) == (a.Collect(N, 0, CLEAN),)
    assert run.hear(o.AttemptFailed(N, 0, MACHINE)) == (a.Reap(N, 0), a.Launch(N, 1))


def test_an_abort_kills_the_child():
    run = begun(CHILD, o.InputsReady(N, "d"), o.AttemptAccepted(N, 0))
    assert run.hear(o.AbortRequested("enough")) == (a.Kill(N, 0),)


# -- array nodes --


def item(index: int) -> tuple:
    return (*N, index)


def test_items_are_tried_each_for_itself():
    run = items(2, mapped(item=NodePlan("n", NodeKind.TASK, retries=1)))
    run.hear(o.InputsReady(item(0), "d"), o.InputsReady(item(1), "d"))
    assert run.hear(o.AttemptFailed(item(0), 0, FLAKY)) == (
        a.Reap(item(0), 0),
        a.Launch(item(0), 1),
    )
    assert run.node(item(1)).tries == Tries()
    run.hear(o.AttemptSucceeded(item(0), 1, ""))
    assert run.hear(o.AttemptSucceeded(item(1), 0, "")) == (a.Reap(item(1), 0), a.Gather(N))
    assert run.node(N) == s.Gathering("d", at(0), 2)


def test_as_many_items_as_the_map_allows_and_the_next_when_one_ends():
    run = items(4, mapped(2))
    assert run.node(N) == s.Mapped("d", at(0), 4, 2)
    assert run.node(item(2)) == s.Blocked(0)
    assert run.node(item(4)) is None
    run.hear(o.InputsReady(item(0), "d"))
    actions = run.hear(o.AttemptSucceeded(item(0), 0, ""))
    assert actions == (a.Reap(item(0), 0), a.ResolveInputs(item(2)))


def test_a_retry_of_an_item_keeps_its_place_in_the_map():
    run = items(3, mapped(1, NodePlan("n", NodeKind.TASK, retries=1, backoff=5 * SECOND)))
    run.hear(o.InputsReady(item(0), "d"), o.AttemptFailed(item(0), 0, FLAKY))
    assert item(1) not in run.state.nodes
    run.time = 5
    assert run.hear(o.Tick()) == (a.Launch(item(0), 1),)


def test_a_large_map_begins_in_parts():
    plan = graph(mapped().nodes["n"])
    run = begun(plan, o.ItemsReady(N, "d", 100_000))
    assert sum(isinstance(each, s.Resolving) for each in run.state.nodes.values()) == s.MOST_OPENING
    assert run.node(N).began == s.MOST_OPENING
    run.hear(o.InputsReady(item(3), "d"))
    assert run.hear(o.AttemptStarted(item(3), 0)) == (a.ResolveInputs(item(s.MOST_OPENING)),)
    assert run.hear(o.AttemptSucceeded(item(3), 0, "")) == (a.Reap(item(3), 0),)


def test_a_map_takes_turns_with_its_neighbours():
    plan = graph(mapped().nodes["n"], *(task(f"t{i}") for i in range(3)))
    run = begun(plan, o.ItemsReady(N, "d", 100), max_parallelism=1)
    order = []
    for _ in range(8):
        (path,) = [p for p, each in run.state.nodes.items() if isinstance(each, s.Resolving)]
        order.append(path[0])
        run.hear(o.InputsReady(path, "d"), o.AttemptSucceeded(path, 0, ""))
    assert order == ["t0", "t1", "t2", "n", "n", "n", "n", "n"]

    both = graph(mapped().nodes["n"], replace(mapped().nodes["n"], id="m"))
    run = begun(both, o.ItemsReady(N, "d", 9), o.ItemsReady(("m",), "d", 9), max_parallelism=1)
    order = []
    for _ in range(6):
        (path,) = [p for p, each in run.state.nodes.items() if isinstance(each, s.Resolving)]
        order.append(path[0])
        run.hear(o.InputsReady(path, "d"), o.AttemptSucceeded(path, 0, ""))
    assert order == ["n", "n", "m", "n", "m", "n"]


def test_slots_that_get_free_together_go_around():
    first = mapped().nodes["n"]
    hogs = [task(f"t{i}", timeout=9 * SECOND) for i in range(4)]
    plan = graph(first, replace(first, id="m"), *hogs, on_failure=OnFailure.FINISH_RUNNABLE)
    run = begun(plan, *(o.InputsReady((t.id,), "d") for t in hogs), max_parallelism=4)
    run.hear(*(o.AttemptStarted((t.id,), 0) for t in hogs))
    assert run.hear(o.ItemsReady(N, "d", 9), o.ItemsReady(("m",), "d", 9)) == ()
    run.time = 9
    begins = [x.path for x in run.hear(o.Tick()) if isinstance(x, a.ResolveInputs)]
    assert begins == [("n", 0), ("m", 0), ("n", 1), ("m", 1)]


def test_too_many_failures_end_the_map_at_once():
    run = items(5, mapped(min_success_ratio=0.5))
    run.hear(*(o.InputsReady(item(i), "d") for i in range(5)))
    run.hear(o.AttemptFailed(item(3), 0, BUG), o.AttemptFailed(item(1), 0, MACHINE))
    assert isinstance(run.node(N), s.Mapped)
    run.hear(o.AttemptFailed(item(1), 1, replace(BUG, code="Other")))
    assert isinstance(run.node(N), s.Mapped)
    actions = run.hear(o.AttemptFailed(item(0), 0, BUG))
    assert set(actions) == {a.Reap(item(0), 0), a.Kill(item(2), 0), a.Kill(item(4), 0)}
    why = run.node(N).failure
    assert (why.code, why.blame, why.retryable) == ("Bug", s.Blame.USER, False)
    assert why.message.splitlines() == [
        "Node 'n': 3 of 5 items failed, 3 must succeed.",
        "[0]: Bug: it broke",
        "[1]: Other: it broke",
        "[3]: Bug: it broke",
    ]
    assert run.node(item(4)) == s.Aborted("Some node execution failed, auto-abort.")


def test_a_map_that_only_the_system_spoiled_is_the_systems_failure():
    run = items(1, mapped(item=NodePlan("n", NodeKind.TASK, system_retries=0)))
    run.hear(o.InputsReady(item(0), "d"), o.AttemptFailed(item(0), 0, MACHINE))
    assert run.node(N).failure.blame is s.Blame.SYSTEM


def test_a_long_list_of_errors_is_cut():
    run = items(30, mapped(min_successes=3))
    run.hear(*(o.InputsUnresolvable(item(i), BUG) for i in range(28)))
    assert run.node(N).failure.message.splitlines()[-1] == "... and 18 more"


def test_enough_successes_wait_for_the_rest_all_the_same():
    run = items(3, mapped(min_successes=1))
    run.hear(*(o.InputsReady(item(i), "d") for i in range(3)))
    run.hear(o.AttemptSucceeded(item(0), 0, ""), o.AttemptFailed(item(1), 0, BUG))
    assert isinstance(run.node(N), s.Mapped)
    assert run.hear(o.AttemptSucceeded(item(2), 0, ""))[-1] == a.Gather(N)
    assert run.node(N).failed == 1
    run.hear(o.Gathered(N, "all"))
    assert run.node(N) == s.Succeeded("all")


def test_a_map_of_nothing_gathers_nothing():
    run = begun(mapped())
    assert run.hear(o.ItemsReady(N, "d", 0)) == (a.Gather(N),)


def on_the_wire(ratio: float) -> float:
    return core.ArrayNode(min_success_ratio=ratio).min_success_ratio


def test_a_map_that_is_too_small_fails_at_once():
    run = items(2, mapped(min_successes=3))
    assert run.node(N).failure.code == "NotEnoughItems"


@pytest.mark.parametrize(
    ("limits", "size", "least"),
    [
        ({}, 7, 7),
        ({"min_successes": 2, "min_success_ratio": 0.9}, 7, 2),
        ({"min_success_ratio": 0.5}, 7, 4),
        ({"min_success_ratio": 0.0}, 7, 0),
        ({"min_success_ratio": 1.0}, 7, 7),
        ({"min_success_ratio": on_the_wire(0.8)}, 10, 8),
        ({"min_success_ratio": on_the_wire(2 / 3)}, 3, 2),
        ({"min_success_ratio": on_the_wire(0.81)}, 10, 9),
        ({"min_success_ratio": 0.07}, 100, 7),
    ],
)
def test_how_many_items_must_succeed(limits, size, least):
    assert ArrayPlan(**limits).least(size) == least


# -- gates --


def test_a_gate_is_opened_to_people_and_looks_when_they_answer():
    run = begun(GATE)
    assert run.hear(o.InputsReady(N, "d")) == (a.OpenGate(N),)
    assert run.node(N) == s.Waiting("d", at(0))
    assert run.hear(o.SignalSet("another")) == ()
    before = run.state
    assert run.hear(o.SignalSet("sure?")) == (a.ReadSignal(N),)
    run.hear(o.SignalUnset(N))
    assert run.state is before
    assert run.summary.active == 0


def test_every_gate_of_one_signal_looks():
    gates = [NodePlan(f"g{i}", NodeKind.GATE, (START,), gate=GatePlan("sure?")) for i in range(2)]
    run = begun(graph(*gates), *(o.InputsReady((f"g{i}",), "d") for i in range(2)))
    assert run.hear(o.SignalSet("sure?")) == (a.ReadSignal(("g0",)), a.ReadSignal(("g1",)))


def test_a_sleep_ends_at_its_moment():
    run = begun(SLEEP)
    assert run.hear(o.InputsReady(N, "d")) == (a.WakeAt(at(60)),)
    assert run.hear(o.SignalSet("")) == ()
    run.time = 59
    run.hear(o.Tick())
    assert isinstance(run.node(N), s.Waiting)
    run.time = 60
    assert run.hear(o.Tick()) == (a.ResolveInputs(THE_END),)
    assert run.node(N) == s.Succeeded("")


def test_a_gates_patience_ends():
    run = begun(
        around(NodeKind.GATE, gate=GatePlan("sure?"), timeout=9 * SECOND, node_timeout=99 * SECOND)
    )
    assert run.hear(o.InputsReady(N, "d")) == (a.OpenGate(N), a.WakeAt(at(9)))
    run.time = 5
    run.hear(o.Tick(timedelta(seconds=3)))
    assert run.node(N).deadline == at(12)
    run.time = 12
    run.hear(o.Tick())
    assert not run.node(N).timed_out, "FAILED, as in Flyte: it is an attempt's time that is over"
    assert run.node(N).failure.code == "TimeoutExpired"
    assert "its signal 'sure?' within its timeout of 0:00:09" in run.node(N).failure.message


def test_a_sleep_longer_than_its_patience_fails():
    gate = GatePlan(sleep=99 * SECOND)
    run = begun(around(NodeKind.GATE, gate=gate, timeout=9 * SECOND), o.InputsReady(N, "d"))
    run.time = 9
    run.hear(o.Tick())
    message = "it sleeps for 0:01:39, longer than its timeout of 0:00:09"
    assert message in run.node(N).failure.message


def test_a_sleep_that_is_over_wins_against_a_limit_that_is_over_too():
    run = begun(around(NodeKind.GATE, gate=GatePlan(sleep=5 * SECOND), timeout=9 * SECOND))
    run.hear(o.InputsReady(N, "d"))
    run.time = 20
    run.hear(o.Tick())
    assert run.node(N) == s.Succeeded("")


# -- failure nodes --


def handled(on_failure=OnFailure.FAIL_FAST, **more) -> Run:
    plan = graph(task("x"), task("y"), task("z", "x"), on_failure=on_failure)
    run = begun(replace(plan, failure_node=NodePlan("fn", NodeKind.TASK, **more)))
    run.hear(*(o.InputsReady((name,), "d") for name in "xy"))
    return run


def test_a_failure_node_runs_when_nothing_else_does():
    run = handled(OnFailure.FINISH_RUNNABLE)
    assert run.hear(o.AttemptFailed(("x",), 0, BUG)) == (a.Reap(("x",), 0),)
    assert run.hear(o.AttemptSucceeded(("y",), 0, "")) == (
        a.Reap(("y",), 0), a.ResolveInputs(("fn",)),
    )  # fmt: skip
    assert (run.summary.phase, run.summary.handling, run.summary.open) == (
        RunPhase.FAILING,
        True,
        1,
    )
    run.hear(o.InputsReady(("fn",), "d"), o.AttemptSucceeded(("fn",), 0, ""))
    assert (run.summary.phase, run.summary.failure) == (RunPhase.FAILED, BUG)
    assert run.summary.failed_node == "x"


def test_fail_fast_stops_first_and_handles_then():
    run = handled()
    actions = run.hear(o.AttemptFailed(("x",), 0, BUG))
    assert actions == (a.Reap(("x",), 0), a.Kill(("y",), 0), a.ResolveInputs(("fn",)))
    assert ("z",) not in run.state.nodes


def test_a_failure_nodes_own_error_masks_the_first():
    run = handled()
    run.hear(o.AttemptFailed(("x",), 0, BUG), o.InputsReady(("fn",), "d"))
    run.hear(o.AttemptFailed(("fn",), 0, replace(BUG, code="Worse")))
    assert (run.summary.phase, run.summary.failure.code) == (RunPhase.FAILED, "Worse")
    assert run.summary.failed_node == "fn"


def test_an_abort_of_a_failing_run_starts_no_failure_node():
    run = handled(OnFailure.FINISH_RUNNABLE)
    run.hear(o.AttemptFailed(("x",), 0, BUG))
    assert run.hear(o.AbortRequested("enough")) == (a.Kill(("y",), 0),)
    assert run.summary.phase is RunPhase.ABORTED


def test_an_abort_starts_no_failure_node_and_stops_one():
    run = handled()
    assert run.hear(o.AbortRequested("enough")) == (a.Kill(("x",), 0), a.Kill(("y",), 0))
    assert run.summary.phase is RunPhase.ABORTED
    run = handled()
    run.hear(o.AttemptFailed(("x",), 0, BUG), o.InputsReady(("fn",), "d"))
    assert run.hear(o.AbortRequested("enough")) == (a.Kill(("fn",), 0),)
    assert run.summary.phase is RunPhase.ABORTED


def test_a_nested_graph_handles_its_own_failure():
    body = replace(inside(), failure_node=NodePlan("fn", NodeKind.WORKFLOW, body=inside(task("y"))))
    run = begun(around(NodeKind.WORKFLOW, body=body), o.InputsReady(N, "d"), o.InputsReady(X, "d"))
    fn = ("n", 0, "fn")
    assert run.hear(o.AttemptFailed(X, 0, BUG))[-1] == a.ResolveInputs(fn)
    assert isinstance(run.node(N), s.Nested)
    run.hear(o.InputsReady(fn, "d"), o.InputsReady((*fn, 0, "y"), "d"))
    run.hear(o.AttemptSucceeded((*fn, 0, "y"), 0, ""), o.InputsReady((*fn, 0, END), "d"))
    assert run.node(fn) == s.Succeeded("")
    assert run.node(N) == s.Failed(BUG)


# -- time limits of whole nodes --


def test_a_nodes_own_limit_counts_all_its_attempts():
    run = begun(around(NodeKind.TASK, retries=5, backoff=4 * SECOND, node_timeout=10 * SECOND))
    run.time = 3
    assert run.hear(o.InputsReady(N, "d"))[-1] == a.WakeAt(at(13))
    assert run.node(N).tries.since == at(3)
    run.time = 10
    run.hear(o.AttemptFailed(N, 0, FLAKY))
    assert run.node(N).tries.since == at(3)
    run.time = 13
    run.hear(o.Tick())
    assert run.node(N).timed_out
    assert not run.node(N).failure.retryable
    assert run.node(N).attempt == 0
    assert "limit of 0:00:10" in run.node(N).failure.message


def test_a_limit_kills_the_attempt():
    run = begun(around(NodeKind.TASK, retries=5, timeout=30 * SECOND, node_timeout=10 * SECOND))
    run.hear(o.InputsReady(N, "d"), o.AttemptStarted(N, 0))
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(N, 0),)
    assert run.summary.phase is RunPhase.FAILED
    assert "limit of 0:00:10 (its attempts may take 0:00:30 each)" in run.node(N).failure.message


def test_a_limit_stops_what_is_inside():
    plan = around(NodeKind.WORKFLOW, body=inside(), node_timeout=10 * SECOND)
    run = begun(plan, o.InputsReady(N, "d"), o.InputsReady(X, "d"))
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(X, 0),)
    assert isinstance(run.node(X), s.Aborted)
    assert run.node(N).timed_out
    assert run.state.nodes["n", 0].open == 0


def test_a_limit_stops_the_items():
    node = replace(mapped().nodes["n"], node_timeout=10 * SECOND)
    run = begun(graph(node), o.ItemsReady(N, "d", 2), o.InputsReady(item(1), "d"))
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(item(1), 0),)
    assert [type(run.node(item(i))) for i in range(2)] == [s.Aborted, s.Aborted]
    assert run.node(N).timed_out


@pytest.mark.parametrize(
    ("plan", "lead"),
    [
        (around(NodeKind.WORKFLOW, body=inside(), node_timeout=10 * SECOND), [o.InputsReady(N, "d")]),
        (around(NodeKind.WORKFLOW, body=inside(), timeout=10 * SECOND), [o.InputsReady(N, "d")]),
        (graph(replace(mapped().nodes["n"], node_timeout=10 * SECOND)), [o.ItemsReady(N, "d", 2)]),
        (around(NodeKind.TASK, node_timeout=10 * SECOND), [o.InputsReady(N, "d"), o.AttemptStarted(N, 0)]),
        (around(NodeKind.TASK, node_timeout=10 * SECOND, cache=CachePlan("1")), [o.InputsReady(N, "d")]),
    ],
)  # fmt: skip
def test_a_clock_that_stood_still_extends_a_limit(plan, lead):
    run = begun(plan, *lead)
    run.time = 6
    run.hear(o.Tick(timedelta(seconds=60)))
    run.time = 15
    run.hear(o.Tick())
    assert not isinstance(run.node(N), s.Failed)
    run.time = 16
    run.hear(o.Tick())
    assert run.node(N).failure.code == "TimeoutExpired"


def test_what_stands_inside_has_the_time_of_one_attempt():
    plan = around(NodeKind.WORKFLOW, body=inside(), timeout=10 * SECOND)
    run = begun(plan, o.InputsReady(N, "d"), o.InputsReady(X, "d"))
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(X, 0),)
    assert isinstance(run.node(X), s.Aborted)
    assert (run.node(N).failure.code, run.node(N).timed_out) == ("TimeoutExpired", False)
    assert "timeout of 0:00:10" in run.node(N).failure.message
    assert run.state.nodes["n", 0].open == 0


def test_a_sub_workflow_out_of_time_begins_again_while_it_has_retries():
    plan = around(
        NodeKind.WORKFLOW, body=inside(), timeout=10 * SECOND, retries=1, backoff=5 * SECOND
    )
    run = begun(plan, o.InputsReady(N, "d"), o.InputsReady(X, "d"))
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(X, 0), a.WakeAt(at(15)))
    assert run.node(N).tries.last.code == "TimeoutExpired"
    run.time = 15
    again = ("n", 1, "x")
    assert run.hear(o.Tick()) == (a.ResolveInputs(again), a.WakeAt(at(25)))
    assert run.node(N) == s.Nested(run.node(N).tries, "d", at(15))
    assert isinstance(run.node(X), s.Aborted)
    end = ("n", 1, END)
    run.hear(o.InputsReady(again, "d"), o.AttemptSucceeded(again, 0, "out"))
    assert run.hear(o.InputsReady(end, "", "inner")) == (a.ResolveInputs(THE_END),)
    assert run.node(N) == s.Succeeded("inner", 1)


def test_a_sub_workflow_has_so_many_attempts_and_its_failures_are_for_good():
    plan = around(NodeKind.WORKFLOW, body=inside(), timeout=10 * SECOND, retries=1)
    run = begun(plan, o.InputsReady(N, "d"))
    run.time = 10
    assert run.hear(o.Tick()) == (a.ResolveInputs(("n", 1, "x")), a.WakeAt(at(20)))
    run.time = 20
    run.hear(o.Tick())
    assert run.node(N).failure.code == "RetriesExhausted|TimeoutExpired"
    run = begun(plan, o.InputsReady(N, "d"), o.InputsReady(X, "d"), o.AttemptFailed(X, 0, BUG))
    assert run.node(N) == s.Failed(BUG, 0)


def test_a_branch_out_of_time_takes_the_same_arm_again():
    plan = around(NodeKind.BRANCH, body=arms(LEFT, RIGHT), timeout=10 * SECOND, retries=1)
    run = begun(plan, o.BranchChosen(N, "d", "y"), o.InputsReady(Y, "d"))
    run.time = 10
    assert run.hear(o.Tick()) == (
        a.Kill(Y, 0),
        a.ResolveInputs(("n", 1, "y")),
        a.WakeAt(at(20)),
    )
    assert isinstance(run.node(("n", 1, "x")), s.Skipped)


def test_an_abort_finds_a_sub_workflow_between_two_attempts():
    plan = around(
        NodeKind.WORKFLOW, body=inside(), timeout=10 * SECOND, retries=1, backoff=5 * SECOND
    )
    run = begun(plan, o.InputsReady(N, "d"))
    run.time = 10
    run.hear(o.Tick())
    assert not run.hear(o.AbortRequested("enough"))
    assert run.node(N) == s.Aborted("enough", 0)
    assert run.state.summary.phase is RunPhase.ABORTED


def test_items_have_the_time_of_one_attempt_together():
    node = replace(mapped().nodes["n"], timeout=10 * SECOND)
    run = begun(graph(node), o.ItemsReady(N, "d", 2), o.InputsReady(item(1), "d"))
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(item(1), 0),)
    assert [type(run.node(item(i))) for i in range(2)] == [s.Aborted, s.Aborted]
    assert run.node(N).failure.code == "TimeoutExpired"


def test_a_dynamic_task_and_its_graph_have_the_time_of_one_attempt_together():
    run = begun(DYNAMIC, o.InputsReady(N, "d"), o.AttemptStarted(N, 0))
    run.time = 6
    run.hear(o.Expanded(N, 0, "E"), o.InputsReady(X, "d"), o.AttemptStarted(X, 0))
    run.time = 9
    assert run.hear(o.Tick()) == (a.WakeAt(at(10)),)
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(X, 0), a.Launch(N, 1))
    assert run.node(N).tries.last.code == "TimeoutExpired"
    run.hear(o.AttemptStarted(N, 1), o.Expanded(N, 1, "E"))
    run.time = 20
    run.hear(o.Tick())
    assert run.node(N).failure.code == "RetriesExhausted|TimeoutExpired"


# -- budgets for queueing --

IMPATIENT = around(NodeKind.TASK, system_retries=1, queueing=10 * SECOND)


def test_an_attempt_that_stays_queued_too_long_is_the_systems_failure_and_tried_again():
    run = begun(IMPATIENT, o.InputsReady(N, "d"))
    run.time = 2
    assert run.hear(o.AttemptAccepted(N, 0)) == (a.WakeAt(at(12)),)
    run.time = 7
    run.hear(o.AttemptWaits(N, 0, Stage.RESOURCES, "no room"))
    run.time = 12
    assert run.hear(o.Tick()) == (a.Kill(N, 0), a.Launch(N, 1))
    assert run.node(N).tries.last.blame is s.Blame.SYSTEM
    run.hear(o.AttemptAccepted(N, 1))
    run.time = 22
    run.hear(o.Tick())
    assert run.node(N).failure.code == "RetriesExhausted|QueueingBudgetExceeded"


def test_an_attempt_that_runs_has_no_budget_for_queueing():
    run = begun(IMPATIENT, o.InputsReady(N, "d"), o.AttemptAccepted(N, 0), o.AttemptStarted(N, 0))
    run.time = 99
    assert not run.hear(o.Tick())
    assert isinstance(run.node(N), s.Running)


def test_a_clock_that_stood_still_extends_a_budget_for_queueing():
    run = begun(IMPATIENT, o.InputsReady(N, "d"), o.AttemptAccepted(N, 0))
    run.time = 6
    run.hear(o.Tick(timedelta(seconds=60)))
    run.time = 15
    run.hear(o.Tick())
    assert isinstance(run.node(N), s.Queued)
    run.time = 16
    assert a.Kill(N, 0) in run.hear(o.Tick())


# -- the time limit of a whole run --

HANDLED = replace(graph(task("n"), task("m")), failure_node=task("f"))


def limited(plan=SERIAL, *lead):
    run = Run(plan, timeout=10 * SECOND)
    run.hear(o.Started(), *lead)
    return run


def test_a_run_past_its_time_limit_fails_and_all_of_it_is_stopped():
    run = limited(HANDLED, o.InputsReady(N, "d"), o.AttemptStarted(N, 0))
    run.time = 9
    assert run.hear(o.Tick()) == (a.WakeAt(at(10)),)
    run.time = 10
    actions = run.hear(o.Tick())
    assert a.Kill(N, 0) in actions
    assert isinstance(run.node(N), s.Aborted)
    assert run.summary.failure.code == "Timeout"
    assert "0:00:10" in run.summary.failure.message
    assert run.summary.phase is s.RunPhase.FAILING, "its failure node has its turn"
    assert a.ResolveInputs(("f",)) in actions
    run.time = 99
    run.hear(o.Tick())
    assert isinstance(run.node(("f",)), s.Resolving), "what cleans up is not cut off"
    run.hear(o.InputsReady(("f",), "d"), o.AttemptSucceeded(("f",), 0, "out"))
    assert run.summary.phase is s.RunPhase.FAILED
    assert run.summary.failure.code == "Timeout"


def test_a_run_that_finishes_what_it_can_has_no_more_time_for_it():
    plan = replace(graph(task("n"), task("m")), on_failure=OnFailure.FINISH_RUNNABLE)
    run = limited(plan, o.InputsReady(N, "d"), o.AttemptFailed(N, 0, BUG))
    assert run.summary.phase is s.RunPhase.FAILING
    run.time = 10
    run.hear(o.Tick())
    assert (run.summary.phase, run.summary.failure.code) == (s.RunPhase.FAILED, "Timeout")


def test_who_begins_is_woken_at_the_time_limit_of_the_run():
    run = Run(SERIAL, timeout=10 * SECOND)
    run.time = 5
    assert a.WakeAt(at(15)) in run.hear(o.Started())


def test_a_clock_that_stood_still_extends_the_time_limit_of_a_run():
    run = limited(SERIAL)
    run.time = 6
    run.hear(o.Tick(timedelta(seconds=60)))
    run.time = 15
    run.hear(o.Tick())
    assert run.summary.phase is s.RunPhase.RUNNING
    run.time = 16
    run.hear(o.Tick())
    assert run.summary.phase is s.RunPhase.FAILED


def test_an_aborted_run_does_not_time_out():
    run = limited(SERIAL, o.InputsReady(N, "d"), o.AbortRequested("enough"))
    run.time = 10
    run.hear(o.Tick())
    assert (run.summary.phase, run.summary.failure) == (s.RunPhase.ABORTED, None)


# -- the catalog's reservations --


def test_a_reserved_node_waits_without_a_slot_and_asks_again():
    run = begun(SERIAL, o.InputsReady(N, "d"), o.CacheReserved(N, at(5), "another"))
    assert run.summary.active == 0
    run.time = 5
    assert run.hear(o.Tick()) == (a.Probe(N, "d"),)
    assert run.summary.active == 1
    assert run.hear(o.CacheMiss(N)) == (a.Launch(N, 0),)


def test_a_reserved_node_remembers_since_when_it_is_timed():
    node = replace(SERIAL.nodes["n"], node_timeout=10 * SECOND)
    run = begun(graph(node), o.InputsReady(N, "d"), o.CacheReserved(N, at(5)))
    run.time = 5
    run.hear(o.Tick(), o.CacheReserved(N, at(8)))
    run.time = 10
    run.hear(o.Tick())
    assert run.node(N).timed_out


def test_a_question_about_a_reservation_is_not_asked_without_pause():
    run = begun(SERIAL, o.InputsReady(N, "d"))
    run.time = 9
    run.hear(o.CacheReserved(N, at(5), "another"))
    assert run.node(N).until == at(10)


def test_asking_again_waits_for_its_turn():
    plan = graph(SERIAL.nodes["n"], task("t"))
    run = begun(plan, o.InputsReady(N, "d"), o.CacheReserved(N, at(5)), max_parallelism=1)
    assert run.summary.active == 1
    run.time = 5
    run.hear(o.Tick())
    assert run.node(N) == s.Ready(digest="d", turn=1)
    run.hear(o.InputsReady(("t",), "d"))
    assert run.hear(o.AttemptSucceeded(("t",), 0, ""))[-1] == a.Probe(N, "d")


RELEASED = a.Release(N, "d")


@pytest.mark.parametrize(
    ("seen", "released"),
    [
        ([o.AttemptSucceeded(N, 0, "out")], True),
        ([o.AttemptFailed(N, 0, BUG)], True),
        ([o.AttemptFailed(N, 0, FLAKY)], False),
        ([o.AttemptFailed(N, 0, FLAKY), o.AttemptFailed(N, 1, FLAKY)], True),
        ([o.AbortRequested("enough")], True),
        ([o.Expanded(N, 0, "E")], False),
        ([o.Expanded(N, 0, "E"), o.AbortRequested("enough")], True),
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_a_reservation_is_given_back_once_the_node_no_longer_computes(seen, released, broken):
    run = begun(Plans(SERIAL, DYNAMIC.expansions), o.InputsReady(N, "d"), o.CacheMiss(N, broken))
    assert (RELEASED in run.hear(*seen)) == released


@pytest.mark.parametrize("lead", [[], [o.CacheReserved(N, at(5))]], ids=["probing", "reserved"])
def test_an_abort_gives_back_what_may_have_been_reserved(lead):
    run = begun(SERIAL, o.InputsReady(N, "d"), *lead)
    assert run.hear(o.AbortRequested("enough")) == (RELEASED,)


def test_a_hit_and_a_plain_cache_have_nothing_to_give_back():
    run = begun(SERIAL, o.InputsReady(N, "d"))
    assert run.hear(o.CacheHit(N, "there")) == (a.ResolveInputs(THE_END),)
    plain = begun(
        around(NodeKind.TASK, cache=CachePlan("1")), o.InputsReady(N, "d"), o.CacheMiss(N)
    )
    assert RELEASED not in plain.hear(o.AttemptSucceeded(N, 0, "out"))
    fresh = begun(SERIAL, o.InputsReady(N, "d"), overwrite_cache=True)
    assert RELEASED not in fresh.hear(o.AttemptSucceeded(N, 0, "out"))


# -- back-off --


def test_back_off_doubles_for_each_purse_and_ends_at_five_minutes():
    plan = around(
        NodeKind.TASK,
        retries=20,
        system_retries=20,
        backoff=2 * SECOND,
        system_backoff=100 * SECOND,
    )
    run = begun(plan, o.InputsReady(N, "d"))
    waits = []
    for attempt, why in enumerate([FLAKY, FLAKY, MACHINE, FLAKY, MACHINE, MACHINE, *[FLAKY] * 8]):
        run.hear(o.AttemptFailed(N, attempt, why))
        waits.append((run.node(N).until - at(run.time)).total_seconds())
        run.time += waits[-1]
        run.hear(o.Tick())
    assert waits == [2, 4, 100, 8, 200, 300, 16, 32, 64, 128, 256, 300, 300, 300]


# -- places --


def test_places_have_names():
    run = expanded()
    nodes = run.state.nodes
    assert node_at(DYNAMIC, nodes, X).id == "x"
    assert node_at(DYNAMIC, nodes, ("n", 1, "x")) is None
    assert node_at(DYNAMIC, nodes, ("n", 0)) is None
    assert node_at(DYNAMIC, nodes, ("n", "x")) is None
    assert node_at(DYNAMIC, nodes, ()) is None
    assert graph_at(DYNAMIC, nodes, ("n", 0)) is DYNAMIC.expansions["E"]
    assert graph_at(DYNAMIC, nodes, ()) is DYNAMIC.root
    assert graph_at(DYNAMIC, nodes, ("n", 7)) is None
    assert state_at(DYNAMIC, nodes, ("n", 0)) == s.Scope(2, "E")
    assert state_at(DYNAMIC, nodes, INNER_END) == s.Blocked(1)
    assert state_at(DYNAMIC, nodes, ("nowhere",)) is None
    assert [owner_of(path) for path in (N, X, (*N, 3), (*X, 3))] == [None, N, N, X]


def test_nothing_stands_in_a_graph_that_is_over():
    run = expanded()
    run.hear(o.InputsReady(X, "d"), o.AttemptFailed(X, 0, BUG))
    assert run.node(INNER_END) is None


def test_a_graph_of_no_nodes_is_over_at_once():
    run = begun(around(NodeKind.WORKFLOW, body=Plan("empty", {})), o.InputsReady(N, "d"))
    assert run.node(N) == s.Succeeded("")


def test_a_hundred_graphs_in_one_another():
    plan = inside(task("x"))
    for _ in range(100):
        plan = inside(NodePlan("x", NodeKind.WORKFLOW, (START,), body=plan))
    run = begun(plan)
    path: tuple = ("x",)
    for _ in range(100):
        run.hear(o.InputsReady(path, "d"))
        path = (*path, 0, "x")
    run.hear(o.InputsReady(path, "d"))
    assert run.hear(o.AbortRequested("enough")) == (a.Kill(path, 0),)
    assert run.summary.phase is RunPhase.ABORTED
