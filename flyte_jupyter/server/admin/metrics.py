"""Where an execution's time went: gathers the records that spans are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flyte_jupyter.engine.compiler.interfaces import with_arms
from flyte_jupyter.engine.program.templates import Closure
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.names import run_id
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.spans import (
    Choosing,
    Graph,
    Launching,
    Seen,
    Trying,
    Waiting,
    Whole,
    execution_span,
)
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.query import Query

DEEPEST = 60
"""So many levels are told at most: of messages nested deeper than 100 clients read nothing."""
_MOST = 10_000
"""So many nodes are told of in all."""
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Level:
    """A workflow whose nodes are looked at, in the run and the closure that it is of."""

    run: RunId
    closure: Closure
    workflow: core.CompiledWorkflow
    nodes: Mapping[str, core.Node]
    """With the arms of branches and the failure node."""

    def inside(self, workflow: core.CompiledWorkflow) -> _Level:
        """The level of another workflow of the same closure."""
        return _level(self.run, self.closure, workflow)


class MetricsCases:
    """Tell how the time of an execution was spent."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def execution(
        self, request: admin.WorkflowExecutionGetMetricsRequest, _: Caller
    ) -> admin.WorkflowExecutionGetMetricsResponse:
        """The execution's span, and what is inside it down to `depth`; below 0 as deep as can be told."""
        depth = request.depth if 0 <= request.depth < DEEPEST else DEEPEST
        whole = await _Gathering(self._platform).execution(run_id(request.id), depth)
        span = await asyncio.to_thread(execution_span, whole)
        return admin.WorkflowExecutionGetMetricsResponse(span=span)


class _Gathering:
    """Reads what one request asks for."""

    def __init__(self, platform: Platform) -> None:
        self._executions = platform.executions
        self._left = _MOST

    async def execution(self, run: RunId, depth: int) -> Whole:
        """An execution down to a depth. Raises `NotFound` of the store."""
        found = await self._executions.get(run)
        if not depth:
            return Whole(found)
        level = await asyncio.to_thread(_primary, run, await self._executions.closure(run))
        return Whole(found, await self._graph(level, await self._below(run, ""), depth - 1))

    async def _graph(
        self, level: _Level, nodes: Sequence[admin.NodeExecution], depth: int
    ) -> Graph:
        upstream = {
            name: tuple(before.ids) for name, before in level.workflow.connections.upstream.items()
        }
        seen = {node.metadata.spec_node_id: await self._seen(level, node, depth) for node in nodes}
        return Graph(seen, upstream)

    async def _seen(self, level: _Level, node: admin.NodeExecution, depth: int) -> Seen:
        planned = level.nodes.get(node.metadata.spec_node_id)
        if planned is None or not depth:
            return Seen(node)
        match planned.WhichOneof("target"):
            case "gate_node":
                return Seen(node, Waiting())
            case "branch_node":
                arms = await self._below(level.run, node.id.node_id)
                taken = [await self._seen(level, arm, depth - 1) for arm in arms[-1:]]
                return Seen(node, Choosing(taken[0] if taken else None))
            case "workflow_node":
                workflow = level.closure.workflow(planned)
                if workflow is None:
                    return Seen(node, Launching(await self._child(node, depth - 1)))
                below = _latest(await self._below(level.run, node.id.node_id))
                return Seen(node, await self._graph(level.inside(workflow), below, depth - 1))
            case "task_node" | "array_node":
                return Seen(node, await self._tries(level.run, node, depth - 1))
        return Seen(node)

    async def _tries(self, run: RunId, node: admin.NodeExecution, depth: int) -> Trying:
        name = node.id.node_id
        page = await self._executions.task_executions(run, name, Query(limit=_PAGE), whole=False)
        if not node.metadata.is_parent_node or not page.items:
            return Trying(page.items, told=depth != 0)
        made = await self._below(run, name, page.items[-1].id.retry_attempt)
        if not made:
            return Trying(page.items, told=depth != 0, graph=Graph())
        level = await asyncio.to_thread(_primary, run, await self._executions.expansion(run, name))
        return Trying(page.items, told=depth != 0, graph=await self._graph(level, made, depth))

    async def _child(self, node: admin.NodeExecution, depth: int) -> Whole | None:
        if not node.closure.HasField("workflow_node_metadata"):
            return None
        try:
            return await self.execution(
                run_id(node.closure.workflow_node_metadata.executionId), depth
            )
        except NotFound:
            return None

    async def _below(
        self, run: RunId, parent: str, attempt: int | None = None
    ) -> Sequence[admin.NodeExecution]:
        """The nodes inside one, of one attempt at it or of all; no more than there is room for."""
        found: list[admin.NodeExecution] = []
        token = ""
        while self._left:
            query = Query(limit=min(_PAGE, self._left), token=token)
            if attempt is None:
                page = await self._executions.node_executions(run, query, parent=parent)
            else:
                page = await self._executions.made_by(run, parent, attempt, query)
            found += page.items
            self._left -= len(page.items)
            token = page.token
            if not token:
                break
        return found


def _latest(nodes: Sequence[admin.NodeExecution]) -> Sequence[admin.NodeExecution]:
    """Those of the last time that a sub-workflow was entered."""
    return [each for each in nodes if each.metadata.retry_group == nodes[-1].metadata.retry_group]


def _primary(run: RunId, body: bytes) -> _Level:
    closure = Closure(core.CompiledWorkflowClosure.FromString(body))
    return _level(run, closure, closure.message.primary)


def _level(run: RunId, closure: Closure, workflow: core.CompiledWorkflow) -> _Level:
    template = workflow.template
    failure = [template.failure_node] if template.HasField("failure_node") else []
    nodes = {node.id: node for node in with_arms([*template.nodes, *failure])}
    return _Level(run, closure, workflow, nodes)
