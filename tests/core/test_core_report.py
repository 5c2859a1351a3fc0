"""What Flyte's clients are told of a step: example by example. Whether sequences are legal is checked by the simulation's admin."""

from __future__ import annotations

import itertools

import pytest
from core_admin import NODE, RUN, TASK, Admin
from core_plans import SECOND, at, graph, task

from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core import state as s
from flyte_jupyter.engine.core.plan import START, CachePlan, OnFailure, Plans
from flyte_jupyter.engine.core.report import ReportContext, report
from flyte_jupyter.engine.core.state import Blame, Failure, Tries
from flyte_jupyter.engine.core.step import fold, initial
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import RunId

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
            RunId("p", "d", "x"), "file:///b", Plans(plan), lambda *_: TASK_ID
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
    context = ReportContext(RunId("p", "d", "x"), "file:///b", Plans(plan), lambda *_: TASK_ID)

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
