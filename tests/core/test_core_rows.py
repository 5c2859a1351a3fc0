"""A worked example of every row of the machine's table, and of every rule that stands outside it."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from core_checks import check
from core_plans import SECOND, at, chain, fan, graph, task

from flyte_jupyter.engine.core import actions as a
from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core import state as s
from flyte_jupyter.engine.core.index import next_wake
from flyte_jupyter.engine.core.plan import (
    END,
    START,
    CachePlan,
    NodeKind,
    NodePlan,
    OnFailure,
    Plan,
)
from flyte_jupyter.engine.core.scopes import plans_of, state_at
from flyte_jupyter.engine.core.state import Blame, CacheOutcome, Failure, RunPhase, Tries
from flyte_jupyter.engine.core.step import fold, give_up, initial, step

N0, N1, N2, THE_END = ("n0",), ("n1",), ("n2",), (END,)
BUG = Failure("Bug", "it broke")
FLAKY = Failure("Flaky", "it broke this time", retryable=True)
MACHINE = Failure("Machine", "the machine broke", Blame.SYSTEM, retryable=True)
CLEAN = o.Exit(0)
ONE = graph(task("n0", retries=2, timeout=10 * SECOND))
CACHED = graph(task("n0", cache=CachePlan("1")))


class Run:
    """A run under the hand: hears things, remembers the last step."""

    def __init__(self, plan: Plan, **options) -> None:
        self.plan = plan
        self.state = initial(plan, **options)
        self.time = 0.0

    def hear(self, *seen: o.Observation) -> tuple[a.Action, ...]:
        done = fold(self.plan, self.state, seen, at(self.time))
        self.state = done.state
        self.changed = done.changed
        return done.actions

    def node(self, path=N0) -> s.NodeState:
        return state_at(self.plan, self.state.nodes, path)

    @property
    def summary(self) -> s.RunSummary:
        return self.state.summary


def launching(plan: Plan = ONE, path=N0, **options) -> Run:
    run = Run(plan, **options)
    run.hear(o.Started(), o.InputsReady(path, "d"))
    if isinstance(run.node(path), s.Probing):
        run.hear(o.CacheMiss(path))
    assert isinstance(run.node(path), s.Launching)
    return run


def running(plan: Plan = ONE, path=N0, **options) -> Run:
    run = launching(plan, path, **options)
    run.hear(o.AttemptAccepted(path, 0), o.AttemptStarted(path, 0))
    return run


PREPARE = {
    s.Resolving: lambda: Run(ONE),
    s.Probing: lambda: Run(CACHED),
    s.Launching: launching,
    s.Queued: launching,
    s.Running: launching,
    s.Collecting: launching,
}
LEAD = {
    s.Resolving: [o.Started()],
    s.Probing: [o.Started(), o.InputsReady(N0, "d")],
    s.Launching: [],
    s.Queued: [o.AttemptAccepted(N0, 0)],
    s.Running: [o.AttemptStarted(N0, 0)],
    s.Collecting: [o.AttemptEnded(N0, 0, CLEAN)],
}
LAUNCHING = s.Launching(Tries(), "d", at(1))
WORKED = {
    (s.Resolving, o.InputsReady): (o.InputsReady(N0, "d"), LAUNCHING, [a.Launch(N0, 0)]),
    (s.Resolving, o.InputsUnresolvable): (o.InputsUnresolvable(N0, BUG), s.Failed(BUG), []),
    (s.Probing, o.CacheHit): (
        o.CacheHit(N0, "there", "p/d/x/n0/0"),
        s.Succeeded("there", cached="p/d/x/n0/0", cache=CacheOutcome.HIT),
        [a.ResolveInputs(THE_END)],
    ),
    (s.Probing, o.CacheMiss): (
        o.CacheMiss(N0, broken=True),
        replace(LAUNCHING, tries=Tries(cache=CacheOutcome.LOOKUP_FAILURE)),
        [a.Launch(N0, 0)],
    ),
    (s.Launching, o.AttemptAccepted): (
        o.AttemptAccepted(N0, 0),
        s.Queued(Tries(), "d", at(1)),
        [],
    ),
    (s.Launching, o.AttemptRejected): (o.AttemptRejected(N0, 0, BUG), s.Failed(BUG), []),
    **{
        (phase, o.AttemptStarted): (
            o.AttemptStarted(N0, 0),
            s.Running(Tries(), "d", at(1), at(11)),
            [a.WakeAt(at(11))],
        )
        for phase in (s.Launching, s.Queued)
    },
    **{
        (phase, o.AttemptEnded): (
            o.AttemptEnded(N0, 0, o.Exit(3)),
            s.Collecting(Tries(), "d", at(1)),
            [a.Collect(N0, 0, o.Exit(3))],
        )
        for phase in (s.Launching, s.Queued, s.Running)
    },
    **{
        (phase, o.AttemptSucceeded): (
            o.AttemptSucceeded(N0, 0, "out", "deck"),
            s.Succeeded("out", 0, deck="deck"),
            [a.Reap(N0, 0), a.ResolveInputs(THE_END)],
        )
        for phase in (s.Launching, s.Queued, s.Running, s.Collecting)
    },
    **{
        (phase, o.AttemptFailed): (
            o.AttemptFailed(N0, 0, BUG, "deck"),
            s.Failed(BUG, 0, deck="deck"),
            [a.Reap(N0, 0)],
        )
        for phase in (s.Launching, s.Queued, s.Running, s.Collecting)
    },
}


@pytest.mark.parametrize("row", WORKED, ids=lambda row: f"{row[0].__name__}-{row[1].__name__}")
def test_row(row):
    seen, after, owed = WORKED[row]
    run = PREPARE[row[0]]()
    run.hear(*LEAD[row[0]])
    assert type(run.node()) is row[0]
    run.time = 1
    assert list(run.hear(seen)) == owed
    assert run.node() == after


def test_the_start_begins_what_waits_for_nothing():
    run = Run(chain(2))
    assert run.node((START,)) == s.Blocked(0)
    assert run.hear(o.Started()) == (a.ResolveInputs(N0),)
    assert run.node((START,)) == s.Succeeded("")
    assert run.node() == s.Resolving()
    assert run.node(N1) == s.Blocked(1)
    assert run.summary.phase is RunPhase.RUNNING


def test_a_run_begins_once():
    rootless = NodePlan("n0", NodeKind.TASK)
    run = Run(Plan("plan", {START: NodePlan(START, NodeKind.START), "n0": rootless}))
    assert run.hear(o.Started()) == (a.ResolveInputs(N0),)
    run.hear(o.InputsReady(N0, "d"))
    before = run.state
    assert run.hear(o.Started()) == ()
    assert run.state is before
    run.hear(o.AttemptSucceeded(N0, 0, "out"))
    assert run.summary.phase is RunPhase.SUCCEEDED


def test_the_end_makes_the_run_succeed():
    run = running()
    assert run.hear(o.AttemptSucceeded(N0, 0, "out"))[-1] == a.ResolveInputs(THE_END)
    assert run.node(THE_END) == s.Resolving()
    assert not run.hear(o.InputsReady(THE_END, "d", "the run's outputs"))
    assert run.summary.phase is RunPhase.SUCCEEDED
    assert run.summary.outputs == "the run's outputs"


def test_an_end_that_cannot_be_resolved_fails_the_run():
    run = running()
    run.hear(o.AttemptSucceeded(N0, 0, "out"), o.InputsUnresolvable(THE_END, MACHINE))
    assert (run.summary.phase, run.summary.failure) == (RunPhase.FAILED, MACHINE)
    assert run.summary.failed_node == END


def test_a_plan_of_nothing_but_start_and_end_succeeds():
    run = Run(graph())
    run.hear(o.Started(), o.InputsReady(THE_END, "d"))
    assert run.summary.phase is RunPhase.SUCCEEDED


# -- the catalog --


def test_a_cacheable_node_asks_the_catalog_and_tells_it():
    run = Run(CACHED)
    run.hear(o.Started())
    assert run.hear(o.InputsReady(N0, "d")) == (a.Probe(N0, "d"),)
    run.hear(o.CacheMiss(N0), o.AttemptEnded(N0, 0, CLEAN))
    assert run.node().tries == Tries(cache=CacheOutcome.MISS)
    run.hear(o.AttemptSucceeded(N0, 0, "out", cache=CacheOutcome.POPULATED))
    assert run.node() == s.Succeeded("out", cache=CacheOutcome.POPULATED)


def test_overwriting_the_cache_does_not_ask_but_tells():
    run = Run(CACHED, overwrite_cache=True)
    run.hear(o.Started())
    assert run.hear(o.InputsReady(N0, "d")) == (a.Launch(N0, 0),)
    assert run.node().tries == Tries(cache=CacheOutcome.SKIPPED)
    run.hear(o.AttemptSucceeded(N0, 0, "out", cache=CacheOutcome.PUT_FAILURE))
    assert run.node() == s.Succeeded("out", cache=CacheOutcome.PUT_FAILURE)


def test_a_hit_without_a_source_is_still_known_as_one():
    run = Run(CACHED)
    run.hear(o.Started(), o.InputsReady(N0, "d"), o.CacheHit(N0, "there"))
    assert run.node().cached == "there"


# -- failures and retries --


def again(run: Run, attempt: int, why: Failure) -> tuple[a.Action, ...]:
    return run.hear(o.AttemptEnded(N0, attempt, CLEAN), o.AttemptFailed(N0, attempt, why))


def test_a_retryable_failure_is_tried_again_with_its_inputs_as_they_were():
    run = running()
    actions = again(run, 0, FLAKY)
    assert actions == (a.Collect(N0, 0, CLEAN), a.Reap(N0, 0), a.Launch(N0, 1))
    assert run.node() == s.Launching(Tries(1, 0, FLAKY), "d", at(0))


def test_the_user_has_retries_and_then_fails_by_name():
    run = running()
    for attempt in range(2):
        again(run, attempt, FLAKY)
    again(run, 2, FLAKY)
    failure = run.node().failure
    assert failure.code == "RetriesExhausted|Flaky"
    assert failure.message == "[3/3] currentAttempt done. Last Error: USER::it broke this time"
    assert run.node().attempt == 2
    assert run.summary.phase is RunPhase.FAILED


def test_a_failure_without_retries_keeps_its_own_name():
    run = running(chain(1))
    again(run, 0, FLAKY)
    assert run.node().failure == FLAKY


def test_a_permanent_failure_is_not_tried_again():
    run = running()
    again(run, 0, BUG)
    assert run.node() == s.Failed(BUG, 0)


def test_the_system_has_a_budget_of_its_own():
    run = running(graph(task("n0", retries=1)))
    again(run, 0, MACHINE)
    again(run, 1, FLAKY)
    again(run, 2, MACHINE)
    again(run, 3, MACHINE)
    assert run.node().tries == Tries(4, 3, MACHINE)
    again(run, 4, MACHINE)
    assert run.node().failure.code == "RetriesExhausted|Machine"
    assert run.node().failure.message.startswith("[4/4] ")
    assert run.node().failure.blame is Blame.SYSTEM


def test_a_system_failure_does_not_charge_the_user():
    run = running(graph(task("n0", retries=1)))
    again(run, 0, MACHINE)
    again(run, 1, FLAKY)
    assert run.node() == s.Launching(Tries(2, 1, FLAKY), "d", at(0))
    again(run, 2, FLAKY)
    assert run.node().failure.message.startswith("[2/2] ")


def test_a_system_budget_of_nothing_fails_at_once():
    run = running(graph(task("n0", system_retries=0)))
    again(run, 0, MACHINE)
    assert run.node().failure == MACHINE


def test_back_off_waits_until_its_moment_and_holds_no_slot():
    run = running(graph(task("n0", retries=1, backoff=5 * SECOND)))
    run.time = 3
    assert again(run, 0, FLAKY)[-1] == a.WakeAt(at(8))
    assert run.node() == s.BackingOff(Tries(1, 0, FLAKY), "d", at(8), FLAKY)
    assert run.summary.active == 0
    run.time = 7.9
    assert run.hear(o.Tick()) == (a.WakeAt(at(8)),)
    run.time = 8
    assert run.hear(o.Tick()) == (a.Launch(N0, 1),)


def test_anything_heard_ends_a_back_off_that_is_due():
    run = running(graph(task("n0", retries=1, backoff=5 * SECOND)))
    again(run, 0, FLAKY)
    run.time = 6
    assert run.hear(o.CacheMiss(N0)) == (a.Launch(N0, 1),)


def test_a_rejection_that_may_pass_is_tried_again():
    run = launching()
    assert run.hear(o.AttemptRejected(N0, 0, MACHINE)) == (a.Launch(N0, 1),)
    assert run.node().tries == Tries(1, 1, MACHINE)


# -- time --


def test_a_timeout_ends_the_attempt_and_counts_as_the_users():
    run = running()
    run.time = 9.999
    assert run.hear(o.Tick()) == (a.WakeAt(at(10)),)
    run.time = 10
    assert run.hear(o.Tick()) == (a.Kill(N0, 0), a.Launch(N0, 1))
    last = run.node().tries.last
    assert (last.code, last.blame, last.retryable) == ("TimeoutExpired", Blame.USER, True)
    assert run.node().tries.system_failures == 0


def test_only_a_tick_judges_deadlines():
    run = running()
    run.time = 100
    run.hear(o.Live(frozenset(), at(-1)))
    assert isinstance(run.node(), s.Running)


def test_waiting_for_a_slot_of_the_executor_is_not_running():
    run = launching()
    run.hear(o.AttemptAccepted(N0, 0))
    run.time = 50
    assert run.hear(o.Tick()) == ()
    assert run.hear(o.AttemptStarted(N0, 0)) == (a.WakeAt(at(60)),)


def test_a_clock_that_stood_still_extends_the_deadline():
    run = running()
    run.time = 3605
    assert run.hear(o.Tick(timedelta(seconds=3600))) == (a.WakeAt(at(3610)),)
    assert run.node().deadline == at(3610)
    run.time = 3610
    assert a.Kill(N0, 0) in run.hear(o.Tick())


def test_a_gap_gives_back_no_more_than_the_attempt_has_run():
    run = running()
    run.time = 2
    run.hear(o.Tick(timedelta(seconds=3600)))
    assert run.node().deadline == at(12)


def test_a_negative_gap_takes_nothing():
    run = running()
    run.time = 5
    run.hear(o.Tick(timedelta(seconds=-3600)))
    assert run.node().deadline == at(10)


def test_a_clock_that_steps_back_makes_nothing_negative():
    run = launching()
    run.time = -3600
    run.hear(o.AttemptAccepted(N0, 0))
    assert run.node().since == at(0)
    run.hear(o.AttemptStarted(N0, 0))
    assert (run.node().since, run.node().deadline) == (at(0), at(10))
    run.hear(o.AttemptEnded(N0, 0, CLEAN))
    assert run.node().since == at(0)


def test_no_timeout_is_no_deadline():
    run = running(chain(1))
    assert run.node().deadline is None
    assert next_wake(run.state) is None
    zero = running(graph(task("n0", timeout=timedelta(0))))
    assert zero.node().deadline is None


def test_the_next_wake_is_the_earliest():
    plan = graph(task("n0", timeout=60 * SECOND), task("n1", retries=1, backoff=5 * SECOND))
    run = Run(plan)
    run.hear(o.Started(), o.InputsReady(N0, "d"), o.InputsReady(N1, "d"))
    assert run.hear(o.AttemptStarted(N0, 0)) == (a.WakeAt(at(60)),)
    assert run.hear(o.AttemptFailed(N1, 0, FLAKY))[-1] == a.WakeAt(at(5))
    assert next_wake(run.state) == at(5)
    assert next_wake(s.RunState(run.summary, dict(run.state.nodes))) == at(5)


# -- parallelism --


def test_nodes_wait_their_turn_in_order_of_arrival():
    run = Run(fan(4), max_parallelism=2)
    assert run.hear(o.Started()) == (a.ResolveInputs(N0), a.ResolveInputs(N1))
    assert run.node(N2) == s.Ready(turn=0)
    assert run.node(("n3",)) == s.Ready(turn=1)
    assert run.summary.active == 2
    run.hear(o.InputsReady(N1, "d"))
    assert run.hear(o.AttemptSucceeded(N1, 0, "out")) == (a.Reap(N1, 0), a.ResolveInputs(N2))


def test_a_wide_graph_begins_in_parts():
    run = Run(fan(4), most_opening=2)
    assert run.hear(o.Started()) == (a.ResolveInputs(N0), a.ResolveInputs(N1))
    assert run.hear(o.InputsReady(N0, "d")) == (a.Launch(N0, 0),)
    assert run.summary.opening == 2
    assert run.hear(o.AttemptAccepted(N0, 0)) == (a.ResolveInputs(N2),)
    assert run.hear(o.AttemptStarted(N0, 0)) == ()
    assert run.hear(o.CacheMiss(N1)) == ()
    assert run.node(("n3",)) == s.Ready(turn=1)
    run.hear(o.InputsReady(N1, "d"))
    assert run.hear(o.AttemptStarted(N1, 0)) == (a.ResolveInputs(("n3",)),)
    assert (run.summary.active, run.summary.opening) == (4, 2)


def test_a_retry_waits_while_others_begin():
    run = Run(fan(2, retries=1), most_opening=1)
    run.hear(o.Started(), o.InputsReady(N0, "d"), o.AttemptStarted(N0, 0))
    assert run.hear(o.AttemptFailed(N0, 0, FLAKY)) == (a.Reap(N0, 0),)
    assert run.node(N0) == s.Ready(Tries(1, 0, FLAKY), "d", 1)
    run.hear(o.InputsReady(N1, "d"))
    assert run.hear(o.AttemptAccepted(N1, 0)) == (a.Launch(N0, 1),)


def test_a_retry_goes_to_the_back_of_the_queue():
    run = Run(fan(2, retries=1), max_parallelism=1)
    run.hear(o.Started(), o.InputsReady(N0, "d"))
    assert run.hear(o.AttemptFailed(N0, 0, FLAKY)) == (a.Reap(N0, 0), a.ResolveInputs(N1))
    assert run.node(N0) == s.Ready(Tries(1, 0, FLAKY), "d", 1)
    run.hear(o.InputsReady(N1, "d"))
    assert run.hear(o.AttemptSucceeded(N1, 0, "out")) == (a.Reap(N1, 0), a.Launch(N0, 1))


def test_a_retry_without_a_digest_is_still_a_retry():
    run = Run(fan(2, retries=1), max_parallelism=1)
    run.hear(o.Started(), o.InputsReady(N0, ""), o.AttemptFailed(N0, 0, FLAKY))
    run.hear(o.InputsReady(N1, ""))
    assert a.Launch(N0, 1) in run.hear(o.AttemptSucceeded(N1, 0, "out"))


def test_children_that_are_released_together_queue_behind_those_who_wait():
    wide = [task(f"c{i}", "n0") for i in range(70)]
    run = Run(graph(task("n0"), task("n1"), *wide, task("two", "n0", "n1")), max_parallelism=1)
    run.hear(o.Started(), o.InputsReady(N0, "d"))
    assert run.hear(o.AttemptSucceeded(N0, 0, "out")) == (a.Reap(N0, 0), a.ResolveInputs(N1))
    assert [run.node((f"c{i}",)) for i in range(70)] == [s.Ready(turn=i + 1) for i in range(70)]
    assert run.node(("two",)) == s.Blocked(1)
    check(plans_of(run.plan), run.state)
    run.hear(o.InputsReady(N1, "d"))
    actions = run.hear(o.AttemptSucceeded(N1, 0, "out"))
    assert actions == (a.Reap(N1, 0), a.ResolveInputs(("c0",)))
    assert run.node(("two",)) == s.Ready(turn=71)


def test_start_and_end_take_no_slot():
    run = Run(ONE, max_parallelism=1)
    run.hear(o.Started(), o.InputsReady(N0, "d"))
    assert run.summary.active == 1
    run.hear(o.AttemptSucceeded(N0, 0, "out"))
    assert isinstance(run.node(THE_END), s.Resolving)
    assert run.summary.active == 0


# -- failure policies --


def three(on_failure: OnFailure) -> Run:
    """n0 and n1 run; n2 needs n0."""
    run = Run(graph(task("n0"), task("n1"), task("n2", "n0"), on_failure=on_failure))
    run.hear(o.Started(), o.InputsReady(N0, "d"), o.InputsReady(N1, "d"), o.AttemptStarted(N1, 0))
    return run


def test_fail_fast_stops_everything():
    run = three(OnFailure.FAIL_FAST)
    assert run.hear(o.AttemptFailed(N0, 0, BUG)) == (a.Reap(N0, 0), a.Kill(N1, 0))
    auto = "Some node execution failed, auto-abort."
    assert run.node(N1) == s.Aborted(auto, 0)
    assert not {N2, THE_END} & set(run.state.nodes), "nobody has heard of them"
    assert run.summary.open == 0
    assert (run.summary.phase, run.summary.failure) == (RunPhase.FAILED, BUG)
    assert run.summary.failed_node == "n0"


def test_fail_fast_keeps_the_first_failure():
    run = three(OnFailure.FAIL_FAST)
    run.hear(o.AttemptFailed(N0, 0, BUG), o.AttemptFailed(N1, 0, MACHINE))
    assert run.summary.failure == BUG


def test_fail_fast_keeps_the_first_of_two_at_the_same_moment():
    run = Run(fan(2, timeout=9 * SECOND))
    run.hear(o.Started(), *(o.InputsReady(n, "d") for n in (N0, N1)))
    run.hear(o.AttemptStarted(N0, 0), o.AttemptStarted(N1, 0))
    run.time = 9
    assert run.hear(o.Tick()) == (a.Kill(N0, 0), a.Kill(N1, 0))
    assert isinstance(run.node(N1), s.Failed)
    assert run.summary.failed_node == "n0"
    assert "'n0'" in run.summary.failure.message


def test_finish_runnable_lets_the_independent_ones_end():
    run = three(OnFailure.FINISH_RUNNABLE)
    assert run.hear(o.AttemptFailed(N0, 0, BUG)) == (a.Reap(N0, 0),)
    assert run.node(N2) == s.Skipped()
    assert run.node(THE_END) == s.Skipped()
    assert isinstance(run.node(N1), s.Running)
    assert run.summary.phase is RunPhase.FAILING
    run.hear(o.AttemptSucceeded(N1, 0, "out"))
    assert (run.summary.phase, run.summary.failure) == (RunPhase.FAILED, BUG)


def test_finish_runnable_keeps_the_last_failure():
    run = three(OnFailure.FINISH_RUNNABLE)
    worse = replace(BUG, code="Worse")
    run.hear(o.AttemptFailed(N0, 0, BUG), o.AttemptFailed(N1, 0, worse))
    assert (run.summary.failure, run.summary.failed_node) == (worse, "n1")


# -- abort --


@pytest.mark.parametrize(
    ("lead", "owed"),
    [
        ([], []),
        ([o.Started()], []),
        ([o.Started(), o.InputsReady(N0, "d")], [a.Kill(N0, 0)]),
        ([o.Started(), o.InputsReady(N0, "d"), o.AttemptAccepted(N0, 0)], [a.Kill(N0, 0)]),
        ([o.Started(), o.InputsReady(N0, "d"), o.AttemptStarted(N0, 0)], [a.Kill(N0, 0)]),
        ([o.Started(), o.InputsReady(N0, "d"), o.AttemptEnded(N0, 0, CLEAN)], [a.Reap(N0, 0)]),
        ([o.Started(), o.InputsReady(N0, "d"), o.AttemptFailed(N0, 0, FLAKY)], []),
    ],
)
def test_an_abort_at_any_phase(lead, owed):
    run = Run(graph(task("n0", retries=1, backoff=9 * SECOND)))
    run.hear(*lead)
    assert list(run.hear(o.AbortRequested("enough", "me"))) == owed
    assert run.summary.phase is RunPhase.ABORTED
    assert (run.summary.abort, run.summary.principal) == ("enough", "me")
    assert {run.state.nodes[p].cause for p in (N0, THE_END) if p in run.state.nodes} <= {"enough"}
    assert (N0 in run.state.nodes) == bool(lead)
    before = run.state
    assert run.hear(o.AbortRequested("again", "you")) == ()
    assert run.state is before
    assert run.hear(o.InputsReady(N0, "d"), o.AttemptSucceeded(N0, 0, "x"), o.Started()) == ()


def test_an_abort_of_a_failing_run_ends_aborted():
    run = three(OnFailure.FINISH_RUNNABLE)
    run.hear(o.AttemptFailed(N0, 0, BUG))
    assert run.hear(o.AbortRequested("enough")) == (a.Kill(N1, 0),)
    assert run.summary.phase is RunPhase.ABORTED
    assert run.node() == s.Failed(BUG)


def test_giving_up_fails_the_run_and_stops_what_is_in_flight():
    run = three(OnFailure.FINISH_RUNNABLE)
    done = give_up(run.plan, run.state, MACHINE, at(1))
    assert done.actions == (a.Kill(N0, 0), a.Kill(N1, 0))
    assert (done.state.summary.phase, done.state.summary.failure) == (RunPhase.FAILED, MACHINE)
    assert done.state.nodes[N1] == s.Aborted(MACHINE.message)
    assert N2 not in done.state.nodes
    again = give_up(run.plan, done.state, BUG, at(2))
    assert again.state == done.state
    assert not again.actions


def test_a_final_run_moves_no_node_whatever_its_rows_say():
    run = launching(graph(task("n0", retries=1), task("n1")), max_parallelism=1)
    ended = s.RunState(replace(run.summary, phase=RunPhase.FAILED), dict(run.state.nodes))
    heard = [
        o.AttemptEnded(N0, 0, CLEAN),
        o.AttemptStarted(N0, 0),
        o.AttemptFailed(N0, 0, FLAKY),
        o.Started(),
    ]
    done = fold(run.plan, ended, [*heard, o.Tick(), o.Live(frozenset({(N0, 0)}), at(9))], at(9))
    assert done.actions == (a.Reap(N0, 0), a.Kill(N0, 0), a.Kill(N0, 0))
    assert not done.changed


# -- listings and strangers --


@pytest.mark.parametrize("lead", [o.AttemptAccepted(N0, 0), o.AttemptStarted(N0, 0)])
def test_what_a_later_listing_does_not_know_is_lost(lead):
    run = launching()
    run.hear(lead)
    run.time = 5
    assert run.hear(o.Live(frozenset(), at(0))) == ()
    actions = run.hear(o.Live(frozenset(), at(1)))
    assert actions[:2] == (a.Kill(N0, 0), a.Launch(N0, 1))
    assert run.node().tries.last.code == "Lost"
    assert run.node().tries.system_failures == 1


def test_a_listing_that_knows_it_condemns_nobody():
    run = running()
    before = run.state
    assert run.hear(o.Live(frozenset({(N0, 0)}), at(1))) == ()
    assert run.state is before


@pytest.mark.parametrize(
    "lead", [[], [o.AttemptEnded(N0, 0, CLEAN)]], ids=["launching", "collecting"]
)
def test_a_listing_never_condemns_what_cannot_be_lost(lead):
    run = launching()
    run.hear(*lead)
    before = run.state
    run.hear(o.Live(frozenset(), at(99)))
    assert run.state is before


def test_a_listed_stranger_is_killed():
    run = launching()
    again(run, 0, FLAKY)
    listed = frozenset({(N0, 0), (N0, 1), (("gone",), 7)})
    assert run.hear(o.Live(listed, at(0))) == (a.Kill(("gone",), 7), a.Kill(N0, 0))


@pytest.mark.parametrize(
    ("seen", "owed"),
    [
        (o.AttemptAccepted(N0, 0), [a.Kill(N0, 0)]),
        (o.AttemptStarted(N0, 0), [a.Kill(N0, 0)]),
        (o.AttemptEnded(N0, 0, CLEAN), [a.Reap(N0, 0)]),
        (o.AttemptSucceeded(N0, 0, "late"), []),
        (o.AttemptFailed(N0, 0, BUG), []),
        (o.AttemptRejected(N0, 0, BUG), []),
        (o.InputsReady(N0, "other"), []),
        (o.InputsUnresolvable(N0, BUG), []),
        (o.CacheHit(N0, "late"), []),
        (o.CacheMiss(N0), []),
        (o.AttemptAccepted(("nowhere",), 3), [a.Kill(("nowhere",), 3)]),
        (o.InputsReady(("nowhere",), "d"), []),
        (o.Started(), []),
    ],
)
def test_old_news_changes_nothing_and_leaks_nothing(seen, owed):
    run = launching()
    again(run, 0, FLAKY)
    before = run.state
    assert list(run.hear(seen)) == owed
    assert run.state is before
    assert not run.changed


def test_news_of_a_phase_that_has_passed_is_ignored():
    run = running()
    before = run.state
    assert run.hear(o.AttemptAccepted(N0, 0), o.AttemptStarted(N0, 0)) == ()
    run.hear(o.AttemptRejected(N0, 0, BUG))
    assert run.state is before
    run.hear(o.AttemptEnded(N0, 0, CLEAN))
    before = run.state
    assert run.hear(o.AttemptStarted(N0, 0), o.AttemptEnded(N0, 0, o.Exit(9))) == ()
    assert run.state is before


# -- cost --


def test_a_state_from_rows_goes_on_as_if_nothing_had_happened():
    run = running()
    rows = s.RunState(run.summary, dict(run.state.nodes))
    seen = o.AttemptEnded(N0, 0, CLEAN)
    assert step(ONE, rows, seen, at(1)) == step(ONE, run.state, seen, at(1))


def test_a_step_that_counts_leaves_all_else_of_the_summary_as_it_was():
    run = launching()
    counts = {"open", "active", "opening", "turns"}
    given = {
        "phase": RunPhase.FAILING,
        "max_parallelism": 7,
        "most_opening": 8,
        "overwrite_cache": True,
        "failure": BUG,
        "failed_node": "n9",
        "handling": True,
        "abort": "why",
        "principal": "ann",
        "outputs": "file:///o",
        "timeout": SECOND,
        "since": at(0),
    }
    assert counts | set(given) == {field.name for field in fields(s.RunSummary)}
    run.state = replace(run.state, summary=replace(run.summary, **given))
    run.hear(o.AttemptAccepted(N0, 0))
    assert run.summary.opening == 0
    assert {name: getattr(run.summary, name) for name in given} == given
