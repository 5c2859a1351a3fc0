"""Keep a run's indexes in step with its nodes, and derive them afresh at recovery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from flyte_jupyter.engine.core.persistent import Ordered, PersistentMap
from flyte_jupyter.engine.core.plan import NodeKind, NodePlan, Plan
from flyte_jupyter.engine.core.state import (
    HOLDS_SLOT,
    TERMINAL,
    BackingOff,
    Index,
    NodeState,
    Queued,
    Ready,
    Running,
    RunState,
    RunSummary,
)
from flyte_jupyter.idl.ids import Path


def node_at(plan: Plan, path: Path) -> NodePlan | None:
    """The plan's node at this place; None when the plan has none there."""
    return plan.nodes.get(str(path[0])) if len(path) == 1 else None


def rebuild(plan: Plan, summary: RunSummary, nodes: Mapping[Path, NodeState]) -> RunState:
    """A run as a step needs it, from rows alone: the indexes and counters follow from `nodes`."""
    index = Index(
        ready=Ordered((s.turn, p) for p, s in nodes.items() if isinstance(s, Ready)),
        naps=Ordered((s.until, p) for p, s in nodes.items() if isinstance(s, BackingOff)),
        deadlines=Ordered(
            (s.deadline, p)
            for p, s in nodes.items()
            if isinstance(s, Running) and s.deadline is not None
        ),
        losable=Ordered(p for p, s in nodes.items() if isinstance(s, Queued | Running)),
    )
    counted = replace(
        summary,
        open=sum(not isinstance(s, TERMINAL) for s in nodes.values()),
        active=sum(isinstance(s, HOLDS_SLOT) and _counts(plan, p) for p, s in nodes.items()),
        turns=max([summary.turns, *(turn + 1 for turn, _ in index.ready)]),
    )
    return RunState(counted, PersistentMap(nodes), index)


def _counts(plan: Plan, path: Path) -> bool:
    node = node_at(plan, path)
    return node is not None and node.kind is NodeKind.TASK


def next_wake(state: RunState) -> datetime | None:
    """When the run next needs a `Tick`; None when no time matters to it."""
    index = state.index
    if index is None:
        moments = [when for node in state.nodes.values() if (when := _moment(node)) is not None]
        return min(moments, default=None)
    heads = [entry[0] for entry in (index.naps.first, index.deadlines.first) if entry is not None]
    return min(heads, default=None)


def _moment(node: NodeState) -> datetime | None:
    if isinstance(node, BackingOff):
        return node.until
    return node.deadline if isinstance(node, Running) else None
