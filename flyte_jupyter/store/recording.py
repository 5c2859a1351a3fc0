"""Events into rows: read what they touch, fold, write what changed, and say so in the change feed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from flyte_jupyter.engine.ports import RunEvent
from flyte_jupyter.idl import admin, event
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.dialect import Prepared, upsert
from flyte_jupyter.store.feed import ChangeKind, Touched
from flyte_jupyter.store.projections import (
    fold_execution,
    fold_node_execution,
    fold_task_execution,
)
from flyte_jupyter.store.rows import execution_row, node_execution_row, task_execution_row
from flyte_jupyter.store.tables import executions, node_executions, task_executions

_execution = Prepared(select(executions.c.body).where(executions.c.run_id == bindparam("run_id")))
_put_execution = Prepared(
    executions.update()
    .where(executions.c.run_id == bindparam("key"))
    .values({c.name: bindparam(c.name) for c in executions.columns if c.name != "run_id"})
)
_node = Prepared(
    select(node_executions.c.parent, node_executions.c.body).where(
        node_executions.c.run_id == bindparam("run_id"),
        node_executions.c.node == bindparam("node"),
    )
)
_put_node = Prepared(upsert(node_executions, ["run_id", "node"]))
_task = Prepared(
    select(task_executions.c.body).where(
        task_executions.c.run_id == bindparam("run_id"),
        task_executions.c.node == bindparam("node"),
        task_executions.c.attempt == bindparam("attempt"),
    )
)
_put_task = Prepared(upsert(task_executions, ["run_id", "node", "attempt"]))


def put_execution(connection: Connection, run_id: int, execution: admin.Execution) -> None:
    """Replace the row of an execution."""
    row = execution_row(run_id, execution)
    row["key"] = row.pop("run_id")
    _put_execution.run(connection, row)


def read_execution(connection: Connection, run_id: int) -> admin.Execution:
    """The execution of a run that is known to exist."""
    (body,) = _execution.first(connection, {"run_id": run_id})
    return admin.Execution.FromString(body)


def record(
    connection: Connection, run_id: int, run: RunId, events: Sequence[RunEvent]
) -> list[Touched]:
    """Fold a run's events into its rows; returns what changed, each record once."""
    of_run = [e for e in events if isinstance(e, event.WorkflowExecutionEvent)]
    of_nodes = [e for e in events if isinstance(e, event.NodeExecutionEvent)]
    of_tasks = [e for e in events if isinstance(e, event.TaskExecutionEvent)]
    touched: list[Touched] = []
    if of_run:
        touched += _record_run(connection, run_id, run, of_run)
    if of_nodes:
        touched += _record_nodes(connection, run_id, run, of_nodes)
    if of_tasks:
        touched += _record_tasks(connection, run_id, run, of_tasks)
    return touched


def _record_run(
    connection: Connection, run_id: int, run: RunId, events: Sequence[event.WorkflowExecutionEvent]
) -> list[Touched]:
    before = after = read_execution(connection, run_id)
    for seen in events:
        after = fold_execution(after, seen) or after
    if after is before:
        return []
    put_execution(connection, run_id, after)
    return [Touched(ChangeKind.EXECUTION, run)]


def _record_nodes(
    connection: Connection, run_id: int, run: RunId, events: Sequence[event.NodeExecutionEvent]
) -> list[Touched]:
    known: dict[str, admin.NodeExecution | None] = {}
    parents: dict[str, str] = {}
    changed: dict[str, admin.NodeExecution] = {}
    for seen in events:
        node = seen.id.node_id
        if node not in known:
            parent, body = _node.first(connection, {"run_id": run_id, "node": node}) or (
                seen.parent_node_metadata.node_id,
                None,
            )
            parents[node] = parent
            known[node] = None if body is None else admin.NodeExecution.FromString(body)
        after = fold_node_execution(known[node], seen)
        if after is not None:
            known[node] = changed[node] = after
    _put_node.run_many(
        connection,
        [node_execution_row(run_id, after, parents[node]) for node, after in changed.items()],
    )
    return [Touched(ChangeKind.NODE_EXECUTION, run, node) for node in changed]


def _record_tasks(
    connection: Connection, run_id: int, run: RunId, events: Sequence[event.TaskExecutionEvent]
) -> list[Touched]:
    known: dict[tuple[str, int], admin.TaskExecution | None] = {}
    changed: dict[tuple[str, int], admin.TaskExecution] = {}
    for seen in events:
        key = node, attempt = seen.parent_node_execution_id.node_id, seen.retry_attempt
        if key not in known:
            wanted = {"run_id": run_id, "node": node, "attempt": attempt}
            found = _task.first(connection, wanted)
            known[key] = None if found is None else admin.TaskExecution.FromString(found[0])
        after = fold_task_execution(known[key], seen)
        if after is not None:
            known[key] = changed[key] = after
    _put_task.run_many(
        connection, [task_execution_row(run_id, after) for after in changed.values()]
    )
    return [Touched(ChangeKind.TASK_EXECUTION, run, node, attempt) for node, attempt in changed]
