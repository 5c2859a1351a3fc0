"""Everything that can be said about one workflow, collected in one pass over its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from flyte_jupyter.engine.compiler.bindings import BindingCheck
from flyte_jupyter.engine.compiler.conditions import array_problems, branch_problems, gate_problems
from flyte_jupyter.engine.compiler.graph import cycles, downstream_of, never_runnable
from flyte_jupyter.engine.compiler.interfaces import (
    END,
    START,
    Interfaces,
    arms,
    launch_plan_interface,
    only,
    promises,
    with_arms,
)
from flyte_jupyter.engine.compiler.library import Library, own_nodes, reference
from flyte_jupyter.engine.compiler.problems import Code, Problem
from flyte_jupyter.idl import core, types
from flyte_jupyter.idl.ids import EntityId, EntityKind

_NOT_FOUND = {
    EntityKind.TASK: Code.TASK_NOT_FOUND,
    EntityKind.WORKFLOW: Code.WORKFLOW_NOT_FOUND,
    # Flyte has no code of its own for launch plans.
    EntityKind.LAUNCH_PLAN: Code.WORKFLOW_NOT_FOUND,
}

_LONGEST_ID = 200


class Checks:
    """Checks one workflow, which `prepared` has made ready, against a library."""

    def __init__(self, workflow: core.WorkflowTemplate, library: Library) -> None:
        self.workflow = workflow
        self.problems: list[Problem] = []
        self._library = library
        self._nodes = {node.id: node for node in with_arms(own_nodes(workflow))}
        self._visible: set[str] = {START, *(node.id for node in workflow.nodes)}
        self._interfaces = Interfaces(
            workflow.interface.inputs, self._nodes.values(), self._interface
        )

    def run(self) -> dict[str, tuple[str, ...]]:
        """All checks. Returns the upstream of every node, of arms and the end node too; the failure node has none."""
        if not self.workflow.nodes:
            self._report(Code.NO_NODES, "", "nodes", "the workflow has no nodes: call a task in it")
        self._declare()
        upstream = {
            node.id: self._parents(node)
            for node in self.workflow.nodes
            if node.id not in ("", START, END)
        }
        self._order(upstream)
        upstream[END] = self._ending(upstream)
        for node in self._nodes.values():
            for arm in arms(node) if node.WhichOneof("target") == "branch_node" else ():
                upstream[arm.id] = self._sources.get(arm.id, ())
        return upstream

    def _report(self, code: Code, node: str, field: str, message: str) -> None:
        self.problems.append(Problem(code, node, field, message))

    def _declare(self) -> None:
        """Ids, targets and bindings of every node; fills in where each gets its data from."""
        self._sources: dict[str, tuple[str, ...]] = {}
        seen: set[str] = set()
        for node in with_arms(own_nodes(self.workflow)):
            if not node.id:
                self._report(Code.VALUE_REQUIRED, "", "nodes.id", "a node has no id")
                continue
            if node.id in (START, END):
                self._report(Code.DUPLICATE_ID, node.id, "id", "this id is the engine's own")
                continue
            if node.id in seen:
                self._report(Code.DUPLICATE_ID, node.id, "id", "more than one node has this id")
            seen.add(node.id)
            if why := _unfit(node.id):
                self._report(Code.INVALID_VALUE, node.id, "id", why)
            self._target(node)
            self._aliases(node)
            self._sources[node.id] = self._bind(node)

    def _target(self, node: core.Node) -> None:
        """What is wrong with what the node is, apart from what it is given."""
        match node.WhichOneof("target"):
            case "branch_node":
                self._branch(node)
            case "gate_node":
                self.problems += gate_problems(node)
            case "array_node":
                self.problems += array_problems(node)
                self._refers(node, node.array_node.node)
            case "task_node" | "workflow_node":
                self._refers(node, node)
            case _:
                self._report(Code.VALUE_REQUIRED, node.id, "target", "the node has nothing to run")

    def _aliases(self, node: core.Node) -> None:
        given = self._interfaces.outputs(node.id) if node.output_aliases else None
        seen: set[str] = set()
        for alias in node.output_aliases:
            if alias.var in seen:
                message = f"output {alias.var!r} has more than one other name"
                self._report(Code.DUPLICATE_ALIAS, node.id, "output_aliases", message)
            elif given is not None and alias.var not in given.variables:
                message = f"there is no output {alias.var!r} to call {alias.alias!r}"
                self._report(Code.PARAMETER_NOT_BOUND, node.id, "output_aliases", message)
            seen.add(alias.var)

    def _refers(self, node: core.Node, inner: core.Node) -> None:
        entity = reference(inner)
        if entity is None:
            field = f"{node.WhichOneof('target')}.reference"
            if inner.WhichOneof("target") == "workflow_node":
                self._report(Code.VALUE_REQUIRED, node.id, field, "it names nothing to run")
            return
        if entity not in self._library:
            field = f"{inner.WhichOneof('target')}.reference"
            message = f"{entity} is not registered: register it first"
            self._report(_NOT_FOUND[entity.kind], node.id, field, message)
        if inner is node and entity.kind is EntityKind.LAUNCH_PLAN:
            self._fixed(node, entity)

    def _fixed(self, node: core.Node, entity: EntityId) -> None:
        plan = self._library.launch_plans.get(entity)
        for binding in node.inputs if plan is not None else ():
            if plan is not None and binding.var in plan.fixed.literals:
                message = f"{entity} fixes this input: it cannot be given"
                self._report(Code.INVALID_VALUE, node.id, f"inputs.{binding.var}", message)

    def _branch(self, node: core.Node) -> None:
        interface = self._interfaces.of(node.id)
        inputs = interface.inputs.variables if interface is not None else {}
        self.problems += branch_problems(
            node, lambda name: inputs[name].type if name in inputs else None
        )
        shared = interface.outputs.variables if interface is not None else {}
        for arm in arms(node):
            given = self._interfaces.outputs(arm.id) or core.VariableMap()
            for name in sorted(set(shared) & set(given.variables)):
                self._alike(arm.id, name, given.variables[name].type, shared[name].type)

    def _alike(self, arm: str, name: str, kind: core.LiteralType, first: core.LiteralType) -> None:
        if not (types.castable(kind, first) and types.castable(first, kind)):
            message = f"it gives {types.describe(kind)}, another case gives {types.describe(first)}"
            self._report(Code.MISMATCHING_TYPES, arm, f"outputs.{name}", message)

    def _interface(self, node: core.Node) -> core.TypedInterface | None:
        """The interface of what a node names, as the library has it."""
        entity = reference(node)
        if entity is None or entity not in self._library:
            return None
        match entity.kind:
            case EntityKind.TASK:
                return self._library.tasks[entity].interface
            case EntityKind.WORKFLOW:
                return self._library.workflows[entity].interface
            case _:
                plan = self._library.launch_plans[entity]
                return launch_plan_interface(plan.inputs, plan.outputs)

    def _bind(self, node: core.Node) -> tuple[str, ...]:
        """Check the node's bindings; where its data comes from, and what it waits for besides."""
        check = BindingCheck(node.id, self._interfaces.outputs, self._visible)
        interface = self._interfaces.of(node.id)
        which = node.WhichOneof("target")
        if interface is None or which == "branch_node" or node.gate_node.HasField("approve"):
            check.take(node.inputs)
        else:
            check.check(node.inputs, self._wanted(node, interface), "inputs")
        self.problems += check.problems
        parents = dict(check.upstream)
        for parent in node.upstream_node_ids:
            if parent in self._visible:
                parents[parent] = None
            else:
                message = f"it waits for node {parent!r}, which does not exist"
                self._report(Code.NODE_NOT_FOUND, node.id, "upstream_node_ids", message)
        return tuple(parents)

    def _wanted(self, node: core.Node, interface: core.TypedInterface) -> core.VariableMap:
        """What must be given. A launch plan has values of its own for what is not bound, unless it requires it."""
        array = node.HasField("array_node")
        entity = reference(node.array_node.node if array else node)
        if entity is None or entity.kind is not EntityKind.LAUNCH_PLAN:
            return interface.inputs
        plan = self._library.launch_plans[entity]
        required = (n for n, p in plan.inputs.parameters.items() if p.required)
        return only(interface.inputs, dict.fromkeys([*required, *(b.var for b in node.inputs)]))

    def _parents(self, node: core.Node) -> tuple[str, ...]:
        """What a node waits for: a branch also for what any of its arms takes from the graph around it."""
        found = dict.fromkeys(self._sources.get(node.id, ()))
        if node.WhichOneof("target") == "branch_node":
            for inner in with_arms(arms(node)):
                found.update(dict.fromkeys(self._sources.get(inner.id, ())))
        return tuple(found) or (START,)

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
        check = BindingCheck("", self._interfaces.outputs, self._visible)
        check.check(self.workflow.outputs, self.workflow.interface.outputs, "outputs")
        self.problems += check.problems
        last = [node for node, children in downstream_of(upstream).items() if not children]
        return tuple(dict.fromkeys([*check.upstream, *last])) or (START,)


def prepared(template: core.WorkflowTemplate) -> core.WorkflowTemplate:
    """A copy of a workflow in the engine's words: as `Checks` takes it.

    The start node has its name everywhere, arms are called ``<branch>-<arm>`` (as in Flyte, so that they are unique), outputs by
    their own names and not by aliases, and start and end nodes that an earlier compilation added are gone.
    """
    workflow = core.WorkflowTemplate()
    workflow.CopyFrom(template)
    for index in range(len(workflow.nodes) - 1, -1, -1):
        node = workflow.nodes[index]
        if node.id in (START, END) and node.WhichOneof("target") is None:
            del workflow.nodes[index]
    aliases: dict[tuple[str, str], str] = {}
    for node in with_arms(own_nodes(workflow)):
        for arm in arms(node):
            arm.id = f"{node.id}-{arm.id}" if arm.id else ""
        node.upstream_node_ids[:] = sorted(parent or START for parent in node.upstream_node_ids)
        if node.WhichOneof("target") == "array_node":
            node.array_node.bound_inputs[:] = sorted(node.array_node.bound_inputs)
        aliases.update({(node.id, alias.alias): alias.var for alias in node.output_aliases})
    for promise in _all_promises(workflow):
        promise.node_id = promise.node_id or START
        promise.var = aliases.get((promise.node_id, promise.var), promise.var)
    return workflow


def _unfit(node: str) -> str | None:
    """Why a node cannot have this id: attempts keep their files in folders that are called like it."""
    if len(node.encode()) > _LONGEST_ID:
        return f"an id has at most {_LONGEST_ID} bytes"
    if node in (".", "..") or any(sign in "/\\" or not sign.isprintable() for sign in node):
        return "an id names a folder: it has no slashes and nothing that does not print"
    if node.endswith((".pb", ".html")):
        return "an id names a folder, and beside it stand files like outputs.pb and deck.html: it does not end like them"
    return None


def _all_promises(workflow: core.WorkflowTemplate) -> Iterator[core.OutputReference]:
    nodes = with_arms(own_nodes(workflow))
    for bindings in [workflow.outputs, *(node.inputs for node in nodes)]:
        for binding in bindings:
            yield from promises(binding.binding)
