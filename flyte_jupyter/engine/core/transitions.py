"""The machine's table: what a node in one state does when it hears one thing. A pair that is not here is ignored.

What names an attempt reaches a row only when the node's state claims that attempt: it is in flight under that number.
Otherwise `unclaimed` answers, so that nothing that exists is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping

from flyte_jupyter.engine.core import attempts, composites
from flyte_jupyter.engine.core.actions import Action, Kill, Reap
from flyte_jupyter.engine.core.observations import (
    AboutNode,
    AttemptAccepted,
    AttemptEnded,
    AttemptStarted,
    AttemptWaits,
)
from flyte_jupyter.engine.core.rows import Row
from flyte_jupyter.engine.core.state import (
    IN_FLIGHT,
    BackingOff,
    Collecting,
    Kept,
    Nested,
    NodeState,
    Ready,
)
from flyte_jupyter.idl.ids import Path

TABLE: Mapping[tuple[type[NodeState], type[AboutNode]], Row] = {
    **composites.ROWS,
    **attempts.ROWS,
}


def claims(state: Kept | None, attempt: int) -> bool:
    """Whether the node's state stands for this attempt."""
    return isinstance(state, IN_FLIGHT) and state.tries.attempt == attempt


def unclaimed(seen: AboutNode) -> tuple[Action, ...]:
    """What is owed when an attempt shows itself that no open state stands for.

    An executor may create anew what was reaped or killed (a launch sent twice around a crash). Whatever still runs is killed,
    whatever ended is forgotten; answers about files need nothing.
    """
    if isinstance(seen, AttemptAccepted | AttemptWaits | AttemptStarted):
        return (Kill(seen.path, seen.attempt),)
    if isinstance(seen, AttemptEnded):
        return (Reap(seen.path, seen.attempt),)
    return ()


def stopped(path: Path, state: NodeState) -> tuple[int, tuple[Action, ...]]:
    """The last attempt that there was when a stop comes from outside, and what is owed so that it leaves nothing behind."""
    if isinstance(state, Collecting):
        return state.tries.attempt, (Reap(path, state.tries.attempt),)
    if isinstance(state, IN_FLIGHT):
        return state.tries.attempt, (Kill(path, state.tries.attempt),)
    if isinstance(state, Nested):
        return state.tries.attempt, ()
    if isinstance(state, BackingOff | Ready):
        # The attempt that it waits for was never made.
        return max(state.tries.attempt - 1, 0), ()
    return 0, ()
