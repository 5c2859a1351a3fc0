"""Executions, node executions and task executions as clients see them, and the durable messages that clients send to runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flyte_jupyter.engine.core.state import RunState
from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.query import Page, Query


@dataclass(frozen=True, slots=True)
class NewExecution:
    """All that a new execution begins with."""

    execution: admin.Execution
    """Id, spec and closure (``created_at``, ``workflow_id``) as clients will see them; its phase is stored as given."""
    closure: bytes
    """The serialised ``CompiledWorkflowClosure`` it runs."""
    closure_digest: str
    state: RunState
    """The machine's initial state of this run."""
    inputs: str
    """URI of the execution's inputs."""
    env: Mapping[str, str] = field(default_factory=dict)


class Executions:
    """The control plane's side of runs: launch, look, abort, archive."""

    def __init__(self, db: Database) -> None: ...

    async def create(self, new: NewExecution) -> None:
        """Record the execution and the message that starts it, in one transaction.

        Raises:
            AlreadyExists: the project and domain have an execution of that name.
            StoreFull: there is no space; nothing was recorded.
        """
        raise NotImplementedError

    async def get(self, run: RunId) -> admin.Execution:
        """The execution as last committed. Raises `NotFound`."""
        raise NotImplementedError

    async def closure(self, run: RunId) -> bytes:
        """The serialised ``CompiledWorkflowClosure`` the execution runs. Raises `NotFound`."""
        raise NotImplementedError

    async def inputs(self, run: RunId) -> str:
        """URI of the execution's inputs. Raises `NotFound`."""
        raise NotImplementedError

    async def list(self, project: str, domain: str, query: Query) -> Page[admin.Execution]:
        """Executions, newest first unless the query sorts; archived ones only if it filters by ``state``."""
        raise NotImplementedError

    async def active(self) -> int:
        """How many executions have not ended."""
        raise NotImplementedError

    async def request_abort(self, run: RunId, cause: str, principal: str, now: datetime) -> None:
        """Show the execution as ABORTING and tell its run, in one transaction; a repeated request changes nothing.

        Raises:
            NotFound: there is no such execution.
            AlreadyTerminal: it has ended.
        """
        raise NotImplementedError

    async def update_state(self, run: RunId, change: admin.ExecutionStateChangeDetails) -> None:
        """Archive the execution or bring it back. Raises `NotFound`."""
        raise NotImplementedError

    async def node_executions(
        self, run: RunId, query: Query, *, parent: str = ""
    ) -> Page[admin.NodeExecution]:
        """The run's nodes in the order in which they began: the top level, or the children of `parent`. Raises `NotFound`."""
        raise NotImplementedError

    async def node_execution(self, run: RunId, node: str) -> admin.NodeExecution:
        """One node of the run. Raises `NotFound`."""
        raise NotImplementedError

    async def task_executions(
        self, run: RunId, node: str, query: Query
    ) -> Page[admin.TaskExecution]:
        """The node's attempts, the first first; of all nodes when `node` is empty. Raises `NotFound` for the run."""
        raise NotImplementedError

    async def task_execution(self, run: RunId, node: str, attempt: int) -> admin.TaskExecution:
        """One attempt of one node. Raises `NotFound`."""
        raise NotImplementedError
