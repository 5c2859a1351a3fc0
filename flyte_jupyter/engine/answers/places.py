"""Where a node stands: its plan, what was written about it, and whose outputs it can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers.alike import Alike, Called
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.core.index import node_at
from flyte_jupyter.engine.core.plan import START, NodeKind, NodePlan, Plan
from flyte_jupyter.engine.core.scopes import Walk
from flyte_jupyter.engine.core.state import Failure, Kept, RunState, Scope, Succeeded
from flyte_jupyter.engine.program import Template
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.ids import AttemptId, Path

Nodes = Mapping[Path, Kept]


MOST = 1024
"""How many of a run's places are remembered: each is asked for a few times, mostly within a second."""


@dataclass(slots=True)
class Place:
    """One node, or one item of an array node. `plan` is then the item's, `name` the array's id. What it is never changes."""

    path: Path
    name: str
    plan: NodePlan
    graph: Plan
    template: Template
    _alike: Alike
    _called: Called | None = None

    @property
    def node(self) -> core.Node:
        """What was written."""
        return self.template.nodes[self.name]

    @property
    def index(self) -> int | None:
        """Which element an item is for; None for a node."""
        last = self.path[-1]
        return last if isinstance(last, int) else None

    @property
    def owner(self) -> Path:
        """Of an item: its array node."""
        return self.path[:-1]

    @property
    def called(self) -> Called:
        """The task that it runs, as it calls it."""
        if self._called is None:
            item = self.index is not None
            self._called = self._alike.called(self.template, self.name, item=item)
        return self._called

    @property
    def task(self) -> core.TaskTemplate:
        """The task that it runs."""
        return self.called.task

    @property
    def inputs(self) -> core.VariableMap:
        """The types of what it takes."""
        if self.index is not None:
            return self.template.item_inputs_of(self.name)
        return self.template.inputs_of(self.name)

    @property
    def outputs(self) -> core.VariableMap:
        """The types of what it gives."""
        if self.index is not None:
            return self.template.item_outputs_of(self.name)
        return self.template.outputs_of(self.name)

    @property
    def is_failure_node(self) -> bool:
        """Whether it runs because its graph has failed."""
        failure = self.graph.failure_node
        return failure is not None and failure.id == self.name


def place_of(run: RunContext, path: Path, nodes: Nodes) -> Place:
    """The place of a node or item that the run has."""
    found = run.places.get(path)
    if found is None:
        if len(run.places) >= MOST:
            run.places.popitem(last=False)
        found = run.places[path] = _place_of(run, path, nodes)
    return found


def _place_of(run: RunContext, path: Path, nodes: Nodes) -> Place:
    of_node = path[:-1] if isinstance(path[-1], int) else path
    scope = of_node[:-1]
    graph = Walk(run.plans, nodes.get).graph(scope) if scope else run.plans.root
    assert graph is not None, f"{run.id} has no graph at {of_node[:-1]}"
    name = str(of_node[-1])
    node = graph.node(name)
    plan = node if node is None or of_node is path else node.item
    assert plan is not None, f"{run.id} has no node at {path}"
    return Place(path, name, plan, graph, run.template(graph.template), run.alike)


def handles_failure(run: RunContext, path: Path, nodes: Nodes) -> bool:
    """Whether the node runs because a graph has failed: it is a failure node, or stands inside of one."""
    walk = Walk(run.plans, nodes.get)
    for end, name in enumerate(path):
        graph = walk.graph(path[:end]) if isinstance(name, str) else None
        if graph is not None and graph.failure_node is not None and graph.failure_node.id == name:
            return True
    return False


def visible_scope(run: RunContext, path: Path, nodes: Nodes) -> Path:
    """The scope whose nodes this node's promises name: an arm reads the graph that its branch stands in."""
    scope = path[:-1]
    while scope:
        owner = node_at(run.plans, nodes, scope[:-1])
        if owner is None or owner.kind is not NodeKind.BRANCH:
            return scope
        scope = scope[:-2]
    return scope


def outputs_at(root: str, run: RunContext, path: Path, nodes: Nodes) -> str:
    """Where the outputs of a node stand; ``""`` when it has none to give. Raises `BindingError`."""
    if path[-1] == START:
        owner = path[:-2]
        return layout.inputs_uri(root, run.id, owner) if owner else run.inputs
    state = nodes.get(path)
    if not isinstance(state, Succeeded):
        raise literals.BindingError(f"node {path[-1]} has no outputs")
    return state.outputs or layout.outputs_uri(root, AttemptId(run.id, path, state.attempt))


def failure_of(state: RunState, scope: Path) -> tuple[Failure | None, str]:
    """Why a graph has failed, and which of its nodes did."""
    if not scope:
        return state.summary.failure, state.summary.failed_node
    kept = state.nodes.get(scope)
    return (kept.failure, kept.failed_node) if isinstance(kept, Scope) else (None, "")
