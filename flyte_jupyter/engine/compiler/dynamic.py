"""What a dynamic task made at run time becomes a workflow that can run. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_jupyter.engine.compiler.checks import prepared
from flyte_jupyter.engine.compiler.compile import Compiled, compile_workflow
from flyte_jupyter.engine.compiler.library import Library, requirements
from flyte_jupyter.idl import core, digests
from flyte_jupyter.idl.identifiers import entity_id, identifier
from flyte_jupyter.idl.ids import EntityId, EntityKind

_VERSION_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Parent:
    """The node whose attempt made the workflow: where it stands, its id in its graph, and its task."""

    project: str
    domain: str
    node: str
    task: core.TaskTemplate


def dynamic_requirements(spec: core.DynamicJobSpec, parent: Parent) -> frozenset[EntityId]:
    """What the specification names and does not bring along: launch plans as a rule, fetched tasks at times."""
    return requirements(_template(spec, parent), _brought(spec, parent, Library()))


def compile_dynamic(
    spec: core.DynamicJobSpec, parent: Parent, library: Library | None = None
) -> Compiled:
    """Compile the ``futures.pb`` of a dynamic task as Flyte does: a workflow ``dynamic_<node>`` with the task's interface.

    `library` holds what `dynamic_requirements` names. Equal specifications of one node give equal digests. Raises `CompileError`.
    """
    return compile_workflow(_template(spec, parent), _brought(spec, parent, library or Library()))


def _template(spec: core.DynamicJobSpec, parent: Parent) -> core.WorkflowTemplate:
    template = core.WorkflowTemplate(
        id=core.Identifier(
            resource_type=core.ResourceType.WORKFLOW,
            project=parent.project,
            domain=parent.domain,
            name=f"dynamic_{parent.node}",
        ),
        interface=parent.task.interface,
        nodes=spec.nodes,
        outputs=spec.outputs,
    )
    template.id.version = digests.message_digest(prepared(template))[:_VERSION_LENGTH]
    return template


def _brought(spec: core.DynamicJobSpec, parent: Parent, library: Library) -> Library:
    """The library with what the specification brings; its tasks get the parent's configuration besides their own, as in Flyte."""
    tasks = dict(library.tasks)
    for template in spec.tasks:
        task = core.TaskTemplate()
        task.CopyFrom(template)
        if task.HasField("container") and parent.task.HasField("container"):
            task.container.config.extend(parent.task.container.config)
        tasks[_named(EntityKind.TASK, task.id)] = task
    workflows = dict(library.workflows)
    workflows.update({_named(EntityKind.WORKFLOW, w.id): w for w in spec.subworkflows})
    return Library(tasks, workflows, library.launch_plans)


def _named(kind: EntityKind, of: core.Identifier) -> EntityId:
    named = core.Identifier()
    named.CopyFrom(of)
    named.resource_type = identifier(EntityId(kind, "", "", "", "")).resource_type
    return entity_id(named)
