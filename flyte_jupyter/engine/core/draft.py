"""A run being changed: a thin overlay over the state before, with the one place where a node's state changes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from flyte_jupyter.engine.core.actions import Action, Release
from flyte_jupyter.engine.core.index import (
    ENDED,
    HOLDING,
    MARKED,
    STARTING,
    UNMARKED,
    Marks,
    marks,
    rebuild,
)
from flyte_jupyter.engine.core.persistent import Ordered, PersistentMap
from flyte_jupyter.engine.core.plan import LEAVES, NodePlan, Plan, Plans
from flyte_jupyter.engine.core.scopes import Walk, plans_of
from flyte_jupyter.engine.core.state import (
    Aborted,
    BackingOff,
    Blocked,
    CacheOutcome,
    Collecting,
    Failure,
    Index,
    Kept,
    Launching,
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
    Succeeded,
    Tries,
)
from flyte_jupyter.idl.ids import Path

_FIRST = Tries()
_UNLIMITED = sys.maxsize


class Draft:
    """Used by one step or fold and then thrown away. The state it began from stays as it was."""

    def __init__(self, plans: Plans | Plan, state: RunState, now: datetime) -> None:
        if state.index is None or not isinstance(state.nodes, PersistentMap):
            state = rebuild(plans, state.summary, state.nodes)
        assert state.index is not None
        assert isinstance(state.nodes, PersistentMap)
        self.now = now
        self.summary = state.summary
        self.actions: list[Action] = []
        self.ended: deque[Path] = deque()
        """Nodes that have become terminal and whose consequences are still to be drawn."""
        self.emptied: deque[Path] = deque()
        """Scopes in which no node is open any more."""
        self._base: PersistentMap[Path, Kept] = state.nodes
        self._overlay: dict[Path, Kept] = {}
        self._walk = Walk(plans_of(plans), self.get)
        self._open = state.summary.open
        self._active = state.summary.active
        self._most_active = state.summary.max_parallelism or _UNLIMITED
        self._opening = state.summary.opening
        self._most_opening = state.summary.most_opening or _UNLIMITED
        self._turns = state.summary.turns
        self.ready = state.index.ready
        self.naps = state.index.naps
        self.deadlines = state.index.deadlines
        self.losable = state.index.losable
        self.gates = state.index.gates

    # -- looking --

    @property
    def free(self) -> int:
        """How many more leaves may become active now."""
        free = self._most_active - self._active
        opening = self._most_opening - self._opening
        return max(min(free, opening), 0)

    def take_turn(self) -> int:
        """The next place in the queue."""
        self._turns += 1
        return self._turns - 1

    def get(self, path: Path) -> Kept | None:
        """What stands at this path as of now; None where nothing has happened yet."""
        state = self._overlay.get(path)
        return state if state is not None else self._base.get(path)

    def node(self, path: Path) -> NodePlan:
        """The plan's node of a path that stands in the run."""
        node = self._walk.node(path)
        assert node is not None, path
        return node

    def graph(self, scope: Path) -> Plan:
        """The graph of a scope that stands in the run."""
        graph = self._walk.graph(scope)
        assert graph is not None, scope
        return graph

    def expansion(self, digest: str) -> Plan | None:
        """A graph that a dynamic task made."""
        return self._walk.plans.expansions.get(digest)

    # -- scopes --

    def fate(self, scope: Path) -> Scope | RunSummary:
        """What is known of a scope: of the outermost one, the run's summary. Count its open nodes with `open_in`."""
        if not scope:
            return self.summary
        record = self.get(scope)
        assert isinstance(record, Scope)
        return record

    def open_in(self, scope: Path) -> int:
        """How many nodes of the scope are not terminal."""
        return self.fate(scope).open if scope else self._open

    def alive(self, scope: Path) -> bool:
        """Whether the scope's end still matters to anybody."""
        if not scope:
            return not self.summary.phase.final
        owner = self.get(scope[:-1])
        return isinstance(owner, Nested) and owner.tries.attempt == scope[-1]

    def enter(self, scope: Path, record: Scope) -> None:
        """A new scope."""
        self._overlay[scope] = record
        if not record.open:
            self.emptied.append(scope)

    def count(self, scope: Path, open_now: int) -> None:
        """So many nodes of the scope are open now."""
        if scope:
            record = self.fate(scope)
            assert isinstance(record, Scope)
            self._overlay[scope] = Scope(
                open_now, record.plan, record.failure, record.failed_node, record.handling
            )
        else:
            self._open = open_now
        if not open_now:
            self.emptied.append(scope)

    def blame(self, scope: Path, failure: Failure, node: str) -> None:
        """The scope will end with this failure."""
        self._keep(scope, replace(self.fate(scope), failure=failure, failed_node=node))

    def handle(self, scope: Path) -> None:
        """The scope's failure node begins."""
        self._keep(scope, replace(self.fate(scope), handling=True))
        self.count(scope, 1)

    def _keep(self, scope: Path, fate: Scope | RunSummary) -> None:
        if isinstance(fate, RunSummary):
            self.summary = fate
        else:
            self._overlay[scope] = fate

    # -- changing --

    def ask(self, actions: Iterable[Action]) -> None:
        """Owe these actions."""
        self.actions.extend(actions)

    def put(self, path: Path, new: NodeState) -> None:
        """Change one node, and every counter and index with it."""
        self.change(path, self.node(path), self.get(path), new)

    def change(self, path: Path, node: NodePlan, old: Kept | None, new: NodeState) -> None:
        """What `put` does, for who has the plan's node and its state as of now at hand."""
        was, now = type(old), type(new)
        if was is now and old == new:
            return
        self._overlay[path] = new
        if node.kind in LEAVES:
            self._active += (now in HOLDING) - (was in HOLDING)
            self._opening += (now in STARTING) - (was in STARTING)
        if was in MARKED or now in MARKED or node.node_timeout is not None:
            self._mark(UNMARKED if old is None else marks(path, node, old), marks(path, node, new))
        if now in ENDED:
            self._end(path, node, old, new)

    def block(self, path: Path, waiting_on: int) -> None:
        """So many others keep a node from its beginning. It stands in no index then, and holds nothing."""
        self._overlay[path] = Blocked(waiting_on)

    def put_many(self, paths: Sequence[Path], new: NodeState) -> None:
        """Begin so many leaves that have no state yet: what `put` does, without looking at each."""
        self._overlay.update(dict.fromkeys(paths, new))
        self._active += len(paths) * (type(new) in HOLDING)
        self._opening += len(paths) * (type(new) in STARTING)

    def queue_many(self, paths: Sequence[Path]) -> None:
        """Put so many leaves that have no state yet at the end of the queue."""
        first = self._turns
        self._turns += len(paths)
        for turn, path in enumerate(paths, first):
            self._overlay[path] = Ready(_FIRST, "", turn)
        self.ready = self.ready.extended(list(enumerate(paths, first)))

    def leave_queue(self, queue: Mapping[Path, Ready], new: NodeState) -> None:
        """End so many leaves that wait for their first slot: what `put` does, without looking at each."""
        self._overlay.update(dict.fromkeys(queue, new))
        self.ready = self.ready.without({(state.turn, path) for path, state in queue.items()})

    def _end(self, path: Path, node: NodePlan, old: Kept | None, new: NodeState) -> None:
        if node.cache is not None and node.cache.serialize:
            digest = _reserved(old, new)
            if digest is not None:
                self.actions.append(Release(path, digest))
        if isinstance(new, Aborted):
            # Whoever aborts a node is about to end all that it stands in.
            return
        self.ended.append(path)
        if isinstance(path[-1], str):
            scope = path[:-1]
            self.count(scope, self.open_in(scope) - 1)

    def _mark(self, old: Marks, new: Marks) -> None:
        if old == new:
            return
        if old.ready != new.ready:
            self.ready = _moved(self.ready, old.ready, new.ready)
        if old.nap != new.nap:
            self.naps = _moved(self.naps, old.nap, new.nap)
        if old.deadline != new.deadline:
            self.deadlines = _moved(self.deadlines, old.deadline, new.deadline)
        if old.losable != new.losable:
            self.losable = _moved(self.losable, old.losable, new.losable)
        if old.gate != new.gate:
            self.gates = _moved(self.gates, old.gate, new.gate)

    def clear_indexes(self) -> None:
        """Every open node is about to end: nothing waits, nothing is timed, nothing can be lost."""
        self.ready, self.naps, self.deadlines = Ordered(), Ordered(), Ordered()
        self.losable, self.gates = Ordered(), Ordered()

    def finish(self) -> tuple[RunState, frozenset[Path]]:
        """The state after, and the places where it differs from before."""
        summary = self.summary
        counted = (self._open, self._active, self._opening, self._turns)
        if (summary.open, summary.active, summary.opening, summary.turns) != counted:
            summary = _counted(summary, *counted)
        index = Index(self.ready, self.naps, self.deadlines, self.losable, self.gates)
        nodes, changed = self._base.changed(self._overlay)
        return RunState(summary, nodes, index), changed


def _counted(of: RunSummary, open_now: int, active: int, opening: int, turns: int) -> RunSummary:
    """The summary with these counts. Each step has others, and `dataclasses.replace` takes three times as long."""
    return RunSummary(
        of.phase,
        open_now,
        active,
        of.max_parallelism,
        opening,
        of.most_opening,
        of.overwrite_cache,
        of.failure,
        of.failed_node,
        of.handling,
        of.abort,
        of.principal,
        of.outputs,
        turns,
        of.timeout,
        of.since,
    )


def _moved(index: Ordered[Any], old: Any, new: Any) -> Ordered[Any]:
    if old is not None:
        index = index.discard(old)
    return index if new is None else index.add(new)


def _reserved(old: Kept | None, new: NodeState) -> str | None:
    """The inputs' digest of a reservation that the node may hold and no longer needs; None when it has none."""
    if isinstance(new, Succeeded) and (new.cached or new.recovered):
        return None
    if isinstance(old, Probing | Reserved) or (isinstance(old, Ready) and not old.tries.attempt):
        # The catalog may have been asked twice, and have given it the second time.
        return old.digest or None
    if isinstance(old, Ready | BackingOff | Launching | Queued | Running | Collecting | Nested):
        asked = old.tries.cache in (CacheOutcome.MISS, CacheOutcome.LOOKUP_FAILURE)
        return old.digest if asked else None
    return None
