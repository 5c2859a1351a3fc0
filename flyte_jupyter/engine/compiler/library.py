"""What a workflow refers to, and where the compiler finds it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from flyte_jupyter.engine.compiler.interfaces import with_arms
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import EntityId, EntityKind


@dataclass(frozen=True, slots=True)
class LaunchPlanInterface:
    """What the compiler must know of a launch plan: what may be given to it, what it gives, what is fixed."""

    inputs: core.ParameterMap
    outputs: core.VariableMap
    fixed: core.LiteralMap = field(default_factory=core.LiteralMap)


@dataclass(frozen=True, slots=True)
class Library:
    """Registered entities by name, and those that come with a workflow's own specification."""

    tasks: Mapping[EntityId, core.TaskTemplate] = field(default_factory=dict)
    workflows: Mapping[EntityId, core.WorkflowTemplate] = field(default_factory=dict)
    launch_plans: Mapping[EntityId, LaunchPlanInterface] = field(default_factory=dict)

    def __contains__(self, entity: EntityId) -> bool:
        holders: dict[EntityKind, Mapping[EntityId, object]] = {
            EntityKind.TASK: self.tasks,
            EntityKind.WORKFLOW: self.workflows,
            EntityKind.LAUNCH_PLAN: self.launch_plans,
        }
        return entity in holders[entity.kind]


def requirements(
    template: core.WorkflowTemplate, library: Library | None = None
) -> frozenset[EntityId]:
    """Everything that must still be fetched to compile a workflow: what it refers to and `library` does not have.

    Follows the sub-workflows that the library has; so fetch, add, and ask again until what is missing cannot be found.
    """
    library = library or Library()
    missing: set[EntityId] = set()
    seen: set[EntityId] = set()
    waiting = [template]
    while waiting:
        for entity in references(waiting.pop()):
            if entity in seen:
                continue
            seen.add(entity)
            if entity not in library:
                missing.add(entity)
            elif entity.kind is EntityKind.WORKFLOW:
                waiting.append(library.workflows[entity])
    return frozenset(missing)


def references(template: core.WorkflowTemplate) -> Iterator[EntityId]:
    """The entities that a workflow's own nodes name, those in branches, arrays and the failure node included."""
    for node in with_arms(own_nodes(template)):
        entity = reference(node.array_node.node if node.HasField("array_node") else node)
        if entity is not None:
            yield entity


def own_nodes(template: core.WorkflowTemplate) -> Iterable[core.Node]:
    """A workflow's nodes and its failure node, without the arms of branches."""
    yield from template.nodes
    if template.HasField("failure_node"):
        yield template.failure_node


def reference(node: core.Node) -> EntityId | None:
    """The entity that a task node or workflow node names. Clients do not always fill in what kind it is."""
    match node.WhichOneof("target"):
        case "task_node":
            return _named(EntityKind.TASK, node.task_node.reference_id)
        case "workflow_node":
            match node.workflow_node.WhichOneof("reference"):
                case "sub_workflow_ref":
                    return _named(EntityKind.WORKFLOW, node.workflow_node.sub_workflow_ref)
                case "launchplan_ref":
                    return _named(EntityKind.LAUNCH_PLAN, node.workflow_node.launchplan_ref)
    return None


def _named(kind: EntityKind, of: core.Identifier) -> EntityId:
    return EntityId(kind, of.project, of.domain, of.name, of.version)
