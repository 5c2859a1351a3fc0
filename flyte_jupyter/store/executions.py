"""Executions, node executions and task executions as clients see them, and the durable messages that clients send to runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from flyte_jupyter.store.database import Transaction
from flyte_jupyter.store.errors import AlreadyExists, AlreadyTerminal
from flyte_jupyter.store.feed import ChangeKind, Touched, append
from flyte_jupyter.store.listings import EXECUTIONS
from flyte_jupyter.store.node_executions import NodeExecutions, find_run, row_id
from flyte_jupyter.store.projections import execution_is_final
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.recording import put_execution, read_execution
from flyte_jupyter.store.rows import execution_row, path_key, path_of, tag_rows
from flyte_jupyter.store.runs import checked, named, send
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import closures, executions, runs, tags


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
    epoch: int = 0
    """The lease's, of the engine that makes this attempt; of no account without a parent."""
    recovers: RunId | None = None
    """The execution whose successes it takes over."""


_summary = select(runs.c.summary).where(runs.c.id == bindparam("run_id"))
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
_add_tags = tags.insert()
_child = runs.alias("child")
_parent = (
    select(
        runs.c.project, runs.c.domain, runs.c.name, _child.c.parent_path, _child.c.parent_attempt
    )
    .select_from(_child.join(runs, runs.c.id == _child.c.parent_id))
    .where(_child.c.id == bindparam("run_id"))
)


class Executions(NodeExecutions):
    """The control plane's side of runs: launch, look (inside, too), abort, archive."""

    async def create(self, new: NewExecution) -> None:
        """Record the execution and the message that starts it, in one transaction.

        Raises:
            AlreadyExists: the project and domain have an execution of that name.
            NotFound: there is no such parent, or no such execution to recover.
            Fenced: the parent's engine has lost its lease, so that the parent may have ended.
            StoreFull: there is no space; nothing was recorded.
        """
        await self._db.write(partial(self._create, new=new))

    def _create(self, transaction: Transaction, new: NewExecution) -> None:
        connection, run = transaction.connection, run_of(new.execution.id)
        if find_run.first(connection, named(run)) is not None:
            raise AlreadyExists(f"There is an execution {run} already: choose another name")
        connection.execute(_keep_closure, {"digest": new.closure_digest, "body": new.closure})
        parent, parent_id = new.parent, None
        if parent is not None:
            parent_id = checked(connection, parent.run, new.epoch).run_id
        row = {
            **named(run),
            "version": 0,
            "final": new.state.summary.phase.final,
            "closure_digest": new.closure_digest,
            "summary": codec.encode_summary(new.state.summary),
            "inputs": new.inputs,
            "env": json.dumps(dict(new.env)),
            "parent_id": parent_id,
            "parent_path": "" if parent is None else path_key(parent.path),
            "parent_attempt": None if parent is None else parent.attempt,
            "recovers_id": None if new.recovers is None else row_id(connection, new.recovers),
        }
        (run_id,) = dialect.insert_numbered(connection, _add_run, [row])
        connection.execute(_add_execution, execution_row(run_id, new.execution))
        if found_by := tag_rows(run_id, new.execution.spec):
            connection.execute(_add_tags, found_by)
        send(self._db, transaction, run_id, run, codec.encode_observation(Started()))
        append(self._db, transaction, [Touched(ChangeKind.EXECUTION, run)])

    async def get(self, run: RunId) -> admin.Execution:
        """The execution as last committed. Raises `NotFound`."""
        return await self._db.read(lambda c: read_execution(c, row_id(c, run)))

    async def closure(self, run: RunId) -> bytes:
        """The serialised ``CompiledWorkflowClosure`` the execution runs. Raises `NotFound`."""
        return bytes(await self._scalar(run, _closure))

    async def open_nodes(self, run: RunId) -> int:
        """How many nodes of the execution's own graph, start and end included, have not ended. Raises `NotFound`."""
        return codec.decode_summary(await self._scalar(run, _summary)).open

    async def inputs(self, run: RunId) -> str:
        """URI of the execution's inputs. Raises `NotFound`."""
        return str(await self._scalar(run, _inputs))

    async def _scalar(self, run: RunId, statement: Any) -> Any:
        return await self._db.read(
            lambda c: c.execute(statement, {"run_id": row_id(c, run)}).scalar_one()
        )

    async def list(self, project: str, domain: str, query: Query) -> Page[admin.Execution]:
        """Executions, newest first unless the query sorts; archived ones only if it filters by ``state``."""
        statement = select(executions.c.body).where(
            executions.c.project == project, executions.c.domain == domain
        )
        found = await self._db.read(lambda c: page(c, statement, EXECUTIONS, query))
        return Page([admin.Execution.FromString(row.body) for row in found.items], found.token)

    async def children(self, run: RunId, query: Query) -> Page[admin.Execution]:
        """The executions that this one started, newest first unless the query sorts. Raises `NotFound`."""
        statement = select(executions.c.body).join(runs, runs.c.id == executions.c.run_id)

        def find(connection: Connection) -> Page[admin.Execution]:
            only = statement.where(runs.c.parent_id == row_id(connection, run))
            found = page(connection, only, EXECUTIONS, query)
            return Page([admin.Execution.FromString(row.body) for row in found.items], found.token)

        return await self._db.read(find)

    async def parent(self, run: RunId) -> AttemptId | None:
        """The attempt that started this execution; None when a person did. Raises `NotFound`."""

        def find(connection: Connection) -> AttemptId | None:
            row = connection.execute(_parent, {"run_id": row_id(connection, run)}).one_or_none()
            if row is None:
                return None
            of = RunId(row.project, row.domain, row.name)
            return AttemptId(of, path_of(row.parent_path), row.parent_attempt)

        return await self._db.read(find)

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
            run_id = row_id(transaction.connection, run)
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
            run_id = row_id(transaction.connection, run)
            execution = read_execution(transaction.connection, run_id)
            execution.closure.state_change_details.CopyFrom(change)
            put_execution(transaction.connection, run_id, execution)
            append(self._db, transaction, [Touched(ChangeKind.EXECUTION, run)])

        await self._db.write(update)


def run_of(named_by: core.WorkflowExecutionIdentifier) -> RunId:
    """The run that Flyte's identifier names."""
    return RunId(named_by.project, named_by.domain, named_by.name)
