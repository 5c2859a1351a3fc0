"""Conclusions that follow from the states themselves, drawn until nothing more follows. Costs what changed, never the graph's size."""

from __future__ import annotations

from dataclasses import replace

from flyte_jupyter.engine.core import policy, transitions
from flyte_jupyter.engine.core.actions import ResolveInputs
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.index import node_at
from flyte_jupyter.engine.core.plan import END, NodeKind, OnFailure
from flyte_jupyter.engine.core.state import (
    Aborted,
    BackingOff,
    Blocked,
    Failed,
    Ready,
    Resolving,
    RunPhase,
    Skipped,
    Succeeded,
    Tries,
)
from flyte_jupyter.idl.ids import Path


def settle(draft: Draft) -> None:
    """Bring the draft to rest: nothing more follows from it at its `now`. Nothing follows from a final run."""
    if draft.summary.phase.final:
        return
    while draft.ended or _wake(draft) or _promote(draft):
        while draft.ended:
            _conclude(draft, draft.ended.popleft())
    _close(draft)


def enable(draft: Draft, path: Path, tries: Tries | None = None, digest: str = "") -> None:
    """Let a node go on that waits for nothing but its turn."""
    tries = tries or Tries()
    node = node_at(draft.plan, path)
    if node is None or node.kind is not NodeKind.TASK:
        draft.put(path, Resolving())
        draft.ask((ResolveInputs(path),))
    elif draft.has_slot and not draft.ready:
        _dispatch(draft, path, tries, digest)
    else:
        draft.put(path, Ready(tries, digest, draft.take_turn()))


def stop_all(draft: Draft, cause: str) -> None:
    """Abort every open node: once in a run's life, so it may look at all of them."""
    paths = draft.open_paths()
    draft.clear_indexes()
    for path in paths:
        state = draft.get(path)
        assert state is not None
        attempt, actions = transitions.stopped(path, state)
        draft.put(path, Aborted(cause, attempt))
        draft.ask(actions)


def _dispatch(draft: Draft, path: Path, tries: Tries, digest: str) -> None:
    node = node_at(draft.plan, path)
    assert node is not None
    if digest or tries.attempt:
        at = transitions.At(path, node, draft.now, draft.summary.overwrite_cache)
        state, actions = transitions.launch(at, tries, digest)
        draft.put(path, state)
        draft.ask(actions)
    else:
        draft.put(path, Resolving())
        draft.ask((ResolveInputs(path),))


def _wake(draft: Draft) -> bool:
    """Put the nodes whose back-off is over into the queue."""
    woken = False
    while (head := draft.naps.first) is not None and head[0] <= draft.now:
        path = head[1]
        state = draft.get(path)
        assert isinstance(state, BackingOff)
        enable(draft, path, state.tries, state.digest)
        woken = True
    return woken


def _promote(draft: Draft) -> bool:
    """Give free slots to the nodes that have waited longest."""
    promoted = False
    while draft.has_slot and (head := draft.ready.first) is not None:
        path = head[1]
        state = draft.get(path)
        assert isinstance(state, Ready)
        _dispatch(draft, path, state.tries, state.digest)
        promoted = True
    return promoted


def _conclude(draft: Draft, path: Path) -> None:
    state = draft.get(path)
    if isinstance(state, Succeeded):
        if path == (END,):
            draft.summary = replace(draft.summary, outputs=state.outputs)
        _release(draft, path)
    elif isinstance(state, Failed):
        _fail(draft, path, state)
    elif isinstance(state, Skipped):
        _skip(draft, path)


def _release(draft: Draft, path: Path) -> None:
    for child in _children(draft, path):
        state = draft.get(child)
        if not isinstance(state, Blocked):
            continue
        if state.waiting_on > 1:
            draft.put(child, Blocked(state.waiting_on - 1))
        else:
            enable(draft, child)


def _fail(draft: Draft, path: Path, state: Failed) -> None:
    summary = draft.summary
    fast = draft.plan.on_failure is OnFailure.FAIL_FAST
    if summary.failure is None or not fast:
        summary = replace(summary, failure=state.failure, failed_node=str(path[-1]))
    if summary.phase is RunPhase.RUNNING:
        summary = replace(summary, phase=RunPhase.FAILING)
    draft.summary = summary
    if fast:
        stop_all(draft, policy.AUTO_ABORT)
    else:
        _skip(draft, path)


def _skip(draft: Draft, path: Path) -> None:
    for child in _children(draft, path):
        if isinstance(draft.get(child), Blocked):
            draft.put(child, Skipped())


def _children(draft: Draft, path: Path) -> list[Path]:
    return [(child,) for child in draft.plan.downstream.get(str(path[-1]), ())]


def _close(draft: Draft) -> None:
    """A run is over when, and only when, no node of it is open."""
    if draft.open:
        return
    if draft.summary.phase is RunPhase.ABORTING:
        phase = RunPhase.ABORTED
    elif draft.summary.failure is not None:
        phase = RunPhase.FAILED
    else:
        phase = RunPhase.SUCCEEDED
    draft.summary = replace(draft.summary, phase=phase)
