"""The nodes of an execution, as they stood when they were asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from flyte_jupyter.idl import admin, core
from flyte_jupyter.kernel.client import Client
from flyte_jupyter.kernel.launching.values import Values
from flyte_jupyter.kernel.types import Storage

_ENDS = ("start-node", "end-node")


@dataclass(frozen=True)
class NodeView:
    """One node of an execution."""

    id: str
    name: str
    """What the workflow calls it: the task's function, unless overridden."""
    phase: str
    """Flyte's name: ``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ..."""
    started_at: datetime | None
    seconds: float
    """How long it ran; 0 while it runs."""
    cached: bool
    """Whether its outputs came from an earlier execution."""
    error: str
    """What went wrong, traceback included; empty unless it failed."""
    message: admin.NodeExecution = field(repr=False)
    _client: Client = field(repr=False)
    _storage: Storage = field(repr=False)

    @cached_property
    def executions(self) -> tuple[admin.TaskExecution, ...]:
        """Its attempts, the first one first."""
        found = self._client.list_task_executions(self.message.id)
        return tuple(sorted(found, key=lambda attempt: attempt.id.retry_attempt))

    @property
    def attempts(self) -> int:
        """How many attempts there were; 0 when its outputs came from an earlier execution."""
        return len(self.executions)

    @property
    def task(self) -> str:
        """The registered name of its task; empty before its first attempt."""
        return self.executions[-1].id.task_id.name if self.executions else ""

    @cached_property
    def inputs(self) -> Values:
        """What it was given."""
        return Values(self._data.full_inputs, self._storage)

    @cached_property
    def outputs(self) -> Values:
        """What it gave; empty unless it succeeded."""
        return Values(self._data.full_outputs, self._storage)

    @cached_property
    def _data(self) -> admin.NodeExecutionGetDataResponse:
        return self._client.node_execution_data(self.message.id)

    def logs(self, attempt: int | None = None) -> str:
        """All that an attempt has written so far; the last attempt's unless one is named, counted from 0."""
        chosen = max(self.attempts - 1, 0) if attempt is None else attempt
        text, offset = [], 0
        while True:
            piece = self._client.log(self.message.id, chosen, offset)
            text.append(piece.text)
            if not piece.text or piece.next <= offset:
                return "".join(text)
            offset = piece.next

    def deck(self) -> str:
        """Its deck, a page of HTML."""
        return self._client.deck(self.message.id)


def nodes_of(
    client: Client,
    run: core.WorkflowExecutionIdentifier,
    storage: Storage,
    names: Mapping[str, str],
) -> list[NodeView]:
    """The nodes of an execution in the order in which they were made, without start and end."""
    found = [
        view(message, client, storage, names.get(message.id.node_id, ""))
        for message in client.list_node_executions(run)
        if message.id.node_id not in _ENDS
    ]
    return sorted(found, key=_age)


def _age(node: NodeView) -> tuple[int, str]:
    return node.message.closure.created_at.ToNanoseconds(), node.id


def view(
    message: admin.NodeExecution, client: Client, storage: Storage, name: str = ""
) -> NodeView:
    """One node from admin's message."""
    closure = message.closure
    started = closure.started_at.ToDatetime(UTC) if closure.HasField("started_at") else None
    cache = closure.task_node_metadata.cache_status
    return NodeView(
        id=message.id.node_id,
        name=name or message.metadata.spec_node_id or message.id.node_id,
        phase=core.NodeExecution.Phase.Name(closure.phase),
        started_at=started,
        seconds=closure.duration.ToTimedelta().total_seconds(),
        cached=cache == core.CatalogCacheStatus.CACHE_HIT,
        error=closure.error.message,
        message=message,
        _client=client,
        _storage=storage,
    )
