"""Array nodes: which items begin, and what their ends mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flyte_jupyter.engine.core import composites, policy, stopping
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.plan import ArrayPlan
from flyte_jupyter.engine.core.rows import At
from flyte_jupyter.engine.core.state import Failed, Failure, Kept, Mapped, Succeeded
from flyte_jupyter.idl.ids import Path


def room(array: ArrayPlan, state: Mapped) -> int:
    """How many more items may begin as far as the array node itself is concerned."""
    left = state.size - state.began
    return min(left, array.concurrency - state.active) if array.concurrency else left


def queue(draft: Draft, path: Path, state: Mapped) -> None:
    """Put the array node at the end of the queue if another item may begin and it does not queue yet."""
    wants = room(draft.node(path).array, state) > 0
    if wants != (state.turn >= 0):
        state = replace(state, turn=draft.take_turn() if wants else -1)
    draft.put(path, state)


def begin(draft: Draft, path: Path, state: Mapped) -> Iterator[Path]:
    """The items that begin now: one, or as many as may when nobody else waits for a slot."""
    count = 1
    if draft.ready.single:
        count = min(room(draft.node(path).array, state), draft.free)
    queue(draft, path, replace(state, began=state.began + count, turn=-1))
    for index in range(state.began, state.began + count):
        yield (*path, index)


def item_ended(draft: Draft, path: Path, state: Kept | None) -> None:
    """Count an item's end, and end the array node when that decides it."""
    owner = path[:-1]
    around = draft.get(owner)
    if not isinstance(around, Mapped):
        return
    done = isinstance(state, Succeeded)
    around = replace(around, succeeded=around.succeeded + done, failed=around.failed + (not done))
    node = draft.node(owner)
    if around.size - around.failed < node.array.least(around.size):
        stopping.stop_items(draft, owner, around, policy.AUTO_ABORT)
        why = policy.too_few(node, around.size, _failures(draft, owner, around))
        draft.put(owner, Failed(why))
    elif around.succeeded + around.failed == around.size:
        following = composites.gather(
            At(owner, node, draft.now, draft.summary.overwrite_cache), around
        )
        draft.put(owner, following.state)
        draft.ask(following.actions)
    else:
        queue(draft, owner, around)


def _failures(draft: Draft, path: Path, state: Mapped) -> list[tuple[int, Failure]]:
    found = []
    for index in range(state.began):
        item = draft.get((*path, index))
        if isinstance(item, Failed):
            found.append((index, item.failure))
    return found
