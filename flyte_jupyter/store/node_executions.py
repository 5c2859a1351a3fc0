"""What stands inside an execution, as clients see it: node executions, task executions, items, the graphs that dynamic tasks made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, select

from flyte_jupyter.idl import admin, event
from flyte_jupyter.idl.ids import Path, RunId
from flyte_jupyter.store import dialect, resources
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.feed import Change, ChangeKind
from flyte_jupyter.store.listings import NODE_EXECUTIONS, TASK_EXECUTIONS
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.recording import read_execution
from flyte_jupyter.store.rows import path_key, path_of
from flyte_jupyter.store.runs import named
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import closures, node_executions, runs, task_executions

Record = admin.Execution | admin.NodeExecution | admin.TaskExecution

find_run = dialect.Prepared(
    select(runs.c.id).where(
        runs.c.project == bindparam("project"),
        runs.c.domain == bindparam("domain"),
        runs.c.name == bindparam("name"),
    )
)
_node = dialect.Prepared(
    select(node_executions.c.body).where(
        node_executions.c.run_id == bindparam("run_id"), node_executions.c.node == bindparam("node")
    )
)
_place = (
    select(node_executions.c.path, closures.c.body.label("closure"))
    .outerjoin(closures, closures.c.digest == node_executions.c.expansion)
    .where(
        node_executions.c.run_id == bindparam("run_id"), node_executions.c.node == bindparam("node")
    )
)
_task = dialect.Prepared(
    select(task_executions.c.body, task_executions.c.phases).where(
        task_executions.c.run_id == bindparam("run_id"),
        task_executions.c.node == bindparam("node"),
        task_executions.c.attempt == bindparam("attempt"),
    )
)


class NodeExecutions:
    """Looks inside executions."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def node_executions(
        self, run: RunId, query: Query, *, parent: str | None = ""
    ) -> Page[admin.NodeExecution]:
        """The run's nodes in the order in which they began: the top level, the children of `parent`, or all (None).

        Raises `NotFound`.
        """
        which = [] if parent is None else [node_executions.c.parent == parent]
        return await self._nodes(run, query, *which)

    async def made_by(
        self, run: RunId, node: str, attempt: int, query: Query
    ) -> Page[admin.NodeExecution]:
        """The nodes of the graph that this attempt at a dynamic node made, in the order in which they began. Raises `NotFound`."""
        scope = path_key((*await self.node_path(run, node), attempt)).removesuffix("]")
        inside = node_executions.c.path.startswith(f"{scope},", autoescape=True)
        return await self._nodes(run, query, node_executions.c.parent == node, inside)

    async def _nodes(
        self, run: RunId, query: Query, *which: ColumnElement[bool]
    ) -> Page[admin.NodeExecution]:
        statement = select(node_executions.c.body).where(*which)

        def find(connection: Connection) -> Page[admin.NodeExecution]:
            only = statement.where(node_executions.c.run_id == row_id(connection, run))
            found = page(connection, only, NODE_EXECUTIONS, query)
            bodies = [admin.NodeExecution.FromString(row.body) for row in found.items]
            return Page(bodies, found.token)

        return await self._db.read(find)

    async def node_execution(self, run: RunId, node: str) -> admin.NodeExecution:
        """One node of the run. Raises `NotFound`."""
        (found,) = await self.look_up([Change(0, ChangeKind.NODE_EXECUTION, run, node)])
        assert isinstance(found, admin.NodeExecution)
        return found

    async def node_path(self, run: RunId, node: str) -> Path:
        """Where the machine knows the node that clients know by this id (of a nested one it may be a hash). Raises `NotFound`."""
        return path_of((await self._of_node(run, node)).path)

    async def expansion(self, run: RunId, node: str) -> bytes:
        """The serialised ``CompiledWorkflowClosure`` that a dynamic node made. Raises `NotFound`."""
        body = (await self._of_node(run, node)).closure
        if body is None:
            raise NotFound(f"{run} has no graph of {node} (yet): it is not dynamic, or still runs")
        return bytes(body)

    async def _of_node(self, run: RunId, node: str) -> Any:
        def find(connection: Connection) -> Any:
            named_by = {"run_id": row_id(connection, run), "node": node}
            row = connection.execute(_place, named_by).one_or_none()
            if row is None:
                raise NotFound(f"{run} has no node {node} (yet): list its nodes")
            return row

        return await self._db.read(find)

    async def task_executions(
        self, run: RunId, node: str, query: Query, *, whole: bool = True
    ) -> Page[admin.TaskExecution]:
        """The node's attempts, the first first; of all nodes when `node` is empty. Raises `NotFound` for the run.

        Those of array nodes carry their items when they are to be `whole`, else only how many are in which phase.
        """
        statement = select(
            task_executions.c.node,
            task_executions.c.attempt,
            task_executions.c.body,
            task_executions.c.phases,
        )
        if node:
            statement = statement.where(task_executions.c.node == node)

        def find(connection: Connection) -> Page[admin.TaskExecution]:
            run_id = row_id(connection, run)
            only = statement.where(task_executions.c.run_id == run_id)
            found = page(connection, only, TASK_EXECUTIONS, query)
            made = [
                _task_of(
                    connection,
                    {"run_id": run_id, "node": row.node, "attempt": row.attempt},
                    (row.body, row.phases),
                    whole=whole,
                )
                for row in found.items
            ]
            return Page(made, found.token)

        return await self._db.read(find)

    async def task_execution(self, run: RunId, node: str, attempt: int) -> admin.TaskExecution:
        """One attempt of one node, with up to `resources.SHOWN` of its items. Raises `NotFound`."""

        def find(connection: Connection) -> admin.TaskExecution:
            key = {"run_id": row_id(connection, run), "node": node, "attempt": attempt}
            found = _task.first(connection, key)
            if found is None:
                raise NotFound(f"{run} has no task_execution {node}/{attempt} (yet)")
            return _task_of(connection, key, found)

        return await self._db.read(find)

    async def items(
        self, run: RunId, node: str, attempt: int, start: int, end: int
    ) -> Sequence[event.ExternalResourceInfo]:
        """The items of an array node's attempt from index `start` up to, not including, `end`: every try. Raises `NotFound` for the run."""

        def find(connection: Connection) -> Sequence[event.ExternalResourceInfo]:
            key = {"run_id": row_id(connection, run), "node": node, "attempt": attempt}
            return resources.read(connection, key, start, end)

        return await self._db.read(find)

    async def look_up(self, changes: Sequence[Change]) -> Sequence[Record]:
        """The records that changes name, in their order, all of one moment. Raises `NotFound`.

        Of an array node's attempt it tells how many items are in which phase, not each: it may be asked for at every change.
        """
        return await self._db.read(lambda c: [_record(c, change) for change in changes])


def row_id(connection: Connection, run: RunId) -> int:
    """What the run's rows are found by. Raises `NotFound`."""
    found: tuple[int] | None = find_run.first(connection, named(run))
    if found is None:
        raise NotFound(f"There is no execution {run}: look for it with the list of executions")
    return found[0]


def _record(connection: Connection, change: Change) -> Record:
    run_id = row_id(connection, change.run)
    key = {"run_id": run_id, "node": change.node, "attempt": change.attempt}
    match change.kind:
        case ChangeKind.EXECUTION:
            return read_execution(connection, run_id)
        case ChangeKind.NODE_EXECUTION:
            found = _node.first(connection, key)
            if found is not None:
                return admin.NodeExecution.FromString(found[0])
        case ChangeKind.TASK_EXECUTION:
            found = _task.first(connection, key)
            if found is not None:
                return _task_of(connection, key, found, whole=False)
    raise NotFound(f"{change.run} has no {change.kind} {change.node}/{change.attempt} (yet)")


def _task_of(
    connection: Connection, key: Mapping[str, Any], found: tuple[bytes, str], *, whole: bool = True
) -> admin.TaskExecution:
    """The task execution of a row, with the first of its items when it is to be `whole`."""
    body, phases = found
    task = admin.TaskExecution.FromString(body)
    if phases:
        resources.show_counts(task, resources.decode_counts(phases))
        if whole:
            resources.show(connection, key, task)
    return task
