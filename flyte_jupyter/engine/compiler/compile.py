"""A workflow as registered becomes one that can run, or a list of everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flyte_jupyter.engine.compiler.checks import Checks, prepared
from flyte_jupyter.engine.compiler.graph import downstream_of
from flyte_jupyter.engine.compiler.interfaces import END, START, launch_plan_interface
from flyte_jupyter.engine.compiler.library import Library, references
from flyte_jupyter.engine.compiler.problems import Code, CompileError, Problem
from flyte_jupyter.idl import core, digests
from flyte_jupyter.idl.identifiers import identifier
from flyte_jupyter.idl.ids import EntityId, EntityKind

DEFAULT_SINGLE_TASK_RETRIES = 3
"""How often a task that is launched by itself is tried again when it does not say (Flyte's figure)."""
DEEPEST = 200
"""How many sub-workflows may stand inside each other: more is a mistake, and would not fit Python's stack."""

_NODE_ID_LENGTH = 63


@dataclass(frozen=True, slots=True)
class Compiled:
    """A workflow that can run. `digest` names its closure's content."""

    closure: core.CompiledWorkflowClosure
    digest: str


def compile_workflow(
    template: core.WorkflowTemplate, library: Library | Mapping[EntityId, core.TaskTemplate]
) -> Compiled:
    """Check a workflow and all that it is made of, and add start nodes, end nodes and all edges.

    `library` holds at least what `requirements` names; only tasks may be given as a mapping. Raises `CompileError` with all
    problems, those in sub-workflows included.
    """
    if not isinstance(library, Library):
        library = Library(tasks=library)
    problems: list[Problem] = []
    inside = _inside(template, library, problems)
    closure = core.CompiledWorkflowClosure()
    used: set[EntityId] = set()
    _compile(template, library, closure.primary, problems)
    used.update(references(template))
    for name in inside:
        workflow = library.workflows[name]
        found: list[Problem] = []
        _compile(workflow, library, closure.sub_workflows.add(), found)
        problems += [replace(problem, workflow=name.name) for problem in found]
        used.update(references(workflow))
    if problems:
        raise CompileError(template.id.name, problems)
    _add_used(closure, used, library)
    return Compiled(closure, digests.message_digest(closure))


def _compile(
    template: core.WorkflowTemplate,
    library: Library,
    compiled: core.CompiledWorkflow,
    problems: list[Problem],
) -> None:
    workflow = prepared(template)
    checks = Checks(workflow, library)
    upstream = checks.run()
    problems += checks.problems
    if not checks.problems:
        top = {node.id for node in workflow.nodes}
        workflow.nodes.insert(0, core.Node(id=START))
        workflow.nodes.append(core.Node(id=END, inputs=workflow.outputs))
        compiled.template.CopyFrom(workflow)
        _connect(compiled.connections, upstream, top)


def _inside(
    template: core.WorkflowTemplate, library: Library, problems: list[Problem]
) -> list[EntityId]:
    """The sub-workflows that a workflow is made of, however deep, by name. Reports those that contain themselves."""
    t = template.id
    root = EntityId(EntityKind.WORKFLOW, t.project, t.domain, t.name, t.version)
    done: dict[EntityId, None] = {}
    trail: dict[EntityId, Iterator[EntityId]] = {root: _parts(template, library)}
    while trail:
        name, rest = next(reversed(trail.items()))
        part = next(rest, None)
        if part is None:
            del trail[name]
            done[name] = None
        elif part in trail:
            walked = list(trail)
            cycle = [*walked[walked.index(part) :], part]
            way = " -> ".join(entity.name for entity in cycle)
            message = f"a workflow cannot be part of itself: {way}"
            problems.append(Problem(Code.CYCLE, "", "nodes", message, _named(part, root)))
        elif part not in done:
            if len(trail) > DEEPEST:
                message = f"more than {DEEPEST} sub-workflows stand inside each other"
                problems.append(Problem(Code.NESTED_TOO_DEEP, "", "nodes", message, part.name))
                done[part] = None
            else:
                trail[part] = _parts(library.workflows[part], library)
    return sorted(name for name in done if name != root)


def _parts(template: core.WorkflowTemplate, library: Library) -> Iterator[EntityId]:
    return (
        entity
        for entity in dict.fromkeys(references(template))
        if entity.kind is EntityKind.WORKFLOW and entity in library
    )


def _named(entity: EntityId, root: EntityId) -> str:
    return "" if entity == root else entity.name


def _add_used(closure: core.CompiledWorkflowClosure, used: set[EntityId], library: Library) -> None:
    for entity in sorted(used):
        if entity.kind is EntityKind.TASK:
            closure.tasks.add().template.CopyFrom(library.tasks[entity])
        elif entity.kind is EntityKind.LAUNCH_PLAN:
            plan = library.launch_plans[entity]
            closure.launch_plans.add().template.CopyFrom(
                core.LaunchPlanTemplate(
                    id=identifier(entity),
                    interface=launch_plan_interface(plan.inputs, plan.outputs),
                    fixed_inputs=plan.fixed,
                )
            )


def _connect(
    connections: core.ConnectionSet, upstream: Mapping[str, Sequence[str]], top: set[str]
) -> None:
    """Edges as in Flyte: of a branch's arms only where their data comes from."""
    for node, parents in upstream.items():
        connections.upstream[node].ids.extend(parents)
    outer = {node: parents for node, parents in upstream.items() if node in top or node == END}
    for node, children in downstream_of({START: (), **outer}).items():
        if children:
            connections.downstream[node].ids.extend(children)


def skeleton(task: core.TaskTemplate) -> core.WorkflowTemplate:
    """The workflow with one node that runs `task`: what launching a single task launches."""
    workflow = core.WorkflowTemplate(
        id=core.Identifier(
            resource_type=core.ResourceType.WORKFLOW,
            project=task.id.project,
            domain=task.id.domain,
            name=f".flytegen.{task.id.name}",
            version=task.id.version,
        ),
        interface=task.interface,
    )
    node = workflow.nodes.add(id=_node_id_from(task.id.name))
    node.task_node.reference_id.CopyFrom(task.id)
    node.metadata.name = task.id.name
    declared = task.metadata.HasField("retries")
    node.metadata.retries.retries = (
        task.metadata.retries.retries if declared else DEFAULT_SINGLE_TASK_RETRIES
    )
    for name in sorted(task.interface.inputs.variables):
        node.inputs.append(_passed_on(START, name))
    for name in sorted(task.interface.outputs.variables):
        workflow.outputs.append(_passed_on(node.id, name))
    return workflow


def _node_id_from(task: str) -> str:
    """A node id that reads like the task's name: lower-case letters, digits and dashes."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")
    return cleaned[-_NODE_ID_LENGTH:].strip("-") or "task"


def _passed_on(node: str, name: str) -> core.Binding:
    reference = core.OutputReference(node_id=node, var=name)
    return core.Binding(var=name, binding=core.BindingData(promise=reference))
