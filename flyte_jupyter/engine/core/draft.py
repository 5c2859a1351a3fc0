"""A run being changed: a thin overlay over the state before, with the one place where a node's state changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from flyte_jupyter.engine.core.actions import Action
from flyte_jupyter.engine.core.index import node_at, rebuild
from flyte_jupyter.engine.core.persistent import Ordered, PersistentMap
from flyte_jupyter.engine.core.plan import NodeKind, Plan
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
)
from flyte_jupyter.idl.ids import Path


class Draft:
    """Used by one step or fold and then thrown away. The state it began from stays as it was."""

    def __init__(self, plan: Plan, state: RunState, now: datetime) -> None:
        if state.index is None or not isinstance(state.nodes, PersistentMap):
            state = rebuild(plan, state.summary, state.nodes)
        assert state.index is not None
        assert isinstance(state.nodes, PersistentMap)
        self.plan = plan
        self.now = now
        self.summary = state.summary
        self.actions: list[Action] = []
        self.ended: deque[Path] = deque()
        """Nodes that have become terminal and whose consequences are still to be drawn."""
        self._base: PersistentMap[Path, NodeState] = state.nodes
        self._overlay: dict[Path, NodeState] = {}
        self._open = state.summary.open
        self._active = state.summary.active
        self._turns = state.summary.turns
        self.ready = state.index.ready
        self.naps = state.index.naps
        self.deadlines = state.index.deadlines
        self.losable = state.index.losable

    @property
    def open(self) -> int:
        """How many nodes are not terminal."""
        return self._open

    @property
    def has_slot(self) -> bool:
        """Whether one more node may become active."""
        return not self.summary.max_parallelism or self._active < self.summary.max_parallelism

    def take_turn(self) -> int:
        """The next place in the queue."""
        self._turns += 1
        return self._turns - 1

    def get(self, path: Path) -> NodeState | None:
        """The node's state as of now; None when there is no such node."""
        state = self._overlay.get(path)
        return state if state is not None else self._base.get(path)

    def open_paths(self) -> list[Path]:
        """Every node that is not terminal. Looks at all nodes: for the end of a run only."""
        return sorted(path for path in self._base if not isinstance(self.get(path), TERMINAL))

    def clear_indexes(self) -> None:
        """Every open node is about to end: nothing waits, nothing is timed, nothing can be lost."""
        self.ready, self.naps, self.deadlines, self.losable = (
            Ordered(),
            Ordered(),
            Ordered(),
            Ordered(),
        )

    def ask(self, actions: Iterable[Action]) -> None:
        """Owe these actions."""
        self.actions.extend(actions)

    def put(self, path: Path, new: NodeState) -> None:
        """Change one node, and every counter and index with it."""
        old = self.get(path)
        assert old is not None
        if new == old:
            return
        self._overlay[path] = new
        if isinstance(new, TERMINAL) and not isinstance(old, TERMINAL):
            self._open -= 1
            self.ended.append(path)
        self._count(path, old, new)
        self._unindex(path, old)
        self._index(path, new)

    def _count(self, path: Path, old: NodeState, new: NodeState) -> None:
        change = isinstance(new, HOLDS_SLOT) - isinstance(old, HOLDS_SLOT)
        if change:
            node = node_at(self.plan, path)
            if node is not None and node.kind is NodeKind.TASK:
                self._active += change

    def _unindex(self, path: Path, old: NodeState) -> None:
        if isinstance(old, Ready):
            self.ready = self.ready.discard((old.turn, path))
        elif isinstance(old, BackingOff):
            self.naps = self.naps.discard((old.until, path))
        elif isinstance(old, Queued | Running):
            self.losable = self.losable.discard(path)
            if isinstance(old, Running) and old.deadline is not None:
                self.deadlines = self.deadlines.discard((old.deadline, path))

    def _index(self, path: Path, new: NodeState) -> None:
        if isinstance(new, Ready):
            self.ready = self.ready.add((new.turn, path))
        elif isinstance(new, BackingOff):
            self.naps = self.naps.add((new.until, path))
        elif isinstance(new, Queued | Running):
            self.losable = self.losable.add(path)
            if isinstance(new, Running) and new.deadline is not None:
                self.deadlines = self.deadlines.add((new.deadline, path))

    def finish(self) -> tuple[RunState, frozenset[Path]]:
        """The state after, and the nodes whose state differs from before."""
        summary = self.summary
        if (summary.open, summary.active, summary.turns) != (
            self._open,
            self._active,
            self._turns,
        ):
            summary = replace(summary, open=self._open, active=self._active, turns=self._turns)
        index = Index(self.ready, self.naps, self.deadlines, self.losable)
        changed = frozenset(p for p, s in self._overlay.items() if self._base[p] != s)
        return RunState(summary, self._base.updated(self._overlay), index), changed
