"""One workflow of a compiled closure, as the shell asks for it: bindings, tasks and types by node id. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flyte_jupyter.engine.compiler.interfaces import Interfaces, item_interface, only, with_arms
from flyte_jupyter.engine.core.plan import END, START
from flyte_jupyter.engine.overriding import with_overrides
from flyte_jupyter.idl import core, digests

Name = tuple[str, str, str, str]
"""Project, domain, name and version."""


@dataclass(frozen=True, slots=True)
class Template:
    """One workflow of a closure. `nodes` has the arms of branches, however deep, and the failure node too."""

    key: str
    """What `Plan.template` calls it: ``""`` for a closure's primary workflow, else ``project/domain/name@version``;
    the workflows of what a dynamic task made have ``<digest>:`` before that."""
    workflow: core.Identifier
    inputs: core.VariableMap
    """The workflow's inputs: what its start node gives."""
    outputs: core.VariableMap
    nodes: Mapping[str, core.Node]
    _closure: Closure
    _interfaces: Interfaces
    _tasks: dict[str, core.TaskTemplate | None] = field(default_factory=dict)
    """Those that were asked for: each node's attempts ask a few times. `_asked`, `_inputs` and `_outputs`: likewise."""
    _asked: dict[str, core.TaskTemplate | None] = field(default_factory=dict)
    _inputs: dict[str, core.VariableMap] = field(default_factory=dict)
    _outputs: dict[str, core.VariableMap] = field(default_factory=dict)

    def task(self, node: str) -> core.TaskTemplate | None:
        """The task that a node runs, or an array node for each element; None when it runs something else."""
        if node not in self._tasks:
            self._tasks[node] = self._closure.task(_runs(self.nodes[node]))
        return self._tasks[node]

    def asked_of(self, node: str) -> core.TaskTemplate | None:
        """The same task as the node asks for it, with its overrides."""
        if node not in self._asked:
            task, overrides = self.task(node), _runs(self.nodes[node]).task_node.overrides
            self._asked[node] = None if task is None else with_overrides(task, overrides)
        return self._asked[node]

    def launch_plan(self, node: str) -> core.LaunchPlanTemplate | None:
        """The launch plan that a node launches, or an array node for each element; None when it runs something else."""
        return self._closure.launch_plan(_runs(self.nodes[node]))

    def sub_workflow(self, node: str) -> core.Identifier | None:
        """The workflow whose graph stands inside the node."""
        target = self.nodes[node].workflow_node
        return target.sub_workflow_ref if target.HasField("sub_workflow_ref") else None

    def outputs_of(self, node: str) -> core.VariableMap:
        """The types of what a node gives; an array node gives lists."""
        if node not in self._outputs:
            self._outputs[node] = self._outputs_of(node)
        return self._outputs[node]

    def _outputs_of(self, node: str) -> core.VariableMap:
        if node == START:
            return self.inputs
        interface = self._interfaces.of(node)
        return core.VariableMap() if interface is None else interface.outputs

    def inputs_of(self, node: str) -> core.VariableMap:
        """The types of what a node takes; the end node takes the workflow's outputs.

        Of a launch plan those that are bound: it has its own defaults for others.
        """
        if node not in self._inputs:
            self._inputs[node] = self._inputs_of(node)
        return self._inputs[node]

    def _inputs_of(self, node: str) -> core.VariableMap:
        if node == END:
            return self.outputs
        interface = self._interfaces.of(node)
        if interface is None:
            return core.VariableMap()
        if self.launch_plan(node) is not None:
            return only(interface.inputs, (b.var for b in self.nodes[node].inputs))
        return interface.inputs

    def item_inputs_of(self, node: str) -> core.VariableMap:
        """The types of what an array node's items take: single values, the bound inputs as they are."""
        item = self._item(node).inputs
        if self.launch_plan(node) is not None:
            return only(item, (b.var for b in self.nodes[node].inputs))
        return item

    def item_outputs_of(self, node: str) -> core.VariableMap:
        """The types of what an array node's items give."""
        return self._item(node).outputs

    def interface_digest(self, node: str) -> str:
        """The digest of the interface of a node's task (an item's as one element sees it), for cache keys."""
        which = self.nodes[node]
        if which.HasField("array_node"):
            return digests.interface_digest(self._item(node))
        return digests.interface_digest(self._interfaces.of(node) or core.TypedInterface())

    def _item(self, node: str) -> core.TypedInterface:
        array = self.nodes[node].array_node
        target = self._closure.interface(array.node)
        return item_interface(target or core.TypedInterface(), array)


class Closure:
    """A compiled closure by the names of what is in it."""

    def __init__(self, closure: core.CompiledWorkflowClosure) -> None:
        self.message = closure
        self._tasks = {name_of(t.template.id): t.template for t in closure.tasks}
        self._plans = {name_of(p.template.id): p.template for p in closure.launch_plans}
        self.workflows = {name_of(w.template.id): w for w in closure.sub_workflows}

    def task(self, node: core.Node) -> core.TaskTemplate | None:
        """The task that a task node names."""
        if not node.HasField("task_node"):
            return None
        return self._tasks[name_of(node.task_node.reference_id)]

    def launch_plan(self, node: core.Node) -> core.LaunchPlanTemplate | None:
        """The launch plan that a node names."""
        if not node.workflow_node.HasField("launchplan_ref"):
            return None
        return self._plans[name_of(node.workflow_node.launchplan_ref)]

    def workflow(self, node: core.Node) -> core.CompiledWorkflow | None:
        """The sub-workflow that a node names."""
        if not node.workflow_node.HasField("sub_workflow_ref"):
            return None
        return self.workflows[name_of(node.workflow_node.sub_workflow_ref)]

    def interface(self, node: core.Node) -> core.TypedInterface | None:
        """The interface of what a node names."""
        if task := self.task(node):
            return task.interface
        if plan := self.launch_plan(node):
            return plan.interface
        workflow = self.workflow(node)
        return workflow.template.interface if workflow else None

    def templates(self, prefix: str = "") -> dict[str, Template]:
        """All workflows of the closure by key."""
        found = {prefix: self._template(prefix, self.message.primary.template)}
        for workflow in self.message.sub_workflows:
            key = prefix + workflow_key(workflow.template.id)
            found[key] = self._template(key, workflow.template)
        return found

    def _template(self, key: str, workflow: core.WorkflowTemplate) -> Template:
        failure = [workflow.failure_node] if workflow.HasField("failure_node") else []
        nodes = {node.id: node for node in with_arms([*workflow.nodes, *failure])}
        interface = workflow.interface
        return Template(
            key=key,
            workflow=workflow.id,
            inputs=interface.inputs,
            outputs=interface.outputs,
            nodes=nodes,
            _closure=self,
            _interfaces=Interfaces(interface.inputs, nodes.values(), self.interface),
        )


def _runs(node: core.Node) -> core.Node:
    return node.array_node.node if node.HasField("array_node") else node


def name_of(entity: core.Identifier) -> Name:
    """An entity's name without its kind: clients do not always give that."""
    return entity.project, entity.domain, entity.name, entity.version


def workflow_key(workflow: core.Identifier) -> str:
    """What plans call a sub-workflow: ``project/domain/name@version``."""
    return f"{workflow.project}/{workflow.domain}/{workflow.name}@{workflow.version}"
