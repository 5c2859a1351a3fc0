"""The graph of a workflow: nodes, and where each input comes from."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.authoring.errors import AuthoringError
from flyte_jupyter.kernel.authoring.policies import TaskPolicy

if TYPE_CHECKING:
    from flyte_jupyter.kernel.authoring.map_tasks import MapTask
    from flyte_jupyter.kernel.authoring.tasks import Task

START = "start-node"
END = "end-node"
_NODE_ID = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class FromNode:
    """An output of another node; of the workflow's inputs when `node` is `START`."""

    node: str
    output: str


@dataclass(frozen=True)
class Constant:
    """A value written in the workflow's body."""

    value: Any
    literal: core.Literal = field(compare=False, repr=False)


@dataclass(frozen=True)
class ListOf:
    """A list some of whose items come from nodes."""

    items: tuple[Binding, ...]


@dataclass(frozen=True)
class DictOf:
    """A dictionary some of whose values come from nodes."""

    items: Mapping[str, Binding]


Binding = FromNode | Constant | ListOf | DictOf


@dataclass(frozen=True)
class Node:
    """One call of a task inside a workflow. `upstream` holds all nodes that must succeed before it, in order."""

    id: str
    name: str
    task: Task | MapTask
    bindings: Mapping[str, Binding]
    upstream: tuple[str, ...]
    policy: TaskPolicy
    """The task's own policy with the node's overrides."""
    overridden: frozenset[str] = frozenset()
    """Names of the policy's fields that the node overrides."""

    @property
    def target(self) -> Task:
        """The task that is registered for it: a map task's items are attempts at this."""
        task: Any = self.task
        found: Task = getattr(task, "target", task)
        return found


@dataclass(frozen=True)
class Graph:
    """A workflow's nodes, each after those it depends on, and where the workflow's outputs come from."""

    nodes: tuple[Node, ...]
    outputs: Mapping[str, Binding]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that the nodes call, each once, in the order of their first call."""
        return tuple({id(node.target): node.target for node in self.nodes}.values())


def sources(binding: Binding) -> Iterator[str]:
    """Ids of the nodes that a binding takes outputs from, without the start node."""
    match binding:
        case FromNode(node):
            if node != START:
                yield node
        case ListOf(items):
            for item in items:
                yield from sources(item)
        case DictOf(keyed):
            for item in keyed.values():
                yield from sources(item)


def check_node_id(node_id: str) -> str:
    """The id, if Kubernetes and Flyte take it for a node.

    Raises:
        AuthoringError: they would not.
    """
    if not _NODE_ID.fullmatch(node_id) or node_id in (START, END):
        raise AuthoringError(
            f"node_name={node_id!r}: use lower case letters, digits and '-', beginning with a letter, at most 63"
        )
    return node_id


def in_order(nodes: list[Node]) -> tuple[Node, ...]:
    """The nodes, each after its upstream ones, else as they were written.

    Raises:
        AuthoringError: two nodes have one id, or nodes wait for each other.
    """
    by_id: dict[str, Node] = {}
    for node in nodes:
        if node.id in by_id:
            raise AuthoringError(f"two nodes are called {node.id}: give one another node_name")
        by_id[node.id] = node
    place = {node.id: index for index, node in enumerate(nodes)}
    waiting = {node.id: set(node.upstream) for node in nodes}
    downstream: dict[str, list[str]] = {node.id: [] for node in nodes}
    for node in nodes:
        for parent in node.upstream:
            downstream[parent].append(node.id)
    ready = [place[node.id] for node in nodes if not waiting[node.id]]
    ordered: list[Node] = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        ordered.append(node)
        for child in downstream[node.id]:
            waiting[child].discard(node.id)
            if not waiting[child]:
                heapq.heappush(ready, place[child])
    if len(ordered) < len(nodes):
        done = {node.id for node in ordered}
        stuck = ", ".join(node.id for node in nodes if node.id not in done)
        raise AuthoringError(f"these nodes wait for each other: {stuck}; remove one of the >>")
    return tuple(ordered)
