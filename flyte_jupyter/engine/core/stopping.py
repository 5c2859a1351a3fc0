"""Ending what is open from outside: at an abort, a failure, a time limit. Costs what is stopped, at most its graph's size."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flyte_jupyter.engine.core import policy, transitions
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.index import ENDED
from flyte_jupyter.engine.core.scopes import ROOT
from flyte_jupyter.engine.core.state import (
    Aborted,
    Failed,
    Kept,
    Mapped,
    Nested,
    NodeState,
    Ready,
    RunPhase,
    Scope,
    Waiting,
)
from flyte_jupyter.idl.ids import Path


def stop_all(draft: Draft, cause: str) -> None:
    """Abort everything that is open, however deep. Nodes that never began stay as they are: nobody has heard of them."""
    draft.clear_indexes()
    stop_scope(draft, ROOT, cause)


def stop_scope(draft: Draft, scope: Path, cause: str) -> None:
    """Abort every node of this graph that has begun and not ended. None of it is open then."""
    graph = draft.graph(scope)
    queue: dict[Path, Ready] = {}
    for name in graph.nodes:
        path = (*scope, name)
        state = draft.get(path)
        if isinstance(state, Ready) and not (state.digest or state.tries.attempt):
            queue[path] = state
        elif state is not None:
            _stop(draft, path, state, cause)
    draft.leave_queue(queue, Aborted(cause))
    if graph.failure_node is not None:
        path = (*scope, graph.failure_node.id)
        _stop(draft, path, draft.get(path), cause)
    draft.count(scope, 0)


def stop_items(draft: Draft, path: Path, state: Mapped, cause: str) -> None:
    """Abort the items that are under way."""
    left = state.active
    for index in reversed(range(state.began)):
        # The youngest are the likeliest to run still.
        if not left:
            break
        item = (*path, index)
        left -= _stop(draft, item, draft.get(item), cause)


def time_out(draft: Draft, path: Path, state: NodeState) -> None:
    """The node's own time limit has passed: it fails for good, and what stands inside it stops."""
    node = draft.node(path)
    if isinstance(state, Waiting):
        draft.put(path, Failed(policy.out_of_patience(node)))
        return
    why = policy.node_timed_out(node)
    attempt = _clear(draft, path, state, why.message)
    draft.put(path, Failed(why, attempt, timed_out=True))


def run_out(draft: Draft, timeout: timedelta) -> None:
    """The run's own time limit has passed: it fails, and all that is open stops; then its failure node has its turn."""
    why = policy.run_timed_out(timeout)
    draft.summary = replace(draft.summary, phase=RunPhase.FAILING, failure=why, failed_node="")
    stop_all(draft, why.message)


def _stop(draft: Draft, path: Path, state: Kept | None, cause: str) -> bool:
    """Whether there was anything to stop."""
    if state is None or type(state) in ENDED or isinstance(state, Scope):
        return False
    draft.put(path, Aborted(cause, _clear(draft, path, state, cause)))
    return True


def _clear(draft: Draft, path: Path, state: NodeState, cause: str) -> int:
    """Stop what stands inside the node and its attempt; returns the number of its last attempt."""
    if isinstance(state, Nested):
        stop_scope(draft, (*path, state.tries.attempt), cause)
    elif isinstance(state, Mapped):
        stop_items(draft, path, state, cause)
    attempt, actions = transitions.stopped(path, state)
    draft.ask(actions)
    return attempt
