"""Where an execution's data came from and went: from node to node, and from execution to execution."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flyte_jupyter.engine.compiler.interfaces import promises
from flyte_jupyter.engine.program import Program, Template, program_of
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.lineage import Lineage, Use
from flyte_jupyter.store.query import Page, Query

_CELL = "flyte_jupyter.cell"
_PAGE = 1000
_MOST = 10_000
"""So many nodes of one execution are told of, and so many that it started; its graph view shows more."""
_ANY_STATE = "value_in(state,EXECUTION_ACTIVE;EXECUTION_ARCHIVED)"
"""An archived execution is left out of lists; that it was started is a fact all the same."""


@dataclass(frozen=True, slots=True)
class _Level:
    """The nodes inside one node (or of the execution itself), and the workflow that they are of."""

    parent: str
    template: Template | None
    templates: Mapping[str, Template]


class LineageCases:
    """Reads lineage off what was committed: the compiled graph, the node executions, and what was taken over."""

    def __init__(self, platform: Platform, lineage: Lineage) -> None:
        self._platform = platform
        self._lineage = lineage

    async def of(self, run: RunId) -> Mapping[str, object]:
        """What each node made, by which task and cell, from what, and who used it since. Raises `NotFound`."""
        executions = self._platform.executions
        program = await asyncio.to_thread(_program, await executions.closure(run))
        taken = {use.node: use for use in await self._lineage.of_consumer(run)}
        top = _Level("", program.primary, program.templates)
        nodes = [node async for node in self._nodes(run, top, taken)]
        used = await self._lineage.of_producer(run)
        children = [child async for child in self._children(run)]
        return {
            "inputs": await executions.inputs(run),
            "nodes": nodes,
            "used_by": [_use(use) for use in used],
            "children": [
                {
                    "execution": _shown(child.id),
                    "node": child.spec.metadata.parent_node_execution.node_id,
                }
                for child in children
            ],
        }

    async def _nodes(
        self, run: RunId, level: _Level, taken: Mapping[str, Use]
    ) -> AsyncIterator[Mapping[str, object]]:
        told, waiting = 0, [level]
        while waiting:
            level = waiting.pop()
            async for found in self._inside(run, level.parent):
                told += 1
                if told > _MOST:
                    return
                yield _node(found, level.template, taken)
                if found.metadata.is_parent_node or _is_branch(found, level.template):
                    waiting.append(await self._below(run, found, level))

    async def _inside(self, run: RunId, parent: str) -> AsyncIterator[admin.NodeExecution]:
        query: Query | None = Query(limit=_PAGE)
        while query is not None:
            page = await self._platform.executions.node_executions(run, query, parent=parent)
            for each in page.items:
                yield each
            query = _after(query, page)

    async def _children(self, run: RunId) -> AsyncIterator[admin.Execution]:
        told = 0
        query: Query | None = Query(filters=_ANY_STATE, limit=_PAGE)
        while query is not None and told < _MOST:
            page = await self._platform.executions.children(run, query)
            for each in page.items:
                yield each
            told += len(page.items)
            query = _after(query, page)

    async def _below(self, run: RunId, node: admin.NodeExecution, level: _Level) -> _Level:
        """What stands inside a composite node: a branch's arms are of its own workflow."""
        name, inside = node.id.node_id, level.template
        if node.metadata.is_dynamic:
            try:
                body = await self._platform.executions.expansion(run, name)
            except NotFound:
                return _Level(name, None, level.templates)
            made = await asyncio.to_thread(_program, body)
            return _Level(name, made.primary, made.templates)
        reference = inside.sub_workflow(node.metadata.spec_node_id) if inside else None
        if reference is not None:
            inside = next((t for t in level.templates.values() if t.workflow == reference), None)
        return _Level(name, inside, level.templates)


def _after(query: Query, page: Page[Any]) -> Query | None:
    """The query for the next page; None when this was the last."""
    return replace(query, token=page.token) if page.token else None


def _program(closure: bytes) -> Program:
    return program_of(core.CompiledWorkflowClosure.FromString(closure))


def _node(
    found: admin.NodeExecution, template: Template | None, taken: Mapping[str, Use]
) -> Mapping[str, object]:
    spec = found.metadata.spec_node_id
    planned = template.nodes.get(spec) if template is not None else None
    task = template.task(spec) if template is not None and planned is not None else None
    use = taken.get(found.id.node_id)
    return {
        "node": found.id.node_id,
        "task": task.id.name if task is not None else "",
        "version": task.id.version if task is not None else "",
        "cell": task.config.get(_CELL, "") if task is not None else "",
        "outputs": found.closure.output_uri,
        "from": [] if planned is None else sorted(set(_sources(planned))),
        "taken_from": use.source if use is not None else "",
        "how": use.how if use is not None else "",
    }


def _sources(node: core.Node) -> Iterator[str]:
    for binding in node.inputs:
        for promise in promises(binding.binding):
            yield f"{promise.node_id}.{promise.var}"


def _is_branch(found: admin.NodeExecution, template: Template | None) -> bool:
    planned = template.nodes.get(found.metadata.spec_node_id) if template is not None else None
    return planned is not None and planned.HasField("branch_node")


def _use(use: Use) -> Mapping[str, object]:
    return {"execution": str(use.run), "node": use.node, "source": use.source, "how": use.how}


def _shown(name: core.WorkflowExecutionIdentifier) -> str:
    return f"{name.project}/{name.domain}/{name.name}"
