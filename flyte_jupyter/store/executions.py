"""Executions, node executions and task executions as clients see them, and the durable messages that clients send to runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from flyte_jupyter.engine.core import codec
from flyte_jupyter.engine.core.observations import AbortRequested, Started
from flyte_jupyter.engine.core.state import RunState
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import AttemptId, RunId
from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.errors import AlreadyExists, AlreadyTerminal, NotFound
from flyte_jupyter.store.feed import Change, ChangeKind, Touched, append
from flyte_jupyter.store.listings import EXECUTIONS, NODE_EXECUTIONS, TASK_EXECUTIONS
from flyte_jupyter.store.projections import execution_is_final
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.recording import put_execution, read_execution
from flyte_jupyter.store.rows import execution_row
from flyte_jupyter.store.runs import named, send
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import (
    closures,
    executions,
    node_executions,
    runs,
    task_executions,
)

Record = admin.Execution | admin.NodeExecution | admin.TaskExecution


@dataclass(frozen=True, slots=True)
class NewExecution:
    """All that a new execution begins with."""

    execution: admin.Execution
    """Id, spec and closure (``created_at``, ``workflow_id``) as clients will see them; its phase is stored as given."""
    closure: bytes
    """The serialised ``CompiledWorkflowClosure`` it runs."""
    closure_digest: str
    state: RunState
    """The machine's initial state. Only its summary is recorded: a node has a row once a commit has changed it."""
    inputs: str
    """URI of the execution's inputs."""
    env: Mapping[str, str] = field(default_factory=dict)
    parent: AttemptId | None = None
    """The attempt at a launch plan node that it is: the parent hears of its end."""
    recovers: RunId | None = None
    """The execution whose successes it takes over."""


_run = dialect.Prepared(
    select(runs.c.id).where(
        runs.c.project == bindparam("project"),
        runs.c.domain == bindparam("domain"),
        runs.c.name == bindparam("name"),
    )
)
_inputs = select(runs.c.inputs).where(runs.c.id == bindparam("run_id"))
_closure = (
    select(closures.c.body)
    .join(runs, runs.c.closure_digest == closures.c.digest)
    .where(runs.c.id == bindparam("run_id"))
)
_active = select(func.count()).select_from(runs).where(runs.c.final.is_(False))
_keep_closure = dialect.insert_new(closures)
_add_run = dialect.Prepared(runs.insert())
_add_execution = executions.insert()
_node = dialect.Prepared(
    select(node_executions.c.body).where(
        node_executions.c.run_id == bindparam("run_id"), node_executions.c.node == bindparam("node")
    )
)
_task = dialect.Prepared(
    select(task_executions.c.body).where(
        task_executions.c.run_id == bindparam("run_id"),
        task_executions.c.node == bindparam("node"),
        task_executions.c.attempt == bindparam("attempt"),
    )
)


class Executions:
    """The control plane's side of runs: launch, look, abort, archive."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, new: NewExecution) -> None:
        """Record the execution and the message that starts it, in one transaction.

        Raises:
            AlreadyExists: the project and domain have an execution of that name.
            StoreFull: there is no space; nothing was recorded.
        """
        await self._db.write(partial(self._create, new=new))

    def _create(self, transaction: Transaction, new: NewExecution) -> None:
        connection, run = transaction.connection, run_of(new.execution.id)
        if _run.first(connection, named(run)) is not None:
            raise AlreadyExists(f"There is an execution {run} already: choose another name")
        connection.execute(_keep_closure, {"digest": new.closure_digest, "body": new.closure})
        row = {
            **named(run),
            "version": 0,
            "final": new.state.summary.phase.final,
            "closure_digest": new.closure_digest,
            "summary": codec.encode_summary(new.state.summary),
            "inputs": new.inputs,
            "env": json.dumps(dict(new.env)),
        }
        (run_id,) = dialect.insert_numbered(connection, _add_run, [row])
        connection.execute(_add_execution, execution_row(run_id, new.execution))
        send(self._db, transaction, run_id, run, codec.encode_observation(Started()))
        append(self._db, transaction, [Touched(ChangeKind.EXECUTION, run)])

    async def get(self, run: RunId) -> admin.Execution:
        """The execution as last committed. Raises `NotFound`."""
        return await self._db.read(lambda c: read_execution(c, _id(c, run)))

    async def closure(self, run: RunId) -> bytes:
        """The serialised ``CompiledWorkflowClosure`` the execution runs. Raises `NotFound`."""
        return bytes(await self._scalar(run, _closure))

    async def inputs(self, run: RunId) -> str:
        """URI of the execution's inputs. Raises `NotFound`."""
        return str(await self._scalar(run, _inputs))

    async def _scalar(self, run: RunId, statement: Any) -> Any:
        return await self._db.read(
            lambda c: c.execute(statement, {"run_id": _id(c, run)}).scalar_one()
        )

    async def list(self, project: str, domain: str, query: Query) -> Page[admin.Execution]:
        """Executions, newest first unless the query sorts; archived ones only if it filters by ``state``."""
        statement = select(executions.c.body).where(
            executions.c.project == project, executions.c.domain == domain
        )
        found = await self._db.read(lambda c: page(c, statement, EXECUTIONS, query))
        return Page([admin.Execution.FromString(row.body) for row in found.items], found.token)

    async def active(self) -> int:
        """How many executions have not ended."""
        return await self._db.read(lambda c: c.execute(_active).scalar_one())

    async def request_abort(self, run: RunId, cause: str, principal: str, now: datetime) -> None:
        """Show the execution as ABORTING and tell its run, in one transaction; a repeated request changes nothing.

        Raises:
            NotFound: there is no such execution.
            AlreadyTerminal: it has ended.
        """

        def abort(transaction: Transaction) -> None:
            run_id = _id(transaction.connection, run)
            execution = read_execution(transaction.connection, run_id)
            closure = execution.closure
            if execution_is_final(closure.phase):
                phase = core.WorkflowExecution.Phase.Name(closure.phase)
                raise AlreadyTerminal(f"{run} has ended ({phase}): there is nothing to abort")
            if closure.phase == core.WorkflowExecution.ABORTING:
                return
            closure.phase = core.WorkflowExecution.ABORTING
            closure.abort_metadata.CopyFrom(admin.AbortMetadata(cause=cause, principal=principal))
            closure.updated_at.FromDatetime(now)
            put_execution(transaction.connection, run_id, execution)
            message = codec.encode_observation(AbortRequested(cause, principal))
            send(self._db, transaction, run_id, run, message)
            append(self._db, transaction, [Touched(ChangeKind.EXECUTION, run)])

        await self._db.write(abort)

    async def update_state(self, run: RunId, change: admin.ExecutionStateChangeDetails) -> None:
        """Archive the execution or bring it back. Raises `NotFound`."""

        def update(transaction: Transaction) -> None:
            run_id = _id(transaction.connection, run)
            execution = read_execution(transaction.connection, run_id)
            execution.closure.state_change_details.CopyFrom(change)
            put_execution(transaction.connection, run_id, execution)
            append(self._db, transaction, [Touched(ChangeKind.EXECUTION, run)])

        await self._db.write(update)

    async def node_executions(
        self, run: RunId, query: Query, *, parent: str = ""
    ) -> Page[admin.NodeExecution]:
        """The run's nodes in the order in which they began: the top level, or the children of `parent`. Raises `NotFound`."""
        statement = select(node_executions.c.body).where(node_executions.c.parent == parent)

        def find(connection: Connection) -> Page[admin.NodeExecution]:
            only = statement.where(node_executions.c.run_id == _id(connection, run))
            found = page(connection, only, NODE_EXECUTIONS, query)
            bodies = [admin.NodeExecution.FromString(row.body) for row in found.items]
            return Page(bodies, found.token)

        return await self._db.read(find)

    async def node_execution(self, run: RunId, node: str) -> admin.NodeExecution:
        """One node of the run. Raises `NotFound`."""
        (found,) = await self.look_up([Change(0, ChangeKind.NODE_EXECUTION, run, node)])
        assert isinstance(found, admin.NodeExecution)
        return found

    async def task_executions(
        self, run: RunId, node: str, query: Query
    ) -> Page[admin.TaskExecution]:
        """The node's attempts, the first first; of all nodes when `node` is empty. Raises `NotFound` for the run."""
        statement = select(task_executions.c.body)
        if node:
            statement = statement.where(task_executions.c.node == node)

        def find(connection: Connection) -> Page[admin.TaskExecution]:
            only = statement.where(task_executions.c.run_id == _id(connection, run))
            found = page(connection, only, TASK_EXECUTIONS, query)
            bodies = [admin.TaskExecution.FromString(row.body) for row in found.items]
            return Page(bodies, found.token)

        return await self._db.read(find)

    async def task_execution(self, run: RunId, node: str, attempt: int) -> admin.TaskExecution:
        """One attempt of one node. Raises `NotFound`."""
        change = Change(0, ChangeKind.TASK_EXECUTION, run, node, attempt)
        (found,) = await self.look_up([change])
        assert isinstance(found, admin.TaskExecution)
        return found

    async def look_up(self, changes: Sequence[Change]) -> Sequence[Record]:
        """The records that changes name, in their order, all of one moment. Raises `NotFound`."""
        return await self._db.read(lambda c: [_record(c, change) for change in changes])


def run_of(named_by: core.WorkflowExecutionIdentifier) -> RunId:
    """The run that Flyte's identifier names."""
    return RunId(named_by.project, named_by.domain, named_by.name)


def _id(connection: Connection, run: RunId) -> int:
    found: tuple[int] | None = _run.first(connection, named(run))
    if found is None:
        raise NotFound(f"There is no execution {run}: look for it with the list of executions")
    return found[0]


def _record(connection: Connection, change: Change) -> Record:
    run_id = _id(connection, change.run)
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
                return admin.TaskExecution.FromString(found[0])
    raise NotFound(f"{change.run} has no {change.kind} {change.node}/{change.attempt} (yet)")
