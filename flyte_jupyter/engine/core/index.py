"""Keep a run's indexes in step with its nodes, and derive them afresh at recovery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from flyte_jupyter.engine.core import policy
from flyte_jupyter.engine.core.persistent import Ordered, PersistentMap
from flyte_jupyter.engine.core.plan import LEAVES, NodeKind, NodePlan, Plan, Plans
from flyte_jupyter.engine.core.scopes import Walk, graph_at, node_at, plans_of, state_at
from flyte_jupyter.engine.core.state import (
    HOLDS_SLOT,
    OPENING,
    TERMINAL,
    BackingOff,
    Index,
    Kept,
    Launching,
    Mapped,
    Nested,
    NodeState,
    Probing,
    Queued,
    Ready,
    Reserved,
    Running,
    RunState,
    RunSummary,
    Scope,
    Waiting,
)
from flyte_jupyter.idl.ids import Path

__all__ = ["graph_at", "marks", "next_wake", "node_at", "rebuild", "state_at"]

ENDED = frozenset(TERMINAL)
HOLDING = frozenset(HOLDS_SLOT)
STARTING = frozenset(OPENING)
MARKED = frozenset((Ready, BackingOff, Reserved, Queued, Running, Waiting, Mapped, Nested))
"""States that may stand in an index whatever their node."""
TIMED = frozenset((Probing, Launching)) | MARKED
"""States that stand in an index when their node has a time limit."""


_LOSABLE = (Queued, Running)


class Marks(NamedTuple):
    """A node's entries in the indexes, each None where it has none."""

    ready: tuple[int, Path] | None = None
    nap: tuple[datetime, Path] | None = None
    deadline: tuple[datetime, Path] | None = None
    losable: Path | None = None
    gate: tuple[str, Path] | None = None


UNMARKED = Marks()


def marks(path: Path, node: NodePlan, state: Kept | None) -> Marks:
    """The entries of a node in this state."""
    of = type(state)
    if of not in (MARKED if node.node_timeout is None else TIMED):
        return UNMARKED
    if of is Ready and node.node_timeout is None:
        assert isinstance(state, Ready)
        return Marks((state.turn, path))
    ready = nap = gate = losable = None
    if isinstance(state, _LOSABLE):
        losable = path if node.kind is NodeKind.TASK else None
    elif isinstance(state, Ready) or (isinstance(state, Mapped) and state.turn >= 0):
        ready = (state.turn, path)
    elif isinstance(state, BackingOff | Reserved):
        nap = (state.until, path)
    elif isinstance(state, Waiting):
        nap = None if state.until is None else (state.until, path)
        gate = (node.gate.signal, path) if state.until is None else None
    assert state is not None
    assert not isinstance(state, Scope)
    when = policy.must_end(node, state)
    return Marks(ready, nap, None if when is None else (when, path), losable, gate)


def rebuild(plans: Plans | Plan, summary: RunSummary, nodes: Mapping[Path, Kept]) -> RunState:
    """A run as a step needs it, from rows alone: indexes, slots and turns follow from `nodes`."""
    walk = Walk(plans_of(plans), nodes.get)
    found: list[Marks] = []
    active, opening, turns = 0, 0, summary.turns
    for path, state in nodes.items():
        of = type(state)
        holds = of in HOLDING
        if not holds and of not in TIMED:
            continue
        node = walk.node(path)
        if node is None:
            continue
        leaf = node.kind in LEAVES
        active += holds and leaf
        opening += leaf and of in STARTING
        marked = marks(path, node, state)
        if marked is not UNMARKED:
            found.append(marked)
        if marked.ready is not None:
            turns = max(turns, marked.ready[0] + 1)
    index = Index(
        ready=Ordered(each.ready for each in found if each.ready is not None),
        naps=Ordered(each.nap for each in found if each.nap is not None),
        deadlines=Ordered(each.deadline for each in found if each.deadline is not None),
        losable=Ordered(each.losable for each in found if each.losable is not None),
        gates=Ordered(each.gate for each in found if each.gate is not None),
    )
    if (active, opening, turns) != (summary.active, summary.opening, summary.turns):
        summary = replace(summary, active=active, opening=opening, turns=turns)
    return RunState(summary, PersistentMap(nodes), index)


def next_wake(state: RunState) -> datetime | None:
    """When the run next needs a `Tick`; None when no time matters to it.

    Without its indexes only what the states themselves say is known: `rebuild` first where nodes have time limits.
    """
    index = state.index
    if index is None:
        moments = [when for node in state.nodes.values() if (when := _moment(node)) is not None]
    else:
        moments = [
            each[0] for each in (index.naps.first, index.deadlines.first) if each is not None
        ]
    if (limit := state.summary.deadline) is not None:
        moments.append(limit)
    return min(moments, default=None)


def _moment(node: NodeState | Scope) -> datetime | None:
    if isinstance(node, BackingOff | Reserved):
        return node.until
    if isinstance(node, Waiting):
        return min((each for each in (node.until, node.deadline) if each), default=None)
    return node.deadline if isinstance(node, Running) else None
