"""What must hold of a run between any two steps, counted afresh from its nodes."""

from __future__ import annotations

from collections.abc import Mapping

from flyte_jupyter.engine.core.index import rebuild
from flyte_jupyter.engine.core.plan import LEAVES, NodePlan, Plan, Plans
from flyte_jupyter.engine.core.scopes import graph_at, node_at
from flyte_jupyter.engine.core.state import (
    HOLDS_SLOT,
    IN_FLIGHT,
    OPENING,
    TERMINAL,
    Aborted,
    BackingOff,
    Blocked,
    Kept,
    Mapped,
    Nested,
    Ready,
    RunPhase,
    RunState,
    Scope,
    Skipped,
    Succeeded,
)
from flyte_jupyter.idl.ids import Path


def check(plans: Plans, state: RunState) -> None:
    """Counters, indexes and relations of all that stands in the run."""
    nodes, summary = dict(state.nodes), state.summary
    remade = rebuild(plans, summary, nodes)
    assert remade == state
    assert remade.index == state.index
    known = {path: node_at(plans, nodes, path) for path, each in nodes.items() if not isinstance(each, Scope)}  # fmt: skip
    assert None not in known.values(), "a state where no node is"
    check_slots(state, nodes, known)
    assert summary.phase.final == (summary.open == 0)
    check_graph(nodes, (), plans.root, state.summary, alive=not summary.phase.final)
    for path, each in nodes.items():
        if isinstance(each, Scope):
            owner = nodes[path[:-1]]
            alive = isinstance(owner, Nested) and owner.tries.attempt == path[-1]
            check_graph(nodes, path, graph_at(plans, nodes, path), each, alive=alive)
        elif isinstance(each, Mapped):
            check_array(nodes, path, each, known[path])
        elif isinstance(each, Nested):
            assert isinstance(nodes[(*path, each.tries.attempt)], Scope)
        if isinstance(each, (Ready, BackingOff, *IN_FLIGHT)):
            tries = each.tries
            assert tries.attempt - tries.system_failures <= known[path].retries
            assert tries.system_failures <= known[path].system_retries
    if summary.phase.final:
        assert all(isinstance(s, (*TERMINAL, Scope)) for s in nodes.values())
    if summary.phase is RunPhase.SUCCEEDED:
        assert all(isinstance(nodes[name,], Succeeded) for name in plans.root.nodes)
    assert (summary.phase is RunPhase.FAILED) <= (summary.failure is not None)
    assert (summary.phase is RunPhase.ABORTED) <= bool(summary.abort)


def check_slots(
    state: RunState, nodes: Mapping[Path, Kept], known: Mapping[Path, NodePlan]
) -> None:
    leaves = [s for p, s in nodes.items() if p in known and known[p].kind in LEAVES]
    active = sum(isinstance(s, HOLDS_SLOT) for s in leaves)
    opening = sum(isinstance(s, OPENING) for s in leaves)
    summary = state.summary
    assert (summary.active, summary.opening) == (active, opening)
    queue = [s for s in leaves if isinstance(s, Ready)]
    queue += [s for s in nodes.values() if isinstance(s, Mapped) and s.turn >= 0]
    limits = [(summary.max_parallelism, active), (summary.most_opening, opening)]
    assert all(now <= most for most, now in limits if most)
    full = any(now == most for most, now in limits if most)
    assert full or not queue, "a free slot and somebody waiting"
    turns = [s.turn for s in queue]
    assert len(set(turns)) == len(turns)


def check_graph(
    nodes: Mapping[Path, Kept], scope: Path, graph: Plan, fate: object, *, alive: bool
) -> None:
    """The open nodes of one graph, and how far each has come against those it needs."""
    states = {name: nodes.get((*scope, name)) for name in graph.nodes}
    still = [name for name, each in states.items() if not isinstance(each, TERMINAL)]
    handler = graph.failure_node and nodes.get((*scope, graph.failure_node.id))
    if not alive:
        assert fate.open == 0, scope
        begun = [each for each in [*states.values(), handler] if each is not None]
        assert all(isinstance(each, TERMINAL) for each in begun), scope
        return
    assert (handler is not None) == (fate.handling and graph.failure_node is not None)
    if handler is not None:
        assert fate.failure is not None
        assert fate.open == 1 - isinstance(handler, TERMINAL)
        assert all(states[name] is None for name in still), "two things at once"
        return
    assert fate.open == len(still)
    for name, each in states.items():
        upstream = graph.nodes[name].upstream
        missing = sum(not isinstance(states[parent], Succeeded) for parent in upstream)
        if each is None or isinstance(each, Blocked):
            bound = len(upstream) if each is None else each.waiting_on
            assert bound == missing, (scope, name)
            failed = any(isinstance(states[parent], Skipped) for parent in upstream)
            assert not failed, "what it needs was skipped"
        elif not isinstance(each, Skipped | Aborted):
            assert not missing, f"{(*scope, name)} went on before its upstream"


def check_array(nodes: Mapping[Path, Kept], path: Path, each: Mapped, node: NodePlan) -> None:
    items = [nodes.get((*path, index)) for index in range(each.size)]
    assert each.began == sum(item is not None for item in items)
    assert None not in items[: each.began]
    assert each.succeeded == sum(isinstance(item, Succeeded) for item in items)
    ended = [item for item in items if isinstance(item, TERMINAL)]
    assert each.failed == len(ended) - each.succeeded
    assert each.active == each.began - len(ended)
    assert each.began < each.size or each.active, "nothing left to do"
    assert each.size - each.failed >= node.array.least(each.size)
    room = each.size - each.began
    if node.array.concurrency:
        assert each.active <= node.array.concurrency
        room = min(room, node.array.concurrency - each.active)
    assert (each.turn >= 0) == (room > 0)
