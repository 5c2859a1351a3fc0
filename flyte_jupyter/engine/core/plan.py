"""The compiled graph as the machine sees it: immutable, indexed, free of protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

START = "start-node"
END = "end-node"


class OnFailure(StrEnum):
    """What a first failed node does to the rest of the run (Flyte: ``WorkflowMetadata.OnFailurePolicy``)."""

    FAIL_FAST = "fail_immediately"
    FINISH_RUNNABLE = "fail_after_executable_nodes_complete"


class NodeKind(StrEnum):
    """What a node is. The start node's outputs are the run's inputs, the end node's inputs its outputs."""

    START = "start"
    TASK = "task"
    END = "end"


@dataclass(frozen=True, slots=True)
class CachePlan:
    """That a node's outputs may be remembered, and under which version."""

    version: str
    ignored_inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: its place in the graph and its policies. Times are per attempt."""

    id: str
    kind: NodeKind
    upstream: tuple[str, ...] = ()
    cache: CachePlan | None = None
    retries: int = 0
    """How many more attempts a retryable failure of the user's code is worth."""
    system_retries: int = 3
    """How many more attempts failures of the system are worth, counted apart from the user's."""
    backoff: timedelta = timedelta(0)
    timeout: timedelta | None = None
    """How long one attempt may run, from the moment it started."""
    task_type: str = ""
    task_name: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole graph. Equal graphs have equal digests, so many runs share one plan."""

    digest: str
    nodes: Mapping[str, NodePlan]
    on_failure: OnFailure = OnFailure.FAIL_FAST
    downstream: Mapping[str, tuple[str, ...]] = field(init=False)
    roots: tuple[str, ...] = field(init=False)
    """Nodes that wait for nothing, the start node among them."""

    def __post_init__(self) -> None:
        downstream: dict[str, list[str]] = {node: [] for node in self.nodes}
        for node in self.nodes.values():
            for parent in node.upstream:
                downstream[parent].append(node.id)
        object.__setattr__(self, "downstream", {k: tuple(v) for k, v in downstream.items()})
        roots = tuple(node.id for node in self.nodes.values() if not node.upstream)
        object.__setattr__(self, "roots", roots)
