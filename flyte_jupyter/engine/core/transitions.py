"""The machine's table: what a node in one state does when it hears one thing. A pair that is not here is ignored.

What names an attempt reaches a row only when the node's state claims that attempt: it is in flight under that number.
Otherwise `unclaimed` answers, so that nothing that exists is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from flyte_jupyter.engine.core import policy
from flyte_jupyter.engine.core.actions import (
    Action,
    Collect,
    Kill,
    Launch,
    Probe,
    Reap,
    Remember,
)
from flyte_jupyter.engine.core.observations import (
    AboutNode,
    AttemptAccepted,
    AttemptEnded,
    AttemptFailed,
    AttemptRejected,
    AttemptStarted,
    AttemptSucceeded,
    CacheHit,
    CacheMiss,
    InputsReady,
    InputsUnresolvable,
)
from flyte_jupyter.engine.core.plan import NodeKind, NodePlan
from flyte_jupyter.engine.core.state import (
    IN_FLIGHT,
    BackingOff,
    Collecting,
    Failed,
    Failure,
    InFlight,
    Launching,
    NodeState,
    Probing,
    Queued,
    Ready,
    Resolving,
    Running,
    Succeeded,
    Tries,
)
from flyte_jupyter.idl.ids import Path


class At(NamedTuple):
    """Where and when a row applies."""

    path: Path
    node: NodePlan
    now: datetime
    overwrite_cache: bool


class Next(NamedTuple):
    """What a row says: the node's next state and what is owed for it."""

    state: NodeState
    actions: tuple[Action, ...] = ()


Row = Callable[[At, Any, Any], Next]


def launch(at: At, tries: Tries, digest: str) -> Next:
    """Begin an attempt."""
    return Next(Launching(tries, digest, at.now), (Launch(at.path, tries.attempt),))


def failed(at: At, state: InFlight, why: Failure, deck: str = "") -> NodeState:
    """The state after an attempt's failure: back-off, or the end."""
    after = policy.after_failure(at.node, state.tries, why, _later(at, state))
    if isinstance(after, BackingOff):
        return replace(after, digest=state.digest)
    return replace(after, deck=deck, ran=_ran(state))


def _ran(state: InFlight) -> float:
    return state.ran if isinstance(state, Collecting) else 0.0


def _later(at: At, state: InFlight) -> datetime:
    # A clock that stepped back must not make negative durations.
    return max(at.now, state.since)


def inputs_ready(at: At, _: Resolving, seen: InputsReady) -> Next:
    """Bound: the end node is done; a task asks the catalog first, where that can help."""
    if at.node.kind is not NodeKind.TASK:
        return Next(Succeeded(seen.outputs))
    if at.node.cache is not None and not at.overwrite_cache:
        return Next(Probing(seen.digest), (Probe(at.path, seen.digest),))
    return launch(at, Tries(), seen.digest)


def inputs_unresolvable(_at: At, _: Resolving, seen: InputsUnresolvable) -> Next:
    """No attempt can mend what the upstream nodes gave."""
    return Next(Failed(seen.why))


def cache_hit(_at: At, _: Probing, seen: CacheHit) -> Next:
    """Nothing needs to run."""
    return Next(Succeeded(seen.outputs, cached=seen.source or seen.outputs))


def cache_miss(at: At, state: Probing, _: CacheMiss) -> Next:
    """Run it; a broken catalog is no reason not to."""
    return launch(at, Tries(), state.digest)


def accepted(at: At, state: Launching, _: AttemptAccepted) -> Next:
    """From here on it can be lost."""
    return Next(Queued(state.tries, state.digest, _later(at, state)))


def rejected(at: At, state: Launching, seen: AttemptRejected) -> Next:
    """There is nothing to reap: it was never created."""
    return Next(failed(at, state, seen.why))


def started(at: At, state: Launching | Queued, _: AttemptStarted) -> Next:
    """The timeout counts from here."""
    since = _later(at, state)
    return Next(Running(state.tries, state.digest, since, policy.deadline(at.node, since)))


def ended(at: At, state: Launching | Queued | Running, seen: AttemptEnded) -> Next:
    """An end alone says nothing: read what it left."""
    attempt = state.tries.attempt
    return Next(
        Collecting(state.tries, state.digest, _later(at, state), seen.how.ran),
        (Collect(at.path, attempt, seen.how),),
    )


def succeeded(at: At, state: InFlight, seen: AttemptSucceeded) -> Next:
    """Its end is recorded: let the executor forget it, and the catalog remember."""
    attempt = state.tries.attempt
    actions: tuple[Action, ...] = (Reap(at.path, attempt),)
    if at.node.cache is not None:
        actions = (Remember(at.path, attempt, state.digest), *actions)
    return Next(Succeeded(seen.outputs, attempt, deck=seen.deck, ran=_ran(state)), actions)


def attempt_failed(at: At, state: InFlight, seen: AttemptFailed) -> Next:
    """Its end is recorded; the budgets say what comes next."""
    return Next(failed(at, state, seen.why, seen.deck), (Reap(at.path, state.tries.attempt),))


TABLE: Mapping[tuple[type[NodeState], type[AboutNode]], Row] = {
    (Resolving, InputsReady): inputs_ready,
    (Resolving, InputsUnresolvable): inputs_unresolvable,
    (Probing, CacheHit): cache_hit,
    (Probing, CacheMiss): cache_miss,
    (Launching, AttemptAccepted): accepted,
    (Launching, AttemptRejected): rejected,
    (Launching, AttemptStarted): started,
    (Queued, AttemptStarted): started,
    (Launching, AttemptEnded): ended,
    (Queued, AttemptEnded): ended,
    (Running, AttemptEnded): ended,
    (Launching, AttemptSucceeded): succeeded,
    (Queued, AttemptSucceeded): succeeded,
    (Running, AttemptSucceeded): succeeded,
    (Collecting, AttemptSucceeded): succeeded,
    (Launching, AttemptFailed): attempt_failed,
    (Queued, AttemptFailed): attempt_failed,
    (Running, AttemptFailed): attempt_failed,
    (Collecting, AttemptFailed): attempt_failed,
}


def claims(state: NodeState | None, attempt: int) -> bool:
    """Whether the node's state stands for this attempt."""
    return isinstance(state, IN_FLIGHT) and state.tries.attempt == attempt


def unclaimed(seen: AboutNode) -> tuple[Action, ...]:
    """What is owed when an attempt shows itself that no open state stands for.

    An executor may create anew what was reaped or killed (a launch sent twice around a crash). Whatever still runs is killed,
    whatever ended is forgotten; answers about files need nothing.
    """
    if isinstance(seen, AttemptAccepted | AttemptStarted):
        return (Kill(seen.path, seen.attempt),)
    if isinstance(seen, AttemptEnded):
        return (Reap(seen.path, seen.attempt),)
    return ()


def timed_out(at: At, state: Running) -> Next:
    """The deadline has passed: end it, and count it as the user's failure."""
    return Next(failed(at, state, policy.timed_out(at.node)), (Kill(at.path, state.tries.attempt),))


def lost(at: At, state: Queued | Running) -> Next:
    """A full listing does not know it. It is killed too, in case its machine comes back."""
    attempt = state.tries.attempt
    return Next(failed(at, state, policy.lost(at.node, attempt)), (Kill(at.path, attempt),))


def stopped(path: Path, state: NodeState) -> tuple[int, tuple[Action, ...]]:
    """The last attempt that there was when a stop comes from outside, and what is owed so that it leaves nothing behind."""
    if isinstance(state, Collecting):
        return state.tries.attempt, (Reap(path, state.tries.attempt),)
    if isinstance(state, IN_FLIGHT):
        return state.tries.attempt, (Kill(path, state.tries.attempt),)
    if isinstance(state, BackingOff | Ready):
        # The attempt that it waits for was never made.
        return max(state.tries.attempt - 1, 0), ()
    return 0, ()
