"""Small facts that the store's tests are told in: executions, events, commits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flyte_jupyter.engine.core.actions import Launch
from flyte_jupyter.engine.core.observations import AttemptSucceeded
from flyte_jupyter.engine.core.state import RunPhase, RunState, RunSummary, Succeeded
from flyte_jupyter.engine.ports import Commit
from flyte_jupyter.idl import admin, core, event
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.executions import NewExecution

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LOCAL = "/dev/sda1 / ext4 rw 0 0\n"


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def run(name: str = "a") -> RunId:
    return RunId("flytesnacks", "development", name)


def wire(of: RunId) -> core.WorkflowExecutionIdentifier:
    return core.WorkflowExecutionIdentifier(project=of.project, domain=of.domain, name=of.name)


def new_execution(
    name: str = "a", *, nodes: int = 2, workflow: str = "wf", weight: int = 0
) -> NewExecution:
    execution = admin.Execution(id=wire(run(name)))
    execution.spec.annotations.values["weight"] = "x" * weight
    execution.spec.metadata.principal = "ann"
    execution.closure.created_at.FromDatetime(NOW)
    execution.closure.workflow_id.name = workflow
    return NewExecution(
        execution=execution,
        closure=b"compiled",
        closure_digest="digest",
        state=RunState(RunSummary(open=nodes)),
        inputs="file:///inputs.pb",
        env={"A": "b"},
    )


def workflow_event(
    of: RunId, phase: str, at: datetime = NOW, **more
) -> event.WorkflowExecutionEvent:
    made = event.WorkflowExecutionEvent(
        execution_id=wire(of), phase=core.WorkflowExecution.Phase.Value(phase), **more
    )
    made.occurred_at.FromDatetime(at)
    return made


def node_event(
    of: RunId, node: str, phase: str, at: datetime = NOW, **more
) -> event.NodeExecutionEvent:
    made = event.NodeExecutionEvent(
        id=core.NodeExecutionIdentifier(node_id=node, execution_id=wire(of)),
        phase=core.NodeExecution.Phase.Value(phase),
        spec_node_id=node,
        **more,
    )
    made.occurred_at.FromDatetime(at)
    return made


def task_event(
    of: RunId, node: str, attempt: int, phase: str, at: datetime = NOW, **more
) -> event.TaskExecutionEvent:
    made = event.TaskExecutionEvent(
        parent_node_execution_id=core.NodeExecutionIdentifier(node_id=node, execution_id=wire(of)),
        task_id=core.Identifier(project="flytesnacks", domain="development", name="t", version="1"),
        retry_attempt=attempt,
        phase=core.TaskExecution.Phase.Value(phase),
        **more,
    )
    made.occurred_at.FromDatetime(at)
    return made


def commit_of(of: RunId, expect: int, epoch: int, **more) -> Commit:
    facts = {
        "log": [(NOW, AttemptSucceeded(("n0",), 0, "file:///o"))],
        "summary": RunSummary(RunPhase.RUNNING, open=1),
        "nodes": {("n0",): Succeeded("file:///o")},
        "owed": [Launch(("n1",), 0)],
        "settled": [],
        "consumed": [],
        "events": [],
    }
    return Commit(run=of, expect=expect, epoch=epoch, **(facts | more))
