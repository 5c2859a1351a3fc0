"""Conclusions that follow from the states themselves, drawn until nothing more follows. Costs what changed, never the graph's size."""

from __future__ import annotations

from dataclasses import replace

from flyte_jupyter.engine.core import arrays, nesting, turns
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.plan import END
from flyte_jupyter.engine.core.state import Failed, Skipped, Succeeded
from flyte_jupyter.idl.ids import Path


def settle(draft: Draft) -> None:
    """Bring the draft to rest: nothing more follows from it at its `now`. Nothing follows from a final run."""
    while not draft.summary.phase.final:
        if draft.ended:
            _conclude(draft, draft.ended.popleft())
        elif draft.emptied:
            # Only once all ends are concluded: two nodes may end at one moment, and both have a say.
            nesting.close(draft, draft.emptied.popleft())
        elif not (nesting.wake(draft) or turns.promote(draft)):
            return


def _conclude(draft: Draft, path: Path) -> None:
    state = draft.get(path)
    if isinstance(path[-1], int):
        arrays.item_ended(draft, path, state)
        return
    scope = path[:-1]
    if not draft.alive(scope):
        return
    if isinstance(state, Succeeded):
        if path == (END,):
            draft.summary = replace(draft.summary, outputs=state.outputs)
        if draft.open_in(scope):
            nesting.release(draft, path)
    elif isinstance(state, Failed):
        nesting.fail(draft, path, state)
    elif isinstance(state, Skipped):
        nesting.skip(draft, path)
