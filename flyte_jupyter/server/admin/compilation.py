"""From a registered template to the closure and plan that a run executes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from flyte_jupyter.engine.compiler.compile import compile_workflow
from flyte_jupyter.engine.compiler.problems import CompileError
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.admin.names import entity_id
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.store.errors import NotFound


async def compile_template(
    platform: Platform, template: core.WorkflowTemplate
) -> core.CompiledWorkflowClosure:
    """Compile against the registered tasks, beside the event loop.

    Raises:
        InvalidArgument: naming every problem that the compiler found.
    """
    tasks = await _tasks(platform, template)
    try:
        return await asyncio.to_thread(lambda: compile_workflow(template, tasks).closure)
    except CompileError as error:
        raise InvalidArgument(str(error)) from error


async def _tasks(
    platform: Platform, template: core.WorkflowTemplate
) -> Mapping[EntityId, core.TaskTemplate]:
    """The registered tasks that the template names; one that is not registered is left for the compiler to report."""
    names = {
        entity_id(EntityKind.TASK, node.task_node.reference_id)
        for node in template.nodes
        if node.HasField("task_node")
    }
    found = await asyncio.gather(*(_task(platform, name) for name in sorted(names)))
    return dict(_pairs(names, found))


def _pairs(
    names: Iterable[EntityId], found: Iterable[core.TaskTemplate | None]
) -> Iterable[tuple[EntityId, core.TaskTemplate]]:
    for name, task in zip(sorted(names), found, strict=True):
        if task is not None:
            yield name, task


async def _task(platform: Platform, name: EntityId) -> core.TaskTemplate | None:
    try:
        return (await platform.specs.task(name)).closure.compiled_task.template
    except NotFound:
        return None
