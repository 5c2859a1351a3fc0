"""How an execution's time was spent: spans of everything that has a record, and of what lies between."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from server_specs import AT, as_json, integer, launch, register, run_to_end

from flyte_jupyter.idl import admin
from flyte_jupyter.server.admin import metrics
from flyte_jupyter.server.admin.spans import Graph, Launching, Seen, Whole, execution_span
from flyte_jupyter.server.messages import to_json_bytes

BINARY = {"Content_Type": "application/octet-stream", "Accept": "application/octet-stream"}


def span_of(server, name, depth):
    got = server.raw("GET", f"/api/v1/metrics/executions/{AT}/{name}?depth={depth}", **BINARY)
    assert got.status == 200, got.body
    return admin.WorkflowExecutionGetMetricsResponse.FromString(got.body).span


def outline(span):
    """Names of spans as nested lists: of operations, nodes, attempts."""
    match span.WhichOneof("id"):
        case "operation_id":
            return span.operation_id
        case "node_id":
            return [span.node_id.node_id, *map(outline, span.spans)]
        case "task_id":
            return [f"attempt {span.task_id.retry_attempt}", *map(outline, span.spans)]
    return [span.workflow_id.name, *map(outline, span.spans)]


ATTEMPT = ["attempt 0", "TASK_SETUP", "TASK_RUNTIME", "TASK_TEARDOWN"]


@pytest.mark.parametrize(
    ("depth", "inside"),
    [
        (0, None),
        (1, []),
        (2, ["NODE_SETUP", "NODE_TEARDOWN"]),
        (3, ["NODE_SETUP", ATTEMPT, "NODE_TEARDOWN"]),
        (-1, ["NODE_SETUP", ATTEMPT, "NODE_TEARDOWN"]),
        (2**31 - 1, ["NODE_SETUP", ATTEMPT, "NODE_TEARDOWN"]),
    ],
)
def test_an_executions_time_is_told_as_deep_as_it_is_asked_for(server, depth, inside):
    register(server)
    run_to_end(server, "first")
    parts = [] if inside is None else [
        "WORKFLOW_SETUP",
        ["n0", "NODE_TRANSITION", *inside],
        ["n1", "NODE_TRANSITION", *inside],
        "WORKFLOW_TEARDOWN",
    ]  # fmt: skip
    assert outline(span_of(server, "first", depth)) == ["first", *parts]


def moments(span):
    return span.start_time.ToNanoseconds(), span.end_time.ToNanoseconds()


def test_spans_follow_one_another_without_gaps(server):
    register(server)
    run_to_end(server, "first")
    whole = span_of(server, "first", 9)
    closure = server.ok("GET", f"/api/v1/executions/{AT}/first")["closure"]
    assert whole.start_time.ToJsonString() == closure["created_at"]
    assert whole.end_time.ToJsonString() == closure["updated_at"]
    at = whole.start_time.ToNanoseconds()
    for part in whole.spans:
        inner = [part] if part.operation_id else part.spans
        for each in inner:
            begin, end = moments(each)
            assert at == begin <= end
            at = end
            if each.spans:
                edges = [moments(deep) for deep in each.spans]
                assert (edges[0][0], edges[-1][1]) == moments(each)
    assert at == whole.end_time.ToNanoseconds()


def test_an_execution_that_still_runs_is_told_as_far_as_it_is(server):
    register(server)
    server.on_loop(server.attempts.go.clear)
    server.ok("POST", "/api/v1/executions", as_json(launch("long", x=integer(1))))
    span = span_of(server, "long", 1)
    assert outline(span)[:2] == ["long", "WORKFLOW_SETUP"]
    assert "WORKFLOW_TEARDOWN" not in outline(span)
    assert server.call("GET", f"/api/v1/metrics/executions/{AT}/nobody")[0] == 404


def test_so_many_nodes_are_told_of_and_no_more(server, monkeypatch):
    register(server)
    run_to_end(server, "first")
    monkeypatch.setattr(metrics, "_MOST", 2)
    told = outline(span_of(server, "first", 1))
    assert told == ["first", "WORKFLOW_SETUP", ["n0", "NODE_TRANSITION"]]


def test_what_is_told_at_its_deepest_can_be_read():
    whole = Whole(admin.Execution())
    for _ in range(metrics.DEEPEST // 2):
        node = admin.NodeExecution()
        node.metadata.spec_node_id = "n0"
        inside = {"start-node": Seen(admin.NodeExecution()), "n0": Seen(node, Launching(whole))}
        whole = Whole(admin.Execution(), Graph(inside))
    answer = admin.WorkflowExecutionGetMetricsResponse(span=execution_span(whole))
    assert admin.WorkflowExecutionGetMetricsResponse.FromString(answer.SerializeToString())
    read = json_format.Parse(to_json_bytes(answer), admin.WorkflowExecutionGetMetricsResponse())
    assert read == answer
