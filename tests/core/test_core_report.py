"""What Flyte's clients are told of a step: example by example. Whether sequences are legal is checked by the simulation's admin."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from core_admin import NODE, RUN, TASK, Admin
from core_plans import SECOND, at, graph, task

from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core import state as s
from flyte_jupyter.engine.core.plan import (
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
from flyte_jupyter.engine.core.report import ReportContext, report, untold
from flyte_jupyter.engine.core.scopes import plans_of
from flyte_jupyter.engine.core.state import Blame, Failure, Tries
from flyte_jupyter.engine.core.step import fold, initial
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, RunId, child_run, path_text, short_id

N0 = ("n0",)
BASE = "file:///b/metadata/propeller/p-d-x"
FLAKY = Failure("Flaky", "again", retryable=True)
LOST = Failure("Lost", "gone", Blame.SYSTEM, retryable=True)
CLEAN = o.Exit(0)
TASK_ID = core.Identifier(
    resource_type=core.ResourceType.TASK, project="p", domain="d", name="t", version="v"
)


class Told:
    def __init__(self, plan, **options):
        self.plan = plan
        self.state = initial(plan, **options)
        self.context = ReportContext(
            RunId("p", "d", "x"), "file:///b", plans_of(plan), lambda *_: TASK_ID
        )
        self.admin = Admin()

    def hear(self, *seen, time=0.0):
        done = fold(self.plan, self.state, seen, at(time))
        events = report(self.context, self.state, done.state, done.changed, at(time))
        self.state = done.state
        for each in events:
            self.admin.hear(each)
        return events


def plain(**policies):
    return graph(task("n0", task_type="python-task", task_name="my.task", **policies))


def short(events):
    """Kind, node and phase of each event."""
    made = []
    for each in events:
        match each:
            case event.WorkflowExecutionEvent():
                made.append(("run", RUN.Phase.Name(each.phase)))
            case event.NodeExecutionEvent():
                made.append((each.id.node_id, NODE.Phase.Name(each.phase)))
            case event.TaskExecutionEvent():
                made.append(
                    (
                        each.parent_node_execution_id.node_id,
                        each.retry_attempt,
                        TASK.Phase.Name(each.phase),
                    )
                )
    return made


def test_a_quiet_run_from_start_to_end():
    told = Told(plain())
    assert short(told.hear(o.Started())) == [("run", "RUNNING"), (START, "SUCCEEDED")]
    assert short(told.hear(o.InputsReady(N0, "d"))) == [("n0", "QUEUED"), ("n0", 0, "QUEUED")]
    assert not told.hear(o.AttemptAccepted(N0, 0))
    assert short(told.hear(o.AttemptStarted(N0, 0))) == [("n0", "RUNNING"), ("n0", 0, "RUNNING")]
    assert not told.hear(o.AttemptEnded(N0, 0, CLEAN))
    assert short(told.hear(o.AttemptSucceeded(N0, 0, "out"))) == [
        ("n0", 0, "SUCCEEDED"),
        ("n0", "SUCCEEDED"),
    ]
    assert short(told.hear(o.InputsReady(("end-node",), "d"))) == [
        ("end-node", "SUCCEEDED"), ("run", "SUCCEEDING"), ("run", "SUCCEEDED"),
    ]  # fmt: skip
    told.admin.check_over()


def test_events_carry_what_clients_read():
    told = Told(plain())
    (_, start) = told.hear(o.Started(), time=1)
    assert start.output_uri == f"{BASE}/start-node/data/0/outputs.pb"
    assert not start.input_uri
    node, attempt = told.hear(o.InputsReady(N0, "d"), time=2)
    assert node.occurred_at.ToDatetime(at(0).tzinfo) == at(2)
    assert node.input_uri == f"{BASE}/n0/data/inputs.pb"
    assert (node.spec_node_id, node.node_name) == ("n0", "my.task")
    assert (node.id.execution_id.project, node.id.execution_id.name) == ("p", "x")
    assert attempt.task_id == TASK_ID
    assert attempt.task_type == "python-task"
    assert attempt.input_uri == node.input_uri
    done = told.hear(o.AttemptSucceeded(N0, 0, "out", "the deck"), time=3)
    ended = [e for e in done if e.output_uri]
    assert [e.output_uri for e in ended] == ["out", "out"]
    assert ended[-1].deck_uri == "the deck"
    *_, over = told.hear(o.InputsReady(("end-node",), "d", "all of it"), time=4)
    assert over.output_uri == "all of it"


def test_the_runs_outputs_have_a_place_even_if_nobody_named_it():
    told = Told(plain())
    told.hear(o.Started(), o.InputsReady(N0, "d"), o.AttemptSucceeded(N0, 0, "out"))
    *_, over = told.hear(o.InputsReady(("end-node",), "d"))
    assert over.output_uri == f"{BASE}/end-node/data/0/outputs.pb"


def test_a_retry_shows_as_an_attempt_and_not_on_the_node():
    told = Told(plain(retries=1))
    told.hear(o.Started())
    told.hear(o.InputsReady(N0, "d"))
    told.hear(o.AttemptStarted(N0, 0))
    events = told.hear(o.AttemptFailed(N0, 0, FLAKY))
    assert short(events) == [("n0", 0, "RETRYABLE_FAILED"), ("n0", 1, "QUEUED")]
    assert (events[0].error.code, events[0].error.kind) == ("Flaky", core.ExecutionError.USER)
    assert events[0].error.error_uri == f"{BASE}/n0/data/0/error.pb"
    events = told.hear(o.AttemptFailed(N0, 1, FLAKY, "deck"))
    assert short(events)[:2] == [("n0", 1, "FAILED"), ("n0", "FAILED")]
    assert events[1].error.code == "RetriesExhausted|Flaky"
    assert events[1].deck_uri == "deck"


def test_a_system_failure_is_the_systems():
    told = Told(plain(system_backoff=5 * SECOND))
    told.hear(o.Started())
    told.hear(o.InputsReady(N0, "d"))
    told.hear(o.AttemptAccepted(N0, 0))
    events = told.hear(o.Live(frozenset(), at(1)), time=2)
    assert short(events) == [("n0", "RUNNING"), ("n0", 0, "RETRYABLE_FAILED")]
    assert events[1].error.kind == core.ExecutionError.SYSTEM
    assert short(told.hear(o.Tick(), time=7)) == [("n0", 1, "QUEUED")]


def test_an_abort_in_back_off_tells_of_no_attempt_that_was_never_made():
    told = Told(plain(retries=2, backoff=5 * SECOND))
    told.hear(o.Started(), o.InputsReady(N0, "d"), o.AttemptFailed(N0, 0, FLAKY))
    told.hear(o.Tick(), o.AttemptStarted(N0, 1), time=5)
    abort = o.AbortRequested("enough")
    together = short(told.hear(o.AttemptFailed(N0, 1, FLAKY), abort, time=6))
    assert together == [("n0", 1, "ABORTED"), ("n0", "ABORTED"), ("run", "ABORTED")]

    told = Told(plain(retries=2, backoff=5 * SECOND))
    told.hear(o.Started(), o.InputsReady(N0, "d"), o.AttemptFailed(N0, 0, FLAKY))
    apart = short(told.hear(abort, time=1))
    assert apart == [("n0", "ABORTED"), ("run", "ABORTED")]


def test_an_abort_of_a_retry_that_waits_for_its_turn_tells_of_no_other_attempt():
    told = Told(graph(task("n0", retries=2), task("n1")), max_parallelism=1)
    told.hear(o.Started(), o.InputsReady(N0, "d"), o.AttemptStarted(N0, 0))
    events = short(told.hear(o.AttemptFailed(N0, 0, FLAKY), o.AbortRequested("enough")))
    assert [each for each in events if each[0] == "n0"] == [
        ("n0", 0, "ABORTED"),
        ("n0", "ABORTED"),
    ]


def test_a_start_that_is_heard_with_its_end_was_as_long_ago_as_the_process_ran():
    told = Told(plain())
    told.hear(o.Started(), o.InputsReady(N0, "d"))
    end = o.AttemptEnded(N0, 0, o.Exit(0, ran=0.25))
    events = told.hear(o.AttemptStarted(N0, 0), end, o.AttemptSucceeded(N0, 0, "out"), time=5)
    running = [e for e in events if short([e])[0][-1] == "RUNNING"]
    ended = [e for e in events if short([e])[0][-1] == "SUCCEEDED"]
    assert [short([e])[0][0] for e in running] == ["n0", "n0"]
    for begun, over in zip(running, ended, strict=False):
        took = over.occurred_at.ToDatetime() - begun.occurred_at.ToDatetime()
        assert took.total_seconds() == 0.25


@pytest.mark.parametrize(("ran", "told_of_starts"), [(0.25, ["n0", "n0"]), (0.0, [])])
def test_a_failure_that_is_heard_with_its_start_tells_of_it_if_a_process_ran(ran, told_of_starts):
    told = Told(plain())
    told.hear(o.Started(), o.InputsReady(N0, "d"))
    end = o.AttemptEnded(N0, 0, o.Exit(1, ran=ran))
    events = told.hear(end, o.AttemptFailed(N0, 0, Failure("Bug", "broke")), time=5)
    running = [e for e in events if short([e])[0][-1] == "RUNNING"]
    assert [short([e])[0][0] for e in running] == told_of_starts
    for begun in running:
        assert begun.occurred_at.ToDatetime(UTC) == at(5) - 0.25 * SECOND


def test_a_failure_ends_the_run_with_its_error():
    told = Told(graph(task("n0"), task("n1")))
    told.hear(o.Started())
    told.hear(o.InputsReady(N0, "d"), o.InputsReady(("n1",), "d"))
    events = told.hear(o.AttemptFailed(N0, 0, Failure("Bug", "broke")), time=1)
    assert short(events) == [
        ("n0", 0, "FAILED"), ("n0", "FAILED"),
        ("n1", 0, "ABORTED"), ("n1", "ABORTED"),
        ("run", "FAILING"), ("run", "FAILED"),
    ]  # fmt: skip
    assert (events[-1].error.code, events[-1].error.message) == ("Bug", "broke")
    assert events[3].error.message == "Some node execution failed, auto-abort."


def test_nodes_that_never_began_are_not_told_of():
    told = Told(graph(task("n0"), task("n1", "n0"), on_failure=OnFailure.FINISH_RUNNABLE))
    told.hear(o.Started())
    events = told.hear(o.InputsUnresolvable(N0, Failure("Binding", "no", Blame.SYSTEM)))
    assert short(events) == [("n0", "FAILED"), ("run", "FAILING"), ("run", "FAILED")]


def test_an_abort_is_told_with_its_cause():
    told = Told(plain())
    told.hear(o.Started())
    told.hear(o.InputsReady(N0, "d"))
    events = told.hear(o.AbortRequested("enough", "me"))
    assert short(events) == [("n0", 0, "ABORTED"), ("n0", "ABORTED"), ("run", "ABORTED")]
    assert {e.error.message for e in events} == {"enough"}


def cache_statuses(told, *batches):
    events = [e for batch in batches for e in told.hear(*batch)]
    return [
        (NODE.Phase.Name(e.phase), core.CatalogCacheStatus.Name(e.task_node_metadata.cache_status))
        for e in events
        if isinstance(e, event.NodeExecutionEvent) and e.id.node_id == "n0"
    ]


def test_cache_statuses():
    cached = plain(cache=CachePlan("1"))
    lead = [[o.Started()], [o.InputsReady(N0, "d")]]
    ran = [[o.CacheMiss(N0)], [o.AttemptSucceeded(N0, 0, "out", cache=s.CacheOutcome.POPULATED)]]
    hit = Told(cached)
    assert cache_statuses(hit, *lead, [o.CacheHit(N0, "there", "p/d/y/n5/2")]) == [
        ("QUEUED", "CACHE_MISS"), ("SUCCEEDED", "CACHE_HIT"),
    ]  # fmt: skip
    assert not hit.admin.tasks, "a hit has no task execution"
    assert cache_statuses(Told(cached), *lead, *ran) == [
        ("QUEUED", "CACHE_MISS"), ("RUNNING", "CACHE_MISS"), ("SUCCEEDED", "CACHE_POPULATED"),
    ]  # fmt: skip
    assert {status for _, status in cache_statuses(Told(plain()), *lead, *ran)} == {
        "CACHE_DISABLED"
    }


@pytest.mark.parametrize("source", ["p/d/y/n5/2", "there", "p/d/y/n5/latest"])
def test_a_hit_names_its_source_where_that_is_known(source):
    told = Told(plain(cache=CachePlan("1")))
    told.hear(o.Started(), o.InputsReady(N0, "d"))
    (node, *_) = told.hear(o.CacheHit(N0, "there", source))
    assert node.output_uri == "there"
    key = node.task_node_metadata.catalog_key
    if source == "p/d/y/n5/2":
        of = key.source_task_execution
        assert (of.node_execution_id.execution_id.name, of.node_execution_id.node_id) == ("y", "n5")
        assert (of.retry_attempt, of.task_id) == (2, TASK_ID)
    else:
        assert not key.HasField("source_task_execution")


TRIES = [Tries(0), Tries(1, 0, FLAKY), Tries(3, 1, LOST)]
OPEN = [
    s.Blocked(1), s.Resolving(), s.Probing("d"),
    *[s.Ready(t, "d" if t.attempt else "") for t in TRIES],
    *[of(t, "d", at(0)) for of in (s.Launching, s.Queued, s.Running, s.Collecting) for t in TRIES],
    *[s.BackingOff(t, "d", at(9), t.last) for t in TRIES[1:]],
]  # fmt: skip
ENDED = [
    s.Skipped(),
    *[s.Succeeded("out", t.attempt) for t in TRIES],
    s.Succeeded("out", cached="x"),
    *[s.Failed(FLAKY, t.attempt) for t in TRIES],
    *[s.Aborted("why", t.attempt) for t in TRIES],
]
STAGES = [
    s.Blocked, "a new node that waits", s.Resolving, s.Probing, s.BackingOff, s.Ready,
    s.Launching, s.Queued, s.Running, s.Collecting,
]  # fmt: skip


def place(state):
    """How far an open node has come: its attempt, then its phase within it."""
    tries = getattr(state, "tries", Tries())
    new = isinstance(state, s.Ready) and not tries.attempt
    return tries.attempt, STAGES.index("a new node that waits" if new else type(state))


def forward(before, after):
    """Whether a fold could lead from one to the other."""
    if isinstance(after, s.TERMINAL):
        cached = getattr(after, "cached", "")
        return bool(cached) or getattr(after, "attempt", 9) >= place(before)[0]
    return place(before) < place(after)


@pytest.mark.parametrize("before", OPEN, ids=repr)
def test_any_two_states_make_a_legal_sequence(before):
    """Whatever a fold jumps over, each (before, after) and each (before, middle, after) is accepted by a strict admin."""
    plan = plain(cache=CachePlan("1"))
    context = ReportContext(RunId("p", "d", "x"), "file:///b", plans_of(plan), lambda *_: TASK_ID)

    def run(node):
        return s.RunState(s.RunSummary(s.RunPhase.RUNNING), {N0: node})

    for middle, after in itertools.product(OPEN, OPEN + ENDED):
        if not (forward(before, middle) and forward(middle, after)):
            continue
        admin = Admin()
        admin.run = RUN.RUNNING
        for one, two in itertools.pairwise([s.Blocked(1), before, middle, after]):
            if one != two:
                for each in report(context, run(one), run(two), [N0], at(1)):
                    admin.hear(each)
        if isinstance(after, s.TERMINAL) and not isinstance(after, s.Skipped):
            assert not set(admin.nodes.values()) & {NODE.QUEUED, NODE.RUNNING}
            if not getattr(after, "cached", ""):
                assert not set(admin.tasks.values()) & {TASK.QUEUED, TASK.RUNNING}


@pytest.mark.parametrize(
    "state", [*OPEN, *ENDED, s.Reserved("d", at(1)), s.Waiting("d", at(1))], ids=repr
)
def test_a_node_of_which_nothing_was_told_is_known_by_its_state(state):
    context = ReportContext(
        RunId("p", "d", "x"), "file:///b", plans_of(plain()), lambda *_: TASK_ID
    )
    none, one = (s.RunState(s.RunSummary(), nodes) for nodes in ({}, {N0: state}))
    told = report(context, none, one, [N0], at(1))
    # Who has ended has nothing more to tell, also when nothing was told.
    assert untold(state) == (not told and not isinstance(state, s.TERMINAL))
    assert untold(None)


# -- nodes around nodes --


def inner(*tasks, **more):
    return replace(graph(*(tasks or (task("x"),)), **more), digest="inside", template="theirs")


def one(kind, **more):
    return graph(NodePlan("n0", kind, (START,), task_name="its.name", **more))


def test_attempts_say_whether_they_may_be_interrupted():
    told = Told(plain(interruptible=True, system_retries=1))
    told.hear(o.Started())
    (queued,) = [e for e in told.hear(o.InputsReady(N0, "d")) if hasattr(e, "retry_attempt")]
    assert queued.metadata.instance_class == event.TaskExecutionMetadata.INTERRUPTIBLE
    *_, last = told.hear(o.AttemptFailed(N0, 0, LOST))
    assert (last.retry_attempt, last.metadata.instance_class) == (
        1,
        event.TaskExecutionMetadata.DEFAULT,
    )


X = ("n0", 0, "x")


def test_a_sub_workflow_is_told_around_what_runs_in_it():
    told = Told(one(NodeKind.WORKFLOW, body=inner()))
    told.hear(o.Started())
    events = told.hear(o.InputsReady(N0, "d"))
    assert short(events) == [
        ("n0", "QUEUED"), ("n0", "RUNNING"), ("n0-0-start-node", "SUCCEEDED"),
    ]  # fmt: skip
    assert events[0].is_parent
    start = events[2]
    assert start.output_uri == f"{BASE}/n0/data/inputs.pb"
    events = told.hear(o.InputsReady(X, "d"))
    assert short(events) == [("n0-0-x", "QUEUED"), ("n0-0-x", 0, "QUEUED")]
    child = events[0]
    assert (child.parent_node_metadata.node_id, child.retry_group) == ("n0", "0")
    assert (child.spec_node_id, child.is_parent, child.is_in_dynamic_chain) == ("x", False, False)
    events = told.hear(
        o.AttemptSucceeded(X, 0, "out"), o.InputsReady(("n0", 0, "end-node"), "d", "theirs")
    )
    assert short(events)[-4:] == [
        ("n0-0-x", 0, "SUCCEEDED"),
        ("n0-0-x", "SUCCEEDED"),
        ("n0-0-end-node", "SUCCEEDED"),
        ("n0", "SUCCEEDED"),
    ]
    assert events[-1].output_uri == "theirs"


def test_what_a_fold_does_inside_a_node_is_told_before_its_end():
    told = Told(one(NodeKind.WORKFLOW, body=inner()))
    told.hear(o.Started())
    events = told.hear(o.InputsReady(N0, "d"), o.InputsReady(X, "d"), o.AttemptFailed(X, 0, FLAKY))
    assert [each for each in short(events) if each[0] != "run"] == [
        ("n0", "QUEUED"), ("n0", "RUNNING"), ("n0-0-start-node", "SUCCEEDED"), ("n0-0-x", "FAILED"), ("n0", "FAILED"),
    ]  # fmt: skip


def test_a_branch_is_no_parent_but_its_arm_names_it():
    arms = Plan("arms", {name: NodePlan(name, NodeKind.TASK) for name in "xy"})
    told = Told(one(NodeKind.BRANCH, body=arms))
    told.hear(o.Started())
    events = told.hear(o.BranchChosen(N0, "d", "x"), o.InputsReady(X, "d"))
    assert short(events) == [
        ("n0", "QUEUED"), ("n0", "RUNNING"), ("n0-0-x", "QUEUED"), ("n0-0-x", 0, "QUEUED"),
    ]  # fmt: skip
    assert not events[0].is_parent
    assert events[2].parent_node_metadata.node_id == "n0"


def test_a_dynamic_task_becomes_a_parent_when_it_leaves_a_graph():
    slow = graph(task("x", task_type="python-task", node_timeout=timedelta(seconds=5)))
    plans = Plans(one(NodeKind.TASK, retries=1), {"E": slow})
    told = Told(plans)
    told.hear(o.Started(), o.InputsReady(N0, "d"), o.AttemptStarted(N0, 0))
    events = told.hear(o.Expanded(N0, 0, "E"), o.InputsReady(X, "d"))
    assert short(events) == [
        ("n0", 0, "SUCCEEDED"), ("n0", "DYNAMIC_RUNNING"), ("n0-0-start-node", "SUCCEEDED"),
        ("n0-0-x", "QUEUED"), ("n0-0-x", 0, "QUEUED"),
    ]  # fmt: skip
    becomes, child = events[1], events[3]
    assert (becomes.is_parent, becomes.is_dynamic) == (True, True)
    made = becomes.task_node_metadata.dynamic_workflow
    assert (made.id.name, made.id.version) == ("dynamic_n0", "E")
    assert made.dynamic_job_spec_uri == f"{BASE}/n0/data/0/futures.pb"
    assert child.is_in_dynamic_chain
    events = told.hear(o.Tick(), time=5)
    assert short(events) == [("n0-0-x", 0, "FAILED"), ("n0-0-x", "TIMED_OUT"), ("n0", 1, "QUEUED")]
    events = told.hear(o.AttemptStarted(N0, 1), o.Expanded(N0, 1, "E"))
    assert ("n0", "DYNAMIC_RUNNING") in short(events)
    assert events[-1].retry_group == "1"


def test_a_child_execution_is_named():
    told = Told(one(NodeKind.LAUNCH_PLAN))
    told.hear(o.Started())
    events = told.hear(o.InputsReady(N0, "d"), o.AttemptStarted(N0, 0))
    assert short(events) == [("n0", "QUEUED"), ("n0", "RUNNING")]
    child = events[1].workflow_node_metadata.execution_id
    assert (child.project, child.domain, child.name) == ("p", "d", "x-n0-0")
    assert not events[1].HasField("task_node_metadata")


def mapped(**more):
    item = NodePlan("n0", NodeKind.TASK, **more)
    return one(NodeKind.ARRAY, item=item, array=ArrayPlan(min_successes=1))


def resources(events):
    return [
        (item.index, item.retry_attempt, TASK.Phase.Name(item.phase))
        for each in events
        if isinstance(each, event.TaskExecutionEvent)
        for item in each.metadata.external_resources
    ]


def test_one_task_execution_tells_of_the_items_that_changed():
    told = Told(mapped(retries=1, backoff=SECOND))
    told.hear(o.Started())
    events = told.hear(o.ItemsReady(N0, "d", 2))
    assert short(events) == [("n0", "QUEUED"), ("n0", "RUNNING"), ("n0", 0, "RUNNING")]
    assert events[0].is_array
    whole = events[2]
    assert (whole.task_type, whole.metadata.plugin_identifier) == ("container_array", "k8s-array")
    assert whole.task_id == TASK_ID
    assert whole.custom_info["size"] == 2
    assert resources(events) == [(0, 0, "QUEUED"), (1, 0, "QUEUED")]
    assert not told.hear(o.InputsReady(("n0", 1), "d"))
    events = told.hear(o.AttemptStarted(("n0", 1), 0))
    assert short(events) == [("n0", 0, "RUNNING")]
    assert resources(events) == [(1, 0, "RUNNING")]
    assert events[0].metadata.external_resources[0].external_id == "x-n0-1-0"
    failed = told.hear(o.AttemptFailed(("n0", 1), 0, FLAKY))
    assert resources(failed) == [(1, 0, "RETRYABLE_FAILED")]
    assert resources(told.hear(o.Tick(), time=1)) == [(1, 1, "QUEUED")]
    events = told.hear(o.AttemptSucceeded(("n0", 1), 1, ""), o.InputsUnresolvable(("n0", 0), FLAKY))
    assert resources(events) == [(0, 0, "FAILED"), (1, 1, "SUCCEEDED")]
    events = told.hear(o.Gathered(N0, "all"))
    assert short(events)[:2] == [("n0", 0, "SUCCEEDED"), ("n0", "SUCCEEDED")]
    assert events[0].output_uri == events[1].output_uri == "all"


def test_an_items_failed_attempt_is_told_even_if_the_next_begins_at_once():
    told = Told(mapped(retries=2))
    told.hear(o.Started())
    told.hear(o.ItemsReady(N0, "d", 1), o.InputsReady(("n0", 0), "d"))
    told.hear(o.AttemptStarted(("n0", 0), 0))
    events = told.hear(o.AttemptFailed(("n0", 0), 0, FLAKY))
    assert resources(events) == [(0, 0, "RETRYABLE_FAILED"), (0, 1, "QUEUED")]
    events = told.hear(
        o.AttemptFailed(("n0", 0), 1, FLAKY), o.AttemptSucceeded(("n0", 0), 2, "there")
    )
    assert resources(events) == [(0, 1, "RETRYABLE_FAILED"), (0, 2, "SUCCEEDED")]


def test_a_map_that_ends_in_one_fold_has_run():
    told = Told(mapped(cache=CachePlan("1")))
    told.hear(o.Started())
    events = told.hear(
        o.ItemsReady(N0, "d", 1), o.InputsReady(("n0", 0), "d"), o.CacheHit(("n0", 0), "there"),
        o.Gathered(N0, "all"),
    )  # fmt: skip
    assert short(events) == [
        ("n0", "QUEUED"), ("n0", "RUNNING"), ("n0", 0, "RUNNING"), ("n0", 0, "SUCCEEDED"), ("n0", "SUCCEEDED"),
    ]  # fmt: skip
    item = events[3].metadata.external_resources[0]
    assert item.cache_status == core.CatalogCacheStatus.CACHE_HIT


def test_items_that_are_child_executions_are_named():
    told = Told(one(NodeKind.ARRAY, item=NodePlan("n0", NodeKind.LAUNCH_PLAN)))
    told.context = replace(told.context, task_of=lambda *_: None)
    told.hear(o.Started())
    *_, whole = told.hear(o.ItemsReady(N0, "d", 1))
    assert (whole.task_id.name, whole.task_id.project) == ("n0", "p")
    child = whole.metadata.external_resources[0].workflow_node_metadata.execution_id
    assert child.name == "x-n0-0-0"
    *_, whole = told.hear(o.Recovered(("n0", 0), "old", "p/d/y/n0-0/0", child="p/d/y-n0-0-0"))
    child = whole.metadata.external_resources[0].workflow_node_metadata.execution_id
    assert child.name == "y-n0-0-0", "there is no execution of its own"


def test_a_map_that_fails_and_one_that_is_aborted():
    told = Told(mapped())
    told.hear(o.Started(), o.ItemsReady(N0, "d", 1))
    events = told.hear(o.InputsUnresolvable(("n0", 0), FLAKY))
    assert short(events)[:2] == [("n0", 0, "FAILED"), ("n0", "FAILED")]
    told = Told(mapped())
    told.hear(o.Started(), o.ItemsReady(N0, "d", 2))
    events = told.hear(o.AbortRequested("enough"))
    assert short(events)[:2] == [("n0", 0, "ABORTED"), ("n0", "ABORTED")]
    assert resources(events) == [(0, 0, "ABORTED"), (1, 0, "ABORTED")]


def test_a_gate_runs_while_it_waits():
    told = Told(one(NodeKind.GATE, gate=GatePlan("sure?")))
    told.hear(o.Started())
    assert short(told.hear(o.InputsReady(N0, "d"))) == [("n0", "QUEUED"), ("n0", "RUNNING")]
    assert short(told.hear(o.GateOpened(N0, "yes"))) == [("n0", "SUCCEEDED")]


def test_a_nodes_own_time_limit_has_a_phase_of_its_own():
    told = Told(one(NodeKind.TASK, node_timeout=5 * SECOND))
    told.hear(o.Started(), o.InputsReady(N0, "d"))
    (_, node, *_) = told.hear(o.Tick(), time=5)
    assert (node.phase, node.error.code) == (NODE.TIMED_OUT, "TimeoutExpired")


def test_what_was_recovered_says_so():
    told = Told(one(NodeKind.TASK))
    told.hear(o.Started())
    (node,) = told.hear(o.Recovered(N0, "old", "p/d/y/n0/0"))
    assert (node.phase, node.output_uri) == (NODE.RECOVERED, "old")


def test_what_was_recovered_has_the_deck_and_the_cache_status_of_the_earlier_execution():
    told = Told(one(NodeKind.TASK, cache=CachePlan("1")))
    told.hear(o.Started())
    (node,) = told.hear(o.Recovered(N0, "old", "p/d/y/n0/0", "deck", s.CacheOutcome.HIT))
    assert node.deck_uri == "deck"
    assert node.task_node_metadata.cache_status == core.CatalogCacheStatus.CACHE_HIT


def test_a_recovered_launch_plan_names_the_execution_that_gave_its_outputs():
    told = Told(one(NodeKind.LAUNCH_PLAN))
    told.hear(o.Started())
    (node,) = told.hear(o.Recovered(N0, "old", "p/d/y/n0/0", child="p/d/y-n0-0"))
    assert node.workflow_node_metadata.execution_id.name == "y-n0-0"


@pytest.mark.parametrize(
    ("stage", "reason", "phase"),
    [
        (s.Stage.QUEUED, "no slot", TASK.QUEUED),
        (s.Stage.INITIALIZING, "", TASK.INITIALIZING),
    ],
)
def test_what_an_attempt_waits_for_is_told_also_when_it_is_taken_with_that(stage, reason, phase):
    told = Told(plain())
    told.hear(o.Started())
    told.hear(o.InputsReady(N0, "d"))
    (waiting,) = told.hear(o.AttemptWaits(N0, 0, stage, reason))
    assert (waiting.phase, waiting.reason) == (phase, reason)


def test_what_an_attempt_waits_for_is_told_once():
    told = Told(plain())
    told.hear(o.Started(), o.InputsReady(N0, "d"))
    waits = o.AttemptWaits(N0, 0, s.Stage.RESOURCES, "no GPU")
    (waiting,) = told.hear(waits, time=3)
    assert (waiting.phase, waiting.reason) == (TASK.WAITING_FOR_RESOURCES, "no GPU")
    assert waiting.reasons[0].reason == "no GPU"
    assert waiting.reasons[0].occurred_at.ToDatetime(at(0).tzinfo) == at(3)
    assert not told.hear(waits)
    (pulling,) = told.hear(o.AttemptWaits(N0, 0, s.Stage.INITIALIZING, "pulling"))
    assert pulling.phase == TASK.INITIALIZING
    assert not told.hear(o.AttemptWaits(N0, 0, s.Stage.INITIALIZING, ""))
    (again,) = told.hear(o.AttemptWaits(N0, 0, s.Stage.QUEUED, "on another machine"))
    assert again.phase == TASK.QUEUED


@pytest.mark.parametrize(
    ("miss", "took", "status"),
    [
        (o.CacheMiss(N0), s.CacheOutcome.PUT_FAILURE, "CACHE_PUT_FAILURE"),
        (o.CacheMiss(N0, broken=True), s.CacheOutcome.NONE, "CACHE_LOOKUP_FAILURE"),
        (o.CacheMiss(N0), s.CacheOutcome.NONE, "CACHE_MISS"),
    ],
)
def test_what_the_catalog_could_not_do_is_told(miss, took, status):
    told = Told(plain(cache=CachePlan("1")))
    ran = [
        [o.Started()],
        [o.InputsReady(N0, "d"), miss],
        [o.AttemptSucceeded(N0, 0, "o", cache=took)],
    ]
    assert cache_statuses(told, *ran)[-1] == ("SUCCEEDED", status)


def test_a_node_that_waits_for_anothers_computation_stays_queued():
    cached = task("n0", cache=CachePlan("1", serialize=True))
    told = Told(graph(cached, task("n1")), max_parallelism=1)
    told.hear(o.Started())
    assert short(told.hear(o.InputsReady(N0, "d"))) == [("n0", "QUEUED")]
    assert not told.hear(o.CacheReserved(N0, at(4)))
    assert not told.hear(o.Tick(), time=4)
    told.hear(o.InputsReady(("n1",), "d"))
    assert isinstance(told.state.nodes[N0], s.Ready)
    done = told.hear(o.AttemptSucceeded(("n1",), 0, "out"), time=5)
    assert isinstance(told.state.nodes[N0], s.Probing)
    assert "n0" not in {each[0] for each in short(done)}
    assert short(told.hear(o.CacheMiss(N0), time=5)) == [("n0", 0, "QUEUED")]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("n0",), "n0"),
        (("n0", 0, "n1"), "n0-0-n1"),
        (("n0", 2, "n1", 0, "n2"), "n0-2-n1-0-n2"),
        (("n0", 17), "n0-17"),
        (("a-node-of-a-long-name-at-the-top",), "a-node-of-a-long-name-at-the-top"),
        (("n0", 0, "1234567890123456"), "fgrjvjpy"),
        (("n0", 0, "1234567890123456", 1, "x"), "fgrjvjpy-1-x"),
    ],
)
def test_client_ids_are_flytes(path, text):
    assert path_text(path) == text


def test_long_ids_are_hashed_as_flyte_hashes_them():
    """The two hashes are those of Flyte's own tests (``encoder_test.go``)."""
    assert short_id("x" * 20) == "x" * 20
    assert short_id("x" * 24) == "fuaa3aji"
    assert short_id("x" * 24, bits=64) == "fyuigwrqamd3yk"
    run = RunId("p", "d", "a" * 20)
    child = child_run(AttemptId(run, ("n0",), 1))
    assert child == run._replace(name=short_id(f"{run.name}-n0-1", bits=64))
