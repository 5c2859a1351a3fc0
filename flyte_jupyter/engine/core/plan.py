"""The compiled graph as the machine sees it: immutable, indexed, free of protobuf.

A graph may stand inside a node: a sub-workflow's body, the arms of a branch. What a dynamic task makes at run time is another
`Plan`, found by its digest among a run's `Plans`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from flyte_jupyter.idl.ratios import least_of

START = "start-node"
END = "end-node"


class OnFailure(StrEnum):
    """What a first failed node does to the rest of its workflow (Flyte: ``WorkflowMetadata.OnFailurePolicy``)."""

    FAIL_FAST = "fail_immediately"
    FINISH_RUNNABLE = "fail_after_executable_nodes_complete"


class NodeKind(StrEnum):
    """What a node is. The start node's outputs are its workflow's inputs, the end node's inputs its outputs."""

    START = "start"
    TASK = "task"
    """Runs attempts; a dynamic task turns into a graph of its own when its attempt leaves one."""
    END = "end"
    WORKFLOW = "workflow"
    """A sub-workflow: its `body` runs inside this run."""
    LAUNCH_PLAN = "launch_plan"
    """A child execution; its attempts are executions."""
    BRANCH = "branch"
    """One node of its `body` is chosen, the others are skipped."""
    ARRAY = "array"
    """Its `item` once for each element of its inputs."""
    GATE = "gate"
    """Waits: for a time, or for a person."""


LEAVES = (NodeKind.TASK, NodeKind.LAUNCH_PLAN)
"""Kinds that have attempts, and so take up parallelism."""


@dataclass(frozen=True, slots=True)
class CachePlan:
    """That a node's outputs may be remembered, and under which version."""

    version: str
    ignored_inputs: tuple[str, ...] = ()
    serialize: bool = False
    """Whether equal computations wait for one another (Flyte: ``cache_serializable``)."""


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """How many items at once, and how many must succeed."""

    concurrency: int | None = None
    """None: as many as the run allows; 0: no limit of its own (Flyte's ``parallelism``)."""
    min_successes: int | None = None
    min_success_ratio: float | None = None
    """Neither: every item must succeed."""

    def least(self, size: int) -> int:
        """How many of `size` items must succeed."""
        if self.min_successes is not None:
            return self.min_successes
        if self.min_success_ratio is not None:
            return least_of(self.min_success_ratio, size)
        return size


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What a gate waits for: `sleep`, or the signal of this name."""

    signal: str = ""
    sleep: timedelta | None = None


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: its place in the graph and its policies."""

    id: str
    kind: NodeKind
    upstream: tuple[str, ...] = ()
    cache: CachePlan | None = None
    retries: int = 0
    """How many more attempts a retryable failure of the user's code is worth."""
    system_retries: int = 3
    """How many more attempts failures of the system are worth, counted apart from the user's."""
    backoff: timedelta = timedelta(0)
    """How long the first retry of the user's failures waits; doubled for each further one."""
    system_backoff: timedelta = timedelta(0)
    """The same for failures of the system."""
    timeout: timedelta | None = None
    """How long one attempt may run, from the moment it started."""
    node_timeout: timedelta | None = None
    """How long the node may take with all its attempts, from the moment it was first queued."""
    queueing: timedelta | None = None
    """How long an attempt may wait for its start, from the moment its executor has it."""
    interruptible: bool = False
    task_type: str = ""
    task_name: str = ""
    body: Plan | None = None
    """Of a WORKFLOW its graph; of a BRANCH its arms, which depend on nothing."""
    item: NodePlan | None = None
    """Of an ARRAY: what runs for each element, a TASK or a LAUNCH_PLAN. It has the array's id."""
    array: ArrayPlan = ArrayPlan()
    gate: GatePlan = GatePlan()

    def at(self, name: str, upstream: tuple[str, ...]) -> NodePlan:
        """A node of this name and place that is as this one in all else."""
        # A large graph has many: `dataclasses.replace` takes three times as long.
        return NodePlan(
            name,
            self.kind,
            upstream,
            self.cache,
            self.retries,
            self.system_retries,
            self.backoff,
            self.system_backoff,
            self.timeout,
            self.node_timeout,
            self.queueing,
            self.interruptible,
            self.task_type,
            self.task_name,
            self.body,
            self.item,
            self.array,
            self.gate,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole graph. Equal graphs have equal digests, so many runs share one plan."""

    digest: str
    nodes: Mapping[str, NodePlan]
    on_failure: OnFailure = OnFailure.FAIL_FAST
    template: str = ""
    """Which workflow of the closure it is: the shell finds bindings and tasks by it and a node's id."""
    failure_node: NodePlan | None = None
    """Runs when the workflow has failed and nothing of it runs any more."""
    downstream: Mapping[str, tuple[str, ...]] = field(init=False)
    """Who waits for a node, of those that somebody waits for."""
    roots: tuple[str, ...] = field(init=False)
    """Nodes that wait for nothing, the start node among them."""

    def __post_init__(self) -> None:
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for parent in node.upstream:
                found.setdefault(parent, []).append(node.id)
        downstream = {parent: tuple(children) for parent, children in found.items()}
        object.__setattr__(self, "downstream", downstream)
        roots = tuple(node.id for node in self.nodes.values() if not node.upstream)
        object.__setattr__(self, "roots", roots)

    def node(self, name: str) -> NodePlan | None:
        """The node of this name, the failure node included."""
        found = self.nodes.get(name)
        if found is None and self.failure_node is not None and self.failure_node.id == name:
            return self.failure_node
        return found

    def inner(self) -> Iterator[Plan]:
        """This plan and every plan inside it."""
        yield self
        for node in [*self.nodes.values(), *filter(None, [self.failure_node])]:
            if node.body is not None:
                yield from node.body.inner()


@dataclass(frozen=True, slots=True)
class Plans:
    """All graphs of one run: the one it began with, and those that its dynamic tasks made, by digest."""

    root: Plan
    expansions: Mapping[str, Plan] = field(default_factory=dict)
