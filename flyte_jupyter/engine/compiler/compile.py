"""A workflow as registered becomes one that can run, or a list of everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flyte_jupyter.engine.compiler.bindings import BindingCheck, promises
from flyte_jupyter.engine.compiler.graph import cycles, downstream_of, never_runnable
from flyte_jupyter.engine.compiler.problems import Code, CompileError, Problem
from flyte_jupyter.idl import core, digests
from flyte_jupyter.idl.identifiers import entity_id
from flyte_jupyter.idl.ids import EntityId, EntityKind

START = "start-node"
END = "end-node"
DEFAULT_SINGLE_TASK_RETRIES = 3
"""How often a task that is launched by itself is tried again when it does not say (Flyte's figure)."""

_NODE_ID_LENGTH = 63
_LATER_KINDS = {
    "workflow_node": "a sub-workflow or launch plan",
    "branch_node": "a condition",
    "gate_node": "a gate",
    "array_node": "a map task",
    None: "a node without a target",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A workflow that can run. `digest` names its closure's content."""

    closure: core.CompiledWorkflowClosure
    digest: str


def compile_workflow(
    template: core.WorkflowTemplate, tasks: Mapping[EntityId, core.TaskTemplate]
) -> Compiled:
    """Check a workflow against the tasks it uses and add the start node, the end node and all edges.

    `tasks` holds at least every task that a node refers to. Raises `CompileError` with all problems.
    """
    closure = core.CompiledWorkflowClosure()
    workflow = closure.primary.template
    workflow.CopyFrom(template)
    _name_the_start(workflow)
    checks = _Checks(workflow, tasks)
    upstream = checks.run()
    if checks.problems:
        raise CompileError(template.id.name, checks.problems)
    _add_ends(workflow)
    _connect(closure.primary.connections, upstream)
    for used in sorted(checks.used):
        closure.tasks.add().template.CopyFrom(tasks[used])
    return Compiled(closure, digests.message_digest(closure))


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


class _Checks:
    """Everything that can be said about one workflow, collected in one pass over its nodes."""

    def __init__(
        self, workflow: core.WorkflowTemplate, tasks: Mapping[EntityId, core.TaskTemplate]
    ) -> None:
        self.workflow = workflow
        self.tasks = tasks
        self.problems: list[Problem] = []
        self.used: set[EntityId] = set()
        self.interfaces: dict[str, core.TypedInterface | None] = {}

    def run(self) -> dict[str, tuple[str, ...]]:
        """All checks; returns each node's upstream, the end node's included."""
        if not self.workflow.nodes:
            self._report(Code.NO_NODES, "", "nodes", "the workflow has no nodes: call a task in it")
        if self.workflow.HasField("failure_node"):
            message = "on-failure nodes are not supported yet"
            self._report(Code.NOT_SUPPORTED, self.workflow.failure_node.id, "", message)
        for node in self.workflow.nodes:
            self._declare(node)
        upstream = {
            node.id: self._bind(node)
            for node in self.workflow.nodes
            if node.id not in ("", START, END)
        }
        self._order(upstream)
        upstream[END] = self._ending(upstream)
        return upstream

    def outputs(self, node: str) -> core.VariableMap | None:
        """What a node gives; None for an unknown node."""
        if node == START:
            return self.workflow.interface.inputs
        if node not in self.interfaces:
            return None
        interface = self.interfaces[node]
        return interface.outputs if interface is not None else None

    def _report(self, code: Code, node: str, field: str, message: str) -> None:
        self.problems.append(Problem(code, node, field, message))

    def _declare(self, node: core.Node) -> None:
        if not node.id:
            self._report(Code.VALUE_REQUIRED, "", "nodes.id", "a node has no id")
            return
        if node.id in (START, END):
            self._report(Code.DUPLICATE_ID, node.id, "id", "this id is the engine's own")
        elif node.id in self.interfaces:
            self._report(Code.DUPLICATE_ID, node.id, "id", "more than one node has this id")
        self.interfaces[node.id] = self._interface(node)

    def _interface(self, node: core.Node) -> core.TypedInterface | None:
        kind = node.WhichOneof("target")
        if kind != "task_node":
            what = _LATER_KINDS.get(kind, str(kind))
            message = f"it is {what}, which is not supported yet: only task nodes are"
            self._report(Code.NOT_SUPPORTED, node.id, kind or "target", message)
            return None
        reference = node.task_node.reference_id
        entity = _task_of(reference)
        task = self.tasks.get(entity)
        if task is None:
            message = f"{entity} is not registered: register it first"
            self._report(Code.TASK_NOT_FOUND, node.id, "task_node.reference_id", message)
            return None
        self.used.add(entity)
        return task.interface

    def _bind(self, node: core.Node) -> tuple[str, ...]:
        interface = self.interfaces[node.id]
        check = BindingCheck(node.id, self.outputs, self.interfaces)
        if interface is not None:
            check.check(node.inputs, interface.inputs, "inputs")
            self.problems += check.problems
            parents = dict(check.upstream)
        else:
            found = (p for b in node.inputs for p in promises(b.binding))
            parents = {p.node_id: None for p in found if p.node_id in self.interfaces}
        for parent in node.upstream_node_ids:
            if parent != START and parent not in self.interfaces:
                message = f"it waits for node {parent!r}, which does not exist"
                self._report(Code.NODE_NOT_FOUND, node.id, "upstream_node_ids", message)
            else:
                parents[parent] = None
        return tuple(parents) or (START,)

    def _order(self, upstream: Mapping[str, Sequence[str]]) -> None:
        stuck = never_runnable(upstream)
        if not stuck:
            return
        on_cycle: set[str] = set()
        for cycle in cycles(upstream, stuck):
            on_cycle.update(cycle)
            way = " -> ".join([*cycle, cycle[0]])
            self._report(Code.CYCLE, cycle[0], "", f"nodes wait for each other: {way}")
        if rest := sorted(stuck - on_cycle):
            message = f"nodes can never run, they wait for a cycle: {', '.join(rest)}"
            self._report(Code.UNREACHABLE, rest[0], "", message)

    def _ending(self, upstream: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        """The end node waits for all nodes that nothing else waits for, so that no node outlives its run."""
        check = BindingCheck("", self.outputs, self.interfaces)
        check.check(self.workflow.outputs, self.workflow.interface.outputs, "outputs")
        self.problems += check.problems
        last = [node for node, children in downstream_of(upstream).items() if not children]
        return tuple(dict.fromkeys([*check.upstream, *last])) or (START,)


def _task_of(reference: core.Identifier) -> EntityId:
    """A task node's reference; some clients leave its resource type out."""
    if reference.resource_type == core.ResourceType.TASK:
        return entity_id(reference)
    r = reference
    return EntityId(EntityKind.TASK, r.project, r.domain, r.name, r.version)


def _node_id_from(task: str) -> str:
    """A node id that reads like the task's name: lower-case letters, digits and dashes."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")
    return cleaned[-_NODE_ID_LENGTH:].strip("-") or "task"


def _passed_on(node: str, name: str) -> core.Binding:
    reference = core.OutputReference(node_id=node, var=name)
    return core.Binding(var=name, binding=core.BindingData(promise=reference))


def _name_the_start(workflow: core.WorkflowTemplate) -> None:
    """Clients may call the start node by no name; inside it has one."""
    for bindings in [workflow.outputs, *(node.inputs for node in workflow.nodes)]:
        for binding in bindings:
            for reference in promises(binding.binding):
                if not reference.node_id:
                    reference.node_id = START
    for node in workflow.nodes:
        if "" in node.upstream_node_ids:
            named = [parent or START for parent in node.upstream_node_ids]
            node.upstream_node_ids[:] = named


def _add_ends(workflow: core.WorkflowTemplate) -> None:
    workflow.nodes.insert(0, core.Node(id=START))
    workflow.nodes.append(core.Node(id=END, inputs=workflow.outputs))


def _connect(connections: core.ConnectionSet, upstream: Mapping[str, Sequence[str]]) -> None:
    for node, parents in upstream.items():
        connections.upstream[node].ids.extend(parents)
    edges = downstream_of({START: (), **upstream})
    for node, children in edges.items():
        if children:
            connections.downstream[node].ids.extend(children)
