"""Events into rows: read what they touch, fold, write what changed, and say so in the change feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import Connection, bindparam, select, tuple_

from flyte_jupyter.engine.ports import RunEvent
from flyte_jupyter.idl import admin, event
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store import dialect
from flyte_jupyter.store.feed import ChangeKind, Touched
from flyte_jupyter.store.projections import (
    fold_execution,
    fold_node_execution,
    fold_task_execution,
)
from flyte_jupyter.store.rows import execution_row, node_execution_row, task_execution_row
from flyte_jupyter.store.tables import executions, node_executions, task_executions

T = TypeVar("T")

_execution = select(executions.c.body).where(executions.c.run_id == bindparam("run_id"))
_put_execution = (
    executions.update()
    .where(executions.c.run_id == bindparam("key"))
    .values({c.name: bindparam(c.name) for c in executions.columns if c.name != "run_id"})
)
_nodes = select(node_executions.c.node, node_executions.c.parent, node_executions.c.body).where(
    node_executions.c.run_id == bindparam("run_id"),
    node_executions.c.node.in_(bindparam("nodes", expanding=True)),
)
_put_node = dialect.upsert(node_executions, ["run_id", "node"])
_tasks = select(task_executions.c.node, task_executions.c.attempt, task_executions.c.body).where(
    task_executions.c.run_id == bindparam("run_id"),
    tuple_(task_executions.c.node, task_executions.c.attempt).in_(
        bindparam("keys", expanding=True)
    ),
)
_put_task = dialect.upsert(task_executions, ["run_id", "node", "attempt"])


def put_execution(connection: Connection, run_id: int, execution: admin.Execution) -> None:
    """Replace the row of an execution."""
    row = execution_row(run_id, execution)
    row["key"] = row.pop("run_id")
    connection.execute(_put_execution, row)


def read_execution(connection: Connection, run_id: int) -> admin.Execution:
    """The execution of a run that is known to exist."""
    body = connection.execute(_execution, {"run_id": run_id}).scalar_one()
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
    known: dict[str, admin.NodeExecution] = {}
    parents: dict[str, str] = {}
    for some in _portions(sorted({e.id.node_id for e in events})):
        for node, parent, body in connection.execute(_nodes, {"run_id": run_id, "nodes": some}):
            known[node] = admin.NodeExecution.FromString(body)
            parents[node] = parent
    changed: dict[str, None] = {}
    for seen in events:
        node = seen.id.node_id
        after = fold_node_execution(known.get(node), seen)
        if after is not None:
            known[node] = after
            parents.setdefault(node, seen.parent_node_metadata.node_id)
            changed[node] = None
    if not changed:
        return []
    rows = [node_execution_row(run_id, known[node], parents[node]) for node in changed]
    connection.execute(_put_node, rows)
    return [Touched(ChangeKind.NODE_EXECUTION, run, node) for node in changed]


def _record_tasks(
    connection: Connection, run_id: int, run: RunId, events: Sequence[event.TaskExecutionEvent]
) -> list[Touched]:
    known: dict[tuple[str, int], admin.TaskExecution] = {}
    keys = sorted({(e.parent_node_execution_id.node_id, e.retry_attempt) for e in events})
    for some in _portions(keys):
        for node, attempt, body in connection.execute(_tasks, {"run_id": run_id, "keys": some}):
            known[node, attempt] = admin.TaskExecution.FromString(body)
    changed: dict[tuple[str, int], None] = {}
    for seen in events:
        key = (seen.parent_node_execution_id.node_id, seen.retry_attempt)
        after = fold_task_execution(known.get(key), seen)
        if after is not None:
            known[key] = after
            changed[key] = None
    if not changed:
        return []
    connection.execute(_put_task, [task_execution_row(run_id, known[key]) for key in changed])
    return [Touched(ChangeKind.TASK_EXECUTION, run, node, attempt) for node, attempt in changed]


def _portions(items: Sequence[T]) -> Sequence[Sequence[T]]:
    size = dialect.MOST_BOUND // 2
    return [items[start : start + size] for start in range(0, len(items), size)]
