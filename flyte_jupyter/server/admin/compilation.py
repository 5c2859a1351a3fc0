"""From a registered template to the closure and plan that a run executes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from flyte_jupyter.engine.compiler.compile import compile_workflow
from flyte_jupyter.engine.compiler.library import LaunchPlanInterface, Library, requirements
from flyte_jupyter.engine.compiler.problems import CompileError
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.admin.names import entity_id
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.store.errors import NotFound


async def compile_template(
    platform: Platform,
    template: core.WorkflowTemplate,
    sub_workflows: Iterable[core.WorkflowTemplate] = (),
) -> core.CompiledWorkflowClosure:
    """Compile against what is registered and the sub-workflows that come along, beside the event loop.

    Raises:
        InvalidArgument: naming every problem that the compiler found.
    """
    brought = {entity_id(EntityKind.WORKFLOW, workflow.id): workflow for workflow in sub_workflows}
    library = await fetched(platform, template, Library(workflows=brought))
    try:
        return await asyncio.to_thread(lambda: compile_workflow(template, library).closure)
    except CompileError as error:
        raise InvalidArgument(str(error)) from error


async def fetched(platform: Platform, template: core.WorkflowTemplate, library: Library) -> Library:
    """The library with all that the template needs and that is registered, sub-workflows' needs included.

    What is not registered is left for the compiler to report.
    """
    tasks, workflows, plans = (
        dict(library.tasks),
        dict(library.workflows),
        dict(library.launch_plans),
    )
    asked: set[EntityId] = set()
    while True:
        library = Library(tasks, workflows, plans)
        missing = await asyncio.to_thread(requirements, template, library) - asked
        if not missing:
            return library
        asked |= missing
        for found in await asyncio.gather(*(_entity(platform, name) for name in sorted(missing))):
            match found:
                case admin.Task():
                    task = found.closure.compiled_task.template
                    tasks[entity_id(EntityKind.TASK, found.id)] = task
                case admin.Workflow():
                    closure = found.closure.compiled_workflow
                    for workflow in (closure.primary, *closure.sub_workflows):
                        name = entity_id(EntityKind.WORKFLOW, workflow.template.id)
                        workflows.setdefault(name, workflow.template)
                case admin.LaunchPlan():
                    name = entity_id(EntityKind.LAUNCH_PLAN, found.id)
                    plans[name] = launch_plan_interface(found)


def launch_plan_interface(plan: admin.LaunchPlan) -> LaunchPlanInterface:
    """What the compiler must know of a registered launch plan."""
    return LaunchPlanInterface(
        plan.closure.expected_inputs, plan.closure.expected_outputs, plan.spec.fixed_inputs
    )


async def _entity(
    platform: Platform, name: EntityId
) -> admin.Task | admin.Workflow | admin.LaunchPlan | None:
    specs = platform.specs
    try:
        match name.kind:
            case EntityKind.TASK:
                return await specs.task(name)
            case EntityKind.WORKFLOW:
                return await specs.workflow(name)
            case _:
                return await specs.launch_plan(name)
    except NotFound:
        return None
