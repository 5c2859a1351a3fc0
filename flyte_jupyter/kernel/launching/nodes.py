"""The nodes of an execution, as they stood when they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.texts import LISTED_ERROR
from flyte_jupyter.kernel.client import Client
from flyte_jupyter.kernel.launching.values import Values
from flyte_jupyter.kernel.types import Storage

_ENDS = ("start-node", "end-node")
NOT_STARTED = "NOT_STARTED"
"""The phase of a node that nobody has begun with: it waits for others, or its turn never came. Ours, not Flyte's."""


@dataclass(frozen=True)
class PlannedNode:
    """What the workflow says of a node, whether it ever runs or not."""

    id: str
    name: str
    task: str


@dataclass(frozen=True)
class NodeView:
    """One node of an execution."""

    id: str
    name: str
    """What the workflow calls it: the task's function, unless overridden."""
    task: str
    """The registered name of its task."""
    phase: str
    """Flyte's name: ``QUEUED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ...; ``NOT_STARTED`` when its turn has not come."""
    started_at: datetime | None
    seconds: float
    """How long it ran; 0 while it runs."""
    cached: bool
    """Whether its outputs came from an earlier execution."""
    error: str
    """What went wrong, by name, traceback included; empty unless it failed."""
    message: admin.NodeExecution = field(repr=False)
    _client: Client = field(repr=False)
    _storage: Storage = field(repr=False)

    @cached_property
    def executions(self) -> tuple[admin.TaskExecution, ...]:
        """Its attempts, the first one first; of a long error they have the two ends."""
        if self.phase == NOT_STARTED:
            return ()
        found = self._client.list_task_executions(self.message.id)
        return tuple(sorted(found, key=lambda attempt: attempt.id.retry_attempt))

    @property
    def attempts(self) -> int:
        """How many attempts there were; 0 when its outputs came from an earlier execution."""
        return len(self.executions)

    @cached_property
    def inputs(self) -> Values:
        """What it was given."""
        literals = self._client.literals(self._data.full_inputs, self._data.inputs)
        return Values(literals, self._storage)

    @cached_property
    def outputs(self) -> Values:
        """What it gave; empty unless it succeeded."""
        literals = self._client.literals(self._data.full_outputs, self._data.outputs)
        return Values(literals, self._storage)

    @cached_property
    def _data(self) -> admin.NodeExecutionGetDataResponse:
        if self.phase == NOT_STARTED:
            return admin.NodeExecutionGetDataResponse()
        return self._client.node_execution_data(self.message.id)

    def logs(self, attempt: int | None = None) -> str:
        """All that an attempt has written so far; the last attempt's unless one is named, counted from 0."""
        if attempt is None and not self.attempts:
            return ""
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


def planned_nodes(workflow: core.CompiledWorkflowClosure) -> tuple[PlannedNode, ...]:
    """The nodes of a workflow in the order of its closure, without start and end."""
    return tuple(
        PlannedNode(node.id, node.metadata.name, node.task_node.reference_id.name)
        for node in workflow.primary.template.nodes
        if node.id not in _ENDS
    )


def nodes_of(
    client: Client,
    run: core.WorkflowExecutionIdentifier,
    storage: Storage,
    planned: Sequence[PlannedNode],
) -> list[NodeView]:
    """The nodes of an execution in the order in which they were made, then those that were not, without start and end.

    Those that were made at one moment, as several hits of the cache are, stand as in the workflow.
    """
    plans = {node.id: node for node in planned}
    places = {node.id: place for place, node in enumerate(planned)}
    found = [
        _whole(client, message)
        for message in client.list_node_executions(run)
        if message.id.node_id not in _ENDS
    ]
    found.sort(
        key=lambda node: (
            node.closure.created_at.ToNanoseconds(),
            places.get(node.id.node_id, len(places)),
            node.id.node_id,
        )
    )
    views = [view(message, client, storage, plans.get(message.id.node_id)) for message in found]
    begun = {node.id for node in views}
    for node in planned:
        if node.id not in begun:
            name = core.NodeExecutionIdentifier(node_id=node.id, execution_id=run)
            views.append(view(admin.NodeExecution(id=name), client, storage, node))
    return views


def _whole(client: Client, message: admin.NodeExecution) -> admin.NodeExecution:
    """The node with all of its error, of which a list may have the ends only."""
    if len(message.closure.error.message) <= LISTED_ERROR:
        return message
    return client.get_node_execution(message.id)


def view(
    message: admin.NodeExecution,
    client: Client,
    storage: Storage,
    planned: PlannedNode | None = None,
) -> NodeView:
    """One node from admin's message, or from its identifier alone when it has not begun."""
    closure = message.closure
    started = closure.started_at.ToDatetime(UTC) if closure.HasField("started_at") else None
    cache = closure.task_node_metadata.cache_status
    name = planned.name if planned else ""
    begun = message.HasField("closure")
    return NodeView(
        id=message.id.node_id,
        name=name or message.metadata.spec_node_id or message.id.node_id,
        task=planned.task if planned else "",
        phase=core.NodeExecution.Phase.Name(closure.phase) if begun else NOT_STARTED,
        started_at=started,
        seconds=closure.duration.ToTimedelta().total_seconds(),
        cached=cache == core.CatalogCacheStatus.CACHE_HIT,
        error=error_text(closure.error),
        message=message,
        _client=client,
        _storage=storage,
    )


def error_text(error: core.ExecutionError) -> str:
    """An error with its name in front, which an exception's message has already."""
    first = error.message.partition("\n")[0]
    return error.message if error.code in first else f"{error.code}: {error.message}"
