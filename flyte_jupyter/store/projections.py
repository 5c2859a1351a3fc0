"""Events folded into what clients see of executions, nodes and tasks, as FlyteAdmin folds them. Pure.

Phases only move forward and a terminal phase is final, so an event that comes late or twice changes nothing. Every function
returns a new message, or None when the events change nothing. Several events of one record are folded into one new message.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.idl import admin, core, event

_W = core.WorkflowExecution
_N = core.NodeExecution
_T = core.TaskExecution

_FINAL = 9
_NANOS = 1_000_000_000
_WORKFLOW_RANKS: Mapping[int, int] = {
    _W.UNDEFINED: 0,
    _W.QUEUED: 1,
    _W.RUNNING: 2,
    _W.SUCCEEDING: 3,
    _W.FAILING: 4,
    _W.ABORTING: 5,
    _W.SUCCEEDED: _FINAL,
    _W.FAILED: _FINAL,
    _W.ABORTED: _FINAL,
    _W.TIMED_OUT: _FINAL,
}
_NODE_RANKS: Mapping[int, int] = {
    _N.UNDEFINED: 0,
    _N.QUEUED: 1,
    _N.RUNNING: 2,
    _N.DYNAMIC_RUNNING: 3,
    _N.FAILING: 4,
    _N.SUCCEEDED: _FINAL,
    _N.FAILED: _FINAL,
    _N.ABORTED: _FINAL,
    _N.SKIPPED: _FINAL,
    _N.TIMED_OUT: _FINAL,
    _N.RECOVERED: _FINAL,
}
_TASK_RANKS: Mapping[int, int] = {
    _T.UNDEFINED: 0,
    _T.QUEUED: 1,
    _T.WAITING_FOR_RESOURCES: 2,
    _T.INITIALIZING: 3,
    _T.RUNNING: 4,
    _T.SUCCEEDED: _FINAL,
    _T.FAILED: _FINAL,
    _T.ABORTED: _FINAL,
    _T.RETRYABLE_FAILED: _FINAL,
}

_GOING = (_N.RUNNING, _N.DYNAMIC_RUNNING)
Closure = TypeVar(
    "Closure", admin.ExecutionClosure, admin.NodeExecutionClosure, admin.TaskExecutionClosure
)

_Record = TypeVar("_Record", admin.NodeExecution, admin.TaskExecution)


def execution_is_final(phase: int) -> bool:
    """Whether an execution in this phase has ended."""
    return _WORKFLOW_RANKS.get(phase, 0) == _FINAL


def node_is_final(phase: int) -> bool:
    """Whether a node in this phase has ended."""
    return _NODE_RANKS.get(phase) == _FINAL


def task_is_final(phase: int) -> bool:
    """Whether an attempt in this phase has ended."""
    return _TASK_RANKS.get(phase) == _FINAL


def fold_execution(
    before: admin.Execution, seen: event.WorkflowExecutionEvent
) -> admin.Execution | None:
    """The execution after the event."""
    if not _forward(_WORKFLOW_RANKS, before.closure.phase, seen.phase):
        return None
    after = admin.Execution()
    after.CopyFrom(before)
    closure = after.closure
    closure.phase = seen.phase
    closure.updated_at.CopyFrom(seen.occurred_at)
    rank = _WORKFLOW_RANKS.get(seen.phase, 0)
    _note_times(closure, seen.occurred_at, rank, running=seen.phase == _W.RUNNING)
    match seen.WhichOneof("output_result"):
        case "output_uri":
            closure.outputs.uri = seen.output_uri
        case "output_data":
            closure.output_data.CopyFrom(seen.output_data)
        case "error" if not (seen.phase == _W.ABORTED and closure.HasField("abort_metadata")):
            # Whoever asked for the abort, and why, says more than the engine's echo of it.
            closure.error.CopyFrom(seen.error)
    return after


def fold_node_execution(
    before: admin.NodeExecution | None, *events: event.NodeExecutionEvent
) -> admin.NodeExecution | None:
    """The node execution after the events; its first one makes it, and says what the others repeat."""
    after = admin.NodeExecution()
    if before is None:
        first, facts = events[0], after.metadata
        after.id.CopyFrom(first.id)
        after.closure.created_at.CopyFrom(first.occurred_at)
        facts.spec_node_id = first.spec_node_id
        facts.retry_group = first.retry_group
    else:
        after.CopyFrom(before)
    return _folded(after, events, _NODE_RANKS, _GOING, _add_to_node, new=before is None)


def _folded(
    after: _Record,
    events: Iterable[Any],
    ranks: Mapping[int, int],
    going: Container[int],
    add: Callable[[_Record, Any, Any], None],
    *,
    new: bool,
) -> _Record | None:
    """A record after events: phases only go forward, and in the same phase what `add` finds is added. None when nothing changes."""
    closure = after.closure
    phase, last = closure.phase, None
    for seen in events:
        to = seen.phase
        rank = ranks.get(to, 0)
        if new or rank > ranks.get(phase, 0):
            new, phase, last = False, to, seen
            if rank == _FINAL or to in going:
                _note_times(closure, seen.occurred_at, rank, running=to in going)
            add(after, closure, seen)
        elif phase == to and rank != _FINAL:
            told = type(after)()
            told.CopyFrom(after)
            add(after, closure, seen)
            last = seen if after != told else last
    if last is None:
        return None
    closure.phase = phase
    closure.updated_at.CopyFrom(last.occurred_at)
    return after


def _add_to_node(
    after: admin.NodeExecution, closure: admin.NodeExecutionClosure, seen: event.NodeExecutionEvent
) -> None:
    _node_results(closure, seen)
    _node_facts(after, seen)


def _node_results(closure: admin.NodeExecutionClosure, seen: event.NodeExecutionEvent) -> None:
    _results(closure, seen)
    if seen.deck_uri:
        closure.deck_uri = seen.deck_uri
    match seen.WhichOneof("target_metadata"):
        case "task_node_metadata":
            closure.task_node_metadata.SetInParent()
            # An event that says nothing about the cache leaves what was said.
            if (given := seen.task_node_metadata).ByteSize():
                _of_task(closure, given)
        case "workflow_node_metadata":
            closure.workflow_node_metadata.executionId.CopyFrom(
                seen.workflow_node_metadata.execution_id
            )


def _of_task(closure: admin.NodeExecutionClosure, given: event.TaskNodeMetadata) -> None:
    kept = closure.task_node_metadata
    kept.cache_status = given.cache_status or kept.cache_status
    if given.HasField("catalog_key"):
        kept.catalog_key.CopyFrom(given.catalog_key)
    if given.checkpoint_uri:
        kept.checkpoint_uri = given.checkpoint_uri
    if given.HasField("dynamic_workflow"):
        uri = given.dynamic_workflow.dynamic_job_spec_uri
        closure.dynamic_job_spec_uri = uri or closure.dynamic_job_spec_uri


def _node_facts(after: admin.NodeExecution, seen: event.NodeExecutionEvent) -> None:
    if not after.input_uri:
        after.input_uri = seen.input_uri
    if seen.is_parent:
        after.metadata.is_parent_node = True
    if seen.is_dynamic:
        after.metadata.is_dynamic = True
    if seen.is_array:
        after.metadata.is_array = True
    if seen.is_eager:
        after.metadata.is_eager = True


def fold_task_execution(
    before: admin.TaskExecution | None, *events: event.TaskExecutionEvent
) -> admin.TaskExecution | None:
    """The task execution after the events; its first one makes it. In the same phase, news is added (logs, reasons)."""
    after = admin.TaskExecution()
    if before is None:
        first, named = events[0], after.id
        named.task_id.CopyFrom(first.task_id)
        named.node_execution_id.CopyFrom(first.parent_node_execution_id)
        named.retry_attempt = first.retry_attempt
        after.closure.created_at.CopyFrom(first.occurred_at)
    else:
        after.CopyFrom(before)
    return _folded(after, events, _TASK_RANKS, (_T.RUNNING,), _add_to_task, new=before is None)


def with_news_at(before: admin.TaskExecution, at: Timestamp) -> admin.TaskExecution:
    """The task execution once something new has been told of its items; of one that has ended the end remains the last news."""
    known = before.closure.updated_at
    if task_is_final(before.closure.phase) or (at.seconds, at.nanos) <= (
        known.seconds,
        known.nanos,
    ):
        return before
    after = admin.TaskExecution()
    after.CopyFrom(before)
    after.closure.updated_at.CopyFrom(at)
    return after


def _add_to_task(
    after: admin.TaskExecution, closure: admin.TaskExecutionClosure, seen: event.TaskExecutionEvent
) -> None:
    if not after.input_uri:
        after.input_uri = seen.input_uri
    _results(closure, seen)
    _task_facts(closure, seen)


def _results(
    closure: admin.NodeExecutionClosure | admin.TaskExecutionClosure,
    seen: event.NodeExecutionEvent | event.TaskExecutionEvent,
) -> None:
    match seen.WhichOneof("output_result"):
        case "output_uri":
            closure.output_uri = seen.output_uri
        case "output_data":
            closure.output_data.CopyFrom(seen.output_data)
        case "error":
            closure.error.CopyFrom(seen.error)


def _task_facts(closure: admin.TaskExecutionClosure, seen: event.TaskExecutionEvent) -> None:
    if not closure.task_type:
        closure.task_type = seen.task_type
    if seen.event_version:
        closure.event_version = max(closure.event_version, seen.event_version)
    if seen.HasField("custom_info"):
        closure.custom_info.MergeFrom(seen.custom_info)
    if seen.HasField("metadata"):
        _metadata(closure.metadata, seen.metadata)
    if seen.HasField("log_context"):
        closure.log_context.CopyFrom(seen.log_context)
    if seen.logs:
        names = {log.name: position for position, log in enumerate(closure.logs)}
        for log in seen.logs:
            if log.name in names:
                closure.logs[names[log.name]].CopyFrom(log)
            else:
                closure.logs.add().CopyFrom(log)
    if seen.reason or seen.reasons:
        _reasons(closure, seen)


def _reasons(closure: admin.TaskExecutionClosure, seen: event.TaskExecutionEvent) -> None:
    known = {reason.message for reason in closure.reasons}
    told = [(r.reason, r.occurred_at) for r in seen.reasons] or [(seen.reason, seen.occurred_at)]
    for message, at in told:
        if message and message not in known:
            closure.reasons.add(message=message).occurred_at.CopyFrom(at)
            closure.reason = message


def _metadata(kept: event.TaskExecutionMetadata, given: event.TaskExecutionMetadata) -> None:
    """All but the external resources: there may be very many, so each is a record of its own (`fold_resource`)."""
    kept.SetInParent()
    kept.generated_name = given.generated_name or kept.generated_name
    kept.plugin_identifier = given.plugin_identifier or kept.plugin_identifier
    kept.instance_class = given.instance_class or kept.instance_class
    if given.resource_pool_info:
        del kept.resource_pool_info[:]
        kept.resource_pool_info.extend(given.resource_pool_info)


def fold_resource(
    before: event.ExternalResourceInfo | None, seen: event.ExternalResourceInfo
) -> event.ExternalResourceInfo | None:
    """One try of one external resource after an event that names it; what the event leaves out stays."""
    if before is None:
        return seen
    if before.phase != seen.phase and not _forward(_TASK_RANKS, before.phase, seen.phase):
        return None
    after = event.ExternalResourceInfo()
    after.CopyFrom(before)
    if seen.logs:
        del after.logs[:]
    after.MergeFrom(seen)
    return None if after == before else after


def _forward(ranks: Mapping[int, int], old: int, new: int) -> bool:
    return ranks.get(new, 0) > ranks.get(old, 0)


def _note_times(closure: Closure, at: Timestamp, rank: int, *, running: bool) -> None:
    """Note when it first ran, and how long once it has ended.

    Never less than nothing, whatever the clocks said. What never ran has no duration.
    """
    if running and not closure.HasField("started_at"):
        closure.started_at.CopyFrom(at)
    if rank == _FINAL and closure.HasField("started_at"):
        began, length = closure.started_at, closure.duration
        ran = (at.seconds - began.seconds) * _NANOS + at.nanos - began.nanos
        length.seconds, length.nanos = divmod(max(0, ran), _NANOS)
        length.SetInParent()
