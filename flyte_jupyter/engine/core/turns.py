"""Who goes on when: parallelism, and the queue for it."""

from __future__ import annotations

from collections.abc import Sequence

from flyte_jupyter.engine.core import arrays, attempts
from flyte_jupyter.engine.core.actions import ResolveInputs
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.plan import LEAVES, NodeKind
from flyte_jupyter.engine.core.rows import At, Next
from flyte_jupyter.engine.core.state import (
    Mapped,
    Ready,
    Resolving,
    Succeeded,
    Tries,
)
from flyte_jupyter.idl.ids import Path

RESOLVING = Resolving()
BEGUN = Succeeded("")
_FIRST = Tries()


def at(draft: Draft, path: Path) -> At:
    """Where and when a row applies to this node."""
    return At(path, draft.node(path), draft.now, draft.summary.overwrite_cache)


def enable(draft: Draft, path: Path, tries: Tries = _FIRST, digest: str = "") -> None:
    """Let a node go on that waits for nothing but its turn."""
    kind = draft.node(path).kind
    if kind is NodeKind.START:
        draft.put(path, BEGUN)
    elif kind not in LEAVES:
        resolve(draft, path)
    elif draft.free and not draft.ready:
        dispatch(draft, path, tries, digest)
    else:
        draft.put(path, Ready(tries, digest, draft.take_turn()))


def enable_many(draft: Draft, paths: Sequence[Path]) -> None:
    """Let many leaves go on that have no state yet, in their order."""
    count = 0 if draft.ready else min(draft.free, len(paths))
    draft.put_many(paths[:count], RESOLVING)
    draft.ask(map(ResolveInputs, paths[:count]))
    if count < len(paths):
        draft.queue_many(paths[count:])


def resolve(draft: Draft, path: Path) -> None:
    """Have the node's inputs bound."""
    draft.put(path, RESOLVING)
    draft.actions.append(ResolveInputs(path))


def dispatch(draft: Draft, path: Path, tries: Tries, digest: str) -> None:
    """Give a leaf its slot: for another attempt, to ask the catalog again, or to begin."""
    if tries.attempt:
        _go(draft, path, attempts.launch(at(draft, path), tries, digest))
    elif digest:
        _go(draft, path, attempts.probe(at(draft, path), digest, tries.since))
    else:
        resolve(draft, path)


def promote(draft: Draft) -> bool:
    """Give free slots to who has waited longest. An array node gets one for one item, and queues again."""
    promoted = False
    while (head := draft.ready.first) is not None and draft.free:
        path = head[1]
        state = draft.get(path)
        if isinstance(state, Mapped):
            for item in arrays.begin(draft, path, state):
                resolve(draft, item)
        else:
            assert isinstance(state, Ready)
            dispatch(draft, path, state.tries, state.digest)
        promoted = True
    return promoted


def _go(draft: Draft, path: Path, following: Next) -> None:
    draft.put(path, following.state)
    draft.ask(following.actions)
