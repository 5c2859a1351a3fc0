"""Executions are found by the labels and tags that they were launched with, as flytekit looks for those of an eager workflow."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import quote

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import plugin
from flytekit.core import python_function_task
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.python_function_task import EagerFailureHandlerTask
from flytekit.models.core.identifier import WorkflowExecutionIdentifier
from flytekit.models.literals import LiteralMap
from server_specs import (
    AT,
    DOMAIN,
    PROJECT,
    as_json,
    integer,
    launch,
    launch_plan,
    register,
    wait_for_end,
)

from flyte_jupyter.idl import admin, core

BINARY = "application/octet-stream"


def launched(server, name, *, tags=(), kind=core.ResourceType.LAUNCH_PLAN, **labels):
    plan = "double" if kind == core.ResourceType.TASK else "twice"
    sent = launch(name, plan, kind, x=integer(1))
    sent.spec.tags.extend(tags)
    sent.spec.labels.values.update({key.replace("_", "-"): said for key, said in labels.items()})
    server.ok("POST", "/api/v1/executions", as_json(sent))


def found(server, *filters, **more):
    rest = "".join(f"&{name}={value}" for name, value in more.items())
    asked = quote("+".join(filters))
    listed = server.ok("GET", f"/api/v1/executions/{AT}?limit=9&filters={asked}{rest}")
    return sorted(each["id"]["name"] for each in listed["executions"])


def test_executions_are_found_by_their_labels_and_tags(server):
    register(server)
    launched(server, "one", team="red", tier="gold")
    launched(server, "two", team="blue", tier="red", tags=("nightly", "team"))
    launched(server, "single", kind=core.ResourceType.TASK, team="red")
    for name in ("one", "two", "single"):
        wait_for_end(server, name)
    key, value = "eq(execution_tag.key,{})".format, "eq(execution_tag.value,{})".format
    assert found(server, key("team")) == ["one", "single", "two"], "each once, however often"
    assert found(server, key("team"), value("red")) == ["one", "single"], "of one label both hold"
    assert found(server, key("nightly")) == ["two"]
    assert found(server, key("nightly"), value("red")) == []
    assert found(server, value("red"), "contains(name,tw)") == ["two"]
    assert found(server, "value_in(execution_tag.value,gold;blue)") == ["one", "two"]
    assert found(server, key("nobody")) == []
    path = f"/api/v1/executions/{AT}?limit=9&sort_by.key=execution_tag.key"
    assert server.call("GET", path)[0] == 400, (
        "which of its labels would an execution be sorted by?"
    )


def test_labels_of_a_launch_plan_are_its_executions_too(server):
    register(server)
    plan = launch_plan("labelled")
    plan.spec.labels.values["team"] = "green"
    server.ok("POST", "/api/v1/launch_plans", as_json(plan))
    server.ok("POST", "/api/v1/executions", as_json(launch("of-plan", "labelled", x=integer(1))))
    wait_for_end(server, "of-plan")
    assert found(server, "eq(execution_tag.key,team)", "eq(execution_tag.value,green)") == [
        "of-plan"
    ]


class OverRest:
    """The two calls that flytekit's handler makes, carried by the routes that this control plane serves."""

    def __init__(self, server):
        self._server = server

    def ListExecutions(self, request, metadata):
        path = f"executions/{request.id.project}/{request.id.domain}?limit={request.limit}&filters={quote(request.filters)}"
        sort = f"&sort_by.key={request.sort_by.key}&sort_by.direction={request.sort_by.direction}"
        return self._call("GET", path + sort, b"", admin.ExecutionList)

    def TerminateExecution(self, request, metadata):
        of = request.id
        path = f"executions/{of.project}/{of.domain}/{of.name}"
        body = request.SerializeToString()
        return self._call("DELETE", path, body, admin.ExecutionTerminateResponse)

    def _call(self, method, path, body, answer):
        got = self._server.raw(method, f"/api/v1/{path}", body, Content_Type=BINARY, Accept=BINARY)
        assert got.status == 200, got.body
        return answer.FromString(got.body)


@pytest.fixture
def eager(server, monkeypatch):
    """flytekit's own task that cleans up after an eager workflow, inside an execution called ``parent``."""
    client = SynchronousFlyteClient.__new__(SynchronousFlyteClient)
    monkeypatch.setattr(client, "_stub", OverRest(server), raising=False)
    monkeypatch.setattr(client, "_metadata", None, raising=False)
    remote = SimpleNamespace(get_remote=lambda **_: SimpleNamespace(client=client))
    monkeypatch.setitem(plugin._GLOBAL_CONFIG, "plugin", remote)
    monkeypatch.setattr(python_function_task, "CLEANUP_LOOP_DELAY_SECONDS", 0)
    context = FlyteContextManager.current_context()
    inside = context.user_space_params.builder()
    inside.execution_id = WorkflowExecutionIdentifier(PROJECT, DOMAIN, "parent")
    state = context.execution_state.with_params(user_space_params=inside.build())
    handler = EagerFailureHandlerTask(name="cleanup", inputs={})

    def clean_up():
        with FlyteContextManager.with_context(context.with_execution_state(state)) as here:
            handler.dispatch_execute(here, LiteralMap({}))

    return clean_up


def test_a_failed_eager_workflow_ends_what_it_started_and_nothing_else(server, eager):
    register(server)
    server.on_loop(server.attempts.go.clear)
    launched(server, "mine", eager_exec="parent", eager_root_exec="parent")
    launched(server, "task", kind=core.ResourceType.TASK, eager_exec="parent")
    launched(server, "deeper", eager_exec="mine", eager_root_exec="parent")
    launched(server, "other")
    eager()
    for name in ("mine", "task"):
        closure = wait_for_end(server, name)["closure"]
        assert closure["phase"] == "ABORTED"
        assert closure["abort_metadata"]["cause"] == "clean up by parent eager execution parent"
    server.on_loop(server.attempts.go.set)
    for name in ("deeper", "other"):
        assert wait_for_end(server, name)["closure"]["phase"] == "SUCCEEDED"
