"""The insides of composite nodes: how they begin, what a failure does to them, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flyte_jupyter.engine.core import arrays, attempts, composites, policy, stopping, turns
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.plan import END, LEAVES, NodeKind, OnFailure
from flyte_jupyter.engine.core.rows import At, Inside, Next
from flyte_jupyter.engine.core.state import (
    BackingOff,
    Blocked,
    Failed,
    Mapped,
    Nested,
    NodeState,
    Reserved,
    RunPhase,
    Scope,
    Skipped,
    Succeeded,
    Tries,
    Waiting,
)
from flyte_jupyter.idl.ids import Path

SKIPPED = Skipped()
_MANY = 64
"""From so many children on it pays to release them together."""


def take(draft: Draft, at: At, before: NodeState, following: Next) -> None:
    """Do what a row says that applied to a node in the state `before`."""
    state, actions, inside = following
    if inside is not None:
        assert isinstance(state, Nested)
        _enter(draft, at.path, state, inside)
    elif isinstance(state, Mapped):
        arrays.queue(draft, at.path, state)
    else:
        draft.change(at.path, at.node, before, state)
    draft.actions.extend(actions)


def begin(draft: Draft, scope: Path) -> None:
    """Let a graph's nodes go on that wait for nothing."""
    for name in draft.graph(scope).roots:
        turns.enable(draft, (*scope, name))


def wake(draft: Draft) -> bool:
    """Let go on what has waited long enough."""
    woken = False
    while (head := draft.naps.first) is not None and head[0] <= draft.now:
        path = head[1]
        state = draft.get(path)
        if isinstance(state, Waiting):
            at = turns.at(draft, path)
            take(draft, at, state, composites.slept(at, state))
        elif isinstance(state, Reserved):
            turns.enable(draft, path, Tries(since=state.since), state.digest)
        else:
            assert isinstance(state, BackingOff)
            _try_again(draft, path, state)
        woken = True
    return woken


def _try_again(draft: Draft, path: Path, state: BackingOff) -> None:
    at = turns.at(draft, path)
    node = at.node
    if node.kind in LEAVES:
        turns.enable(draft, path, state.tries, state.digest)
        return
    arm = ""
    if node.kind is NodeKind.BRANCH and node.body is not None:
        # From the same inputs follows the same choice: the shell need not be asked again.
        before = (*path, state.tries.attempt - 1)
        arm = next(n for n in node.body.nodes if draft.get((*before, n)) != SKIPPED)
    take(draft, at, state, composites.begun_again(at, state, arm))


def _enter(draft: Draft, path: Path, state: Nested, inside: Inside) -> None:
    node = draft.node(path)
    graph = draft.expansion(inside.plan) if inside.plan else node.body
    if graph is None or (inside.arm and inside.arm not in graph.nodes):
        what = f"graph {inside.plan!r}" if inside.plan else f"arm {inside.arm!r} of its body"
        draft.put(path, Failed(policy.no_graph(node, f"{what} is unknown"), state.tries.attempt))
        return
    draft.put(path, state)
    scope = (*path, state.tries.attempt)
    draft.enter(scope, Scope(len(graph.nodes), inside.plan))
    if node.kind is not NodeKind.BRANCH:
        begin(draft, scope)
        return
    for name in graph.nodes:
        if name != inside.arm:
            draft.put((*scope, name), SKIPPED)
    turns.enable(draft, (*scope, inside.arm))


def release(draft: Draft, path: Path) -> None:
    """The node has succeeded: those downstream wait for one less."""
    scope = path[:-1]
    graph = draft.graph(scope)
    children: Sequence[str] = graph.downstream.get(str(path[-1]), ())
    if len(children) >= _MANY:
        children = _release_many(draft, scope, children)
    for name in children:
        child = (*scope, name)
        state = draft.get(child)
        if state is None:
            waiting_on = len(graph.nodes[name].upstream)
        elif isinstance(state, Blocked):
            waiting_on = state.waiting_on
        else:
            continue
        if waiting_on > 1:
            draft.block(child, waiting_on - 1)
        else:
            turns.enable(draft, child)


def _release_many(draft: Draft, scope: Path, children: Sequence[str]) -> Sequence[str]:
    """Release the leaves that wait for this one node and nothing else, all at once. Returns the others."""
    nodes = draft.graph(scope).nodes
    plain = [n for n in children if nodes[n].kind in LEAVES and len(nodes[n].upstream) == 1]
    fresh = [path for n in plain if draft.get(path := (*scope, n)) is None]
    if len(fresh) < len(plain):
        return children
    turns.enable_many(draft, fresh)
    done = set(plain)
    return [n for n in children if n not in done]


def skip(draft: Draft, path: Path) -> None:
    """The node will give nothing: those downstream can never run."""
    scope = path[:-1]
    for name in draft.graph(scope).downstream.get(str(path[-1]), ()):
        child = (*scope, name)
        state = draft.get(child)
        if state is None or isinstance(state, Blocked):
            draft.put(child, SKIPPED)


def fail(draft: Draft, path: Path, state: Failed) -> None:
    """A node's failure decides its graph's (Flyte: the first one under fail-fast, else the last; a failure node's always)."""
    scope, name = path[:-1], str(path[-1])
    graph = draft.graph(scope)
    fast = graph.on_failure is OnFailure.FAIL_FAST
    fate = draft.fate(scope)
    if fate.failure is None or not fast or fate.handling:
        draft.blame(scope, state.failure, name)
    if not scope and draft.summary.phase is RunPhase.RUNNING:
        draft.summary = replace(draft.summary, phase=RunPhase.FAILING)
    if fate.handling:
        return
    if not fast:
        skip(draft, path)
    elif scope:
        stopping.stop_scope(draft, scope, policy.AUTO_ABORT)
    else:
        stopping.stop_all(draft, policy.AUTO_ABORT)


def close(draft: Draft, scope: Path) -> None:
    """No node of this graph is open: its failure node begins, or it is over."""
    if draft.open_in(scope) or not draft.alive(scope):
        return
    fate = draft.fate(scope)
    handler = draft.graph(scope).failure_node
    aborting = not scope and draft.summary.phase is RunPhase.ABORTING
    if fate.failure is not None and handler is not None and not (fate.handling or aborting):
        draft.handle(scope)
        turns.enable(draft, (*scope, handler.id))
    elif scope:
        _end_owner(draft, scope)
    else:
        _end_run(draft)


def _end_run(draft: Draft) -> None:
    if draft.summary.phase is RunPhase.ABORTING:
        phase = RunPhase.ABORTED
    elif draft.summary.failure is not None:
        phase = RunPhase.FAILED
    else:
        phase = RunPhase.SUCCEEDED
    draft.summary = replace(draft.summary, phase=phase)


def overrun(draft: Draft, path: Path, state: Nested | Mapped) -> None:
    """The time of one attempt is over, and what stands inside the node has not ended: it stops, and may be tried again."""
    at = turns.at(draft, path)
    why = policy.overran(at.node)
    if isinstance(state, Mapped):
        stopping.stop_items(draft, path, state, why.message)
        draft.put(path, Failed(why))
        return
    stopping.stop_scope(draft, (*path, state.tries.attempt), why.message)
    draft.put(path, attempts.failed(at, state, why))


def _end_owner(draft: Draft, scope: Path) -> None:
    path = scope[:-1]
    state, fate = draft.get(path), draft.fate(scope)
    assert isinstance(state, Nested)
    attempt = state.tries.attempt
    node = draft.node(path)
    if fate.failure is None:
        end = _result(draft, scope)
        said = state.tries.cache
        if node.kind is NodeKind.TASK:
            said = end.cache or said
        draft.put(path, Succeeded(end.outputs, attempt, cache=said))
    elif node.kind is NodeKind.TASK and _out_of_time(draft, (*scope, fate.failed_node)):
        why = replace(fate.failure, retryable=True)
        draft.put(path, attempts.failed(turns.at(draft, path), state, why))
    else:
        draft.put(path, Failed(fate.failure, attempt))


def _out_of_time(draft: Draft, path: Path) -> bool:
    """Whether a node ended by its own time limit.

    For such a one in its graph a dynamic task is tried again. Any other failure there is for good: that node has had retries of
    its own (Flyte: ``IsFailurePermanent``, ``nodes/dynamic/``).
    """
    state = draft.get(path)
    return isinstance(state, Failed) and state.timed_out


def _result(draft: Draft, scope: Path) -> Succeeded:
    """How the node ended that stands for its graph: the end node, or the arm that was taken."""
    graph = draft.graph(scope)
    names = [END] if END in graph.nodes else graph.nodes
    ends = [draft.get((*scope, name)) for name in names]
    return next((end for end in ends if isinstance(end, Succeeded)), turns.BEGUN)
