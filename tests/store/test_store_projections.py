"""What clients see follows the events: forward only, final for ever, complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_world import NOW, later, node_event, run, task_event, wire, workflow_event

from flyte_jupyter.idl import admin, core, event
from flyte_jupyter.store.projections import (
    execution_is_final,
    fold_execution,
    fold_node_execution,
    fold_task_execution,
    node_is_final,
)

W, N, T = core.WorkflowExecution, core.NodeExecution, core.TaskExecution
ERROR = core.ExecutionError(code="Boom", message="why", kind=core.ExecutionError.USER)


def begun() -> admin.Execution:
    execution = admin.Execution(id=wire(run()))
    execution.closure.created_at.FromDatetime(NOW)
    return execution


def executed(*events) -> admin.Execution:
    after = begun()
    for seen in events:
        after = fold_execution(after, seen) or after
    return after


def noded(*events) -> admin.NodeExecution:
    after = None
    for seen in events:
        after = fold_node_execution(after, seen) or after
    return after


def tasked(*events) -> admin.TaskExecution:
    after = None
    for seen in events:
        after = fold_task_execution(after, seen) or after
    return after


def test_an_execution_that_succeeds():
    after = executed(
        workflow_event(run(), "QUEUED"),
        workflow_event(run(), "RUNNING", later(1)),
        workflow_event(run(), "SUCCEEDED", later(3.5), output_uri="file:///outputs.pb"),
    ).closure
    assert after.phase == W.SUCCEEDED
    assert after.started_at.ToDatetime(NOW.tzinfo) == later(1)
    assert after.duration.ToMilliseconds() == 2500
    assert after.updated_at.ToDatetime(NOW.tzinfo) == later(3.5)
    assert after.outputs.uri == "file:///outputs.pb"


def test_an_execution_that_fails_keeps_its_error():
    after = executed(
        workflow_event(run(), "RUNNING"), workflow_event(run(), "FAILED", later(1), error=ERROR)
    )
    assert after.closure.error == ERROR


def test_who_aborted_and_why_outlives_the_engines_echo():
    before = executed(workflow_event(run(), "RUNNING"))
    before.closure.phase = W.ABORTING
    before.closure.abort_metadata.cause = "enough"
    after = fold_execution(before, workflow_event(run(), "ABORTED", later(1), error=ERROR))
    assert after.closure.abort_metadata.cause == "enough"
    assert fold_execution(before, workflow_event(run(), "RUNNING", later(1))) is None


def test_time_never_runs_backwards():
    after = executed(
        workflow_event(run(), "RUNNING", later(10)), workflow_event(run(), "SUCCEEDED", later(5))
    )
    assert after.closure.duration.ToNanoseconds() == 0
    assert not executed(workflow_event(run(), "FAILED")).closure.HasField("duration")


def test_a_node_gathers_what_its_events_tell():
    after = noded(
        node_event(run(), "n0", "QUEUED", input_uri="file:///in.pb", retry_group="0"),
        node_event(run(), "n0", "RUNNING", later(1)),
        node_event(
            run(),
            "n0",
            "SUCCEEDED",
            later(2),
            output_uri="file:///out.pb",
            deck_uri="file:///deck.html",
            task_node_metadata=event.TaskNodeMetadata(
                cache_status=core.CatalogCacheStatus.CACHE_POPULATED, checkpoint_uri="file:///c"
            ),
        ),
    )
    assert after.id.node_id == "n0"
    assert (after.input_uri, after.metadata.spec_node_id, after.metadata.retry_group) == (
        "file:///in.pb",
        "n0",
        "0",
    )
    closure = after.closure
    assert (closure.phase, closure.output_uri, closure.deck_uri) == (
        N.SUCCEEDED,
        "file:///out.pb",
        "file:///deck.html",
    )
    assert closure.task_node_metadata.cache_status == core.CatalogCacheStatus.CACHE_POPULATED
    assert closure.created_at.ToDatetime(NOW.tzinfo) == NOW
    assert closure.duration.ToSeconds() == 1


def test_what_a_record_is_and_its_inputs_are_told_once():
    first = {"input_uri": "file:///in.pb"}
    again = {"input_uri": "file:///other.pb"}
    node = noded(
        node_event(run(), "n0", "QUEUED", retry_group="0", **first),
        node_event(run(), "n0", "RUNNING", retry_group="1", is_parent=True, **again),
    )
    assert (node.input_uri, node.metadata.retry_group) == ("file:///in.pb", "0")
    assert node.metadata.is_parent_node
    task = tasked(
        task_event(run(), "n0", 0, "QUEUED", task_type="python-task", **first),
        task_event(run(), "n0", 0, "RUNNING", task_type="sql", **again),
    )
    assert (task.input_uri, task.closure.task_type) == ("file:///in.pb", "python-task")


def test_the_same_phase_again_adds_only_what_is_new():
    queued = node_event(run(), "n0", "QUEUED")
    before = noded(queued)
    assert fold_node_execution(before, queued) is None
    assert fold_node_execution(before, node_event(run(), "n0", "QUEUED", later(5))) is None
    dynamic = node_event(
        run(), "n0", "QUEUED", later(5), deck_uri="file:///deck.html", is_parent=True
    )
    after = fold_node_execution(before, dynamic)
    assert after.closure.deck_uri == "file:///deck.html"
    assert after.metadata.is_parent_node


def test_news_in_the_same_phase_moves_the_time_of_change_and_no_news_does_not():
    waiting = [
        task_event(run(), "n0", 0, "QUEUED", later(at), reason=reason)
        for at, reason in ((0, "no slot"), (1, "no slot"), (2, "no image"), (3, "no image"))
    ]
    node = [
        node_event(run(), "n0", "RUNNING", later(at), deck_uri=deck)
        for at, deck in ((0, ""), (2, "file:///deck.html"), (3, "file:///deck.html"))
    ]
    together = fold_task_execution(None, *waiting)
    for told in (tasked(*waiting), together, noded(*node)):
        assert told.closure.updated_at.ToDatetime(NOW.tzinfo) == later(2)
        assert told.closure.created_at.ToDatetime(NOW.tzinfo) == later(0)


def test_a_task_gathers_logs_and_reasons_without_repeating_them():
    running = {
        "task_type": "python-task",
        "logs": [core.TaskLog(uri="a", name="log")],
        "reason": "started",
    }
    after = tasked(
        task_event(run(), "n0", 1, "QUEUED", reason="waits for a slot"),
        task_event(run(), "n0", 1, "RUNNING", later(1), **running),
        task_event(run(), "n0", 1, "RUNNING", later(2), **running),
        task_event(run(), "n0", 1, "RETRYABLE_FAILED", later(3), error=ERROR),
    )
    assert after.id.retry_attempt == 1
    assert after.id.task_id.name == "t"
    closure = after.closure
    assert closure.phase == T.RETRYABLE_FAILED
    assert [log.uri for log in closure.logs] == ["a"]
    assert [reason.message for reason in closure.reasons] == ["waits for a slot", "started"]
    assert closure.duration.ToSeconds() == 2
    assert closure.error == ERROR


def test_a_dynamic_node_runs_from_when_its_graph_does_at_the_latest():
    grown = event.TaskNodeMetadata()
    grown.dynamic_workflow.dynamic_job_spec_uri = "file:///futures.pb"
    after = noded(
        node_event(run(), "n0", "QUEUED"),
        node_event(run(), "n0", "DYNAMIC_RUNNING", later(1), task_node_metadata=grown),
        node_event(run(), "n0", "RUNNING", later(2)),
        node_event(run(), "n0", "SUCCEEDED", later(4)),
    )
    assert after.closure.duration.ToSeconds() == 3
    assert after.closure.dynamic_job_spec_uri == "file:///futures.pb"


@pytest.mark.parametrize("phase", ["RECOVERED", "TIMED_OUT"])
def test_a_recovered_node_and_one_that_took_too_long_have_ended(phase):
    after = noded(node_event(run(), "n0", "QUEUED"), node_event(run(), "n0", phase, later(1)))
    assert node_is_final(after.closure.phase)
    assert fold_node_execution(after, node_event(run(), "n0", "SUCCEEDED", later(2))) is None


def test_an_event_that_says_nothing_about_the_cache_leaves_what_was_said():
    hit = event.TaskNodeMetadata(cache_status=core.CatalogCacheStatus.CACHE_MISS)
    after = noded(
        node_event(run(), "n0", "QUEUED", task_node_metadata=hit),
        node_event(run(), "n0", "RUNNING", task_node_metadata=event.TaskNodeMetadata()),
    )
    assert after.closure.task_node_metadata.cache_status == core.CatalogCacheStatus.CACHE_MISS


def test_a_child_execution_is_known_by_its_node():
    named = event.WorkflowNodeMetadata(execution_id=wire(run("child")))
    after = noded(node_event(run(), "n0", "RUNNING", workflow_node_metadata=named))
    assert after.closure.workflow_node_metadata.executionId == wire(run("child"))


def test_an_attempt_tells_what_it_waited_for_and_leaves_its_items_to_their_own_records():
    metadata = event.TaskExecutionMetadata(plugin_identifier="k8s-array", generated_name="pod")
    metadata.external_resources.add(index=1)
    after = tasked(
        task_event(run(), "n0", 0, "WAITING_FOR_RESOURCES", reason="no node has 8 GPUs"),
        task_event(run(), "n0", 0, "INITIALIZING", later(1), reason="pulling", metadata=metadata),
        task_event(run(), "n0", 0, "RUNNING", later(2), metadata=event.TaskExecutionMetadata()),
    )
    assert [r.message for r in after.closure.reasons] == ["no node has 8 GPUs", "pulling"]
    kept = after.closure.metadata
    assert (kept.plugin_identifier, kept.generated_name) == ("k8s-array", "pod")
    assert len(kept.external_resources) == 0


@pytest.mark.parametrize("rank", [W.SUCCEEDED, W.FAILED, W.ABORTED, W.TIMED_OUT])
def test_terminal_executions_are_final(rank):
    assert execution_is_final(rank)


MINUTE = st.floats(min_value=-60, max_value=60)


@given(st.lists(st.tuples(st.sampled_from(W.Phase.keys()), MINUTE), max_size=12))
def test_executions_only_go_forward(events):
    after, final = begun(), None
    for phase, at in events:
        changed = fold_execution(after, workflow_event(run(), phase, later(at)))
        assert final is None or changed is None
        if changed is not None:
            assert changed is not after
            after = changed
            assert after.closure.duration.ToNanoseconds() >= 0
        if execution_is_final(after.closure.phase):
            final = after


@given(st.lists(st.tuples(st.sampled_from(N.Phase.keys()), MINUTE), max_size=12))
def test_a_final_node_never_changes(events):
    after = None
    for phase, at in events:
        changed = fold_node_execution(after, node_event(run(), "n0", phase, later(at)))
        if after is not None and after.closure.phase in (
            N.SUCCEEDED,
            N.FAILED,
            N.SKIPPED,
            N.ABORTED,
        ):
            assert changed is None
        after = changed or after


@given(st.lists(st.tuples(st.sampled_from(T.Phase.keys()), MINUTE), max_size=12))
def test_every_event_twice_is_as_once(events):
    made = [task_event(run(), "n0", 0, phase, later(at), reason=phase) for phase, at in events]
    assert tasked(*made) == tasked(*(seen for seen in made for _ in range(2)))
