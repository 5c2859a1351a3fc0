"""Rows of what runs attempts: tasks, child executions, and the items of array nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from flyte_jupyter.engine.core import policy
from flyte_jupyter.engine.core.actions import Action, Collect, Kill, Launch, Probe, Reap
from flyte_jupyter.engine.core.observations import (
    AboutNode,
    AttemptAccepted,
    AttemptEnded,
    AttemptFailed,
    AttemptRejected,
    AttemptStarted,
    AttemptSucceeded,
    AttemptWaits,
    CacheHit,
    CacheMiss,
    CacheReserved,
    Expanded,
    InputsReady,
)
from flyte_jupyter.engine.core.rows import At, Inside, Next, Row
from flyte_jupyter.engine.core.state import (
    BackingOff,
    CacheOutcome,
    Collecting,
    Failure,
    InFlight,
    Launching,
    Nested,
    NodeState,
    Probing,
    Queued,
    Reserved,
    Resolving,
    Running,
    Succeeded,
    Tries,
)

_ASK_AGAIN = timedelta(seconds=1)
"""The least time between two questions about the same reservation."""


def launch(at: At, tries: Tries, digest: str) -> Next:
    """Begin an attempt."""
    return Next(Launching(tries, digest, at.now), (Launch(at.path, tries.attempt),))


def probe(at: At, digest: str, since: datetime | None) -> Next:
    """Ask the catalog."""
    return Next(Probing(digest, since), (Probe(at.path, digest),))


def failed(at: At, state: InFlight | Nested, why: Failure, deck: str = "") -> NodeState:
    """The state after an attempt's failure: back-off, or the end."""
    after = policy.after_failure(at.node, state.tries, why, _later(at, state))
    if isinstance(after, BackingOff):
        return replace(after, digest=state.digest)
    return replace(after, deck=deck, ran=_ran(state))


def _ran(state: InFlight | Nested) -> float:
    return state.ran if isinstance(state, Collecting) else 0.0


def _later(at: At, state: InFlight | Nested) -> datetime:
    # A clock that stepped back must not make negative durations.
    return max(at.now, state.since)


def inputs_ready(at: At, _: Resolving, seen: InputsReady) -> Next:
    """Bound: the catalog is asked first, where that can help."""
    if at.node.cache is None:
        return launch(at, at.first, seen.digest)
    if at.overwrite_cache:
        tries = Tries(since=at.timed_from, cache=CacheOutcome.SKIPPED)
        return launch(at, tries, seen.digest)
    return probe(at, seen.digest, at.timed_from)


def cache_hit(_at: At, _: Probing, seen: CacheHit) -> Next:
    """Nothing needs to run."""
    source = seen.source or seen.outputs
    return Next(Succeeded(seen.outputs, cached=source, cache=CacheOutcome.HIT))


def cache_miss(at: At, state: Probing, seen: CacheMiss) -> Next:
    """Run it; a broken catalog is no reason not to."""
    said = CacheOutcome.LOOKUP_FAILURE if seen.broken else CacheOutcome.MISS
    return launch(at, Tries(since=state.since, cache=said), state.digest)


def cache_reserved(at: At, state: Probing, seen: CacheReserved) -> Next:
    """Somebody else computes it: give the slot to others meanwhile."""
    until = max(seen.until, at.now + _ASK_AGAIN)
    return Next(Reserved(state.digest, until, state.since, seen.owner))


def accepted(at: At, state: Launching, _: AttemptAccepted) -> Next:
    """From here on it can be lost."""
    return Next(Queued(state.tries, state.digest, _later(at, state)))


def waits(at: At, state: Launching | Queued, seen: AttemptWaits) -> Next:
    """It stays queued, and says why."""
    since = state.since if isinstance(state, Queued) else _later(at, state)
    return Next(Queued(state.tries, state.digest, since, seen.stage, seen.reason))


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
    """Its end is recorded: let the executor forget it."""
    attempt = state.tries.attempt
    said = seen.cache or state.tries.cache
    done = Succeeded(seen.outputs, attempt, deck=seen.deck, ran=_ran(state), cache=said)
    return Next(done, (Reap(at.path, attempt),))


def attempt_failed(at: At, state: InFlight, seen: AttemptFailed) -> Next:
    """Its end is recorded; the budgets say what comes next."""
    return Next(failed(at, state, seen.why, seen.deck), (Reap(at.path, state.tries.attempt),))


def expanded(at: At, state: InFlight, seen: Expanded) -> Next:
    """What it left is a graph: that runs now, and the task's slot is free."""
    actions: tuple[Action, ...] = (Reap(at.path, state.tries.attempt),)
    inside = Inside(plan=seen.plan)
    return Next(Nested(state.tries, state.digest, _began(at, state)), actions, inside)


def _began(at: At, state: InFlight) -> datetime:
    """When the attempt's process began, as far as anybody knows."""
    if isinstance(state, Running):
        return state.since
    if isinstance(state, Collecting):
        return state.since - timedelta(seconds=state.ran)
    return _later(at, state)


ROWS: Mapping[tuple[type[NodeState], type[AboutNode]], Row] = {
    (Probing, CacheHit): cache_hit,
    (Probing, CacheMiss): cache_miss,
    (Probing, CacheReserved): cache_reserved,
    (Launching, AttemptAccepted): accepted,
    (Launching, AttemptRejected): rejected,
    (Launching, AttemptWaits): waits,
    (Queued, AttemptWaits): waits,
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
    (Launching, Expanded): expanded,
    (Queued, Expanded): expanded,
    (Running, Expanded): expanded,
    (Collecting, Expanded): expanded,
}


def timed_out(at: At, state: Running) -> Next:
    """The deadline has passed: end it, and count it as the user's failure."""
    return Next(failed(at, state, policy.timed_out(at.node)), (Kill(at.path, state.tries.attempt),))


def queued_too_long(at: At, state: Queued) -> Next:
    """It has waited for its start for as long as it may: it is ended, and counts as the system's failure."""
    why = policy.queued_too_long(at.node)
    return Next(failed(at, state, why), (Kill(at.path, state.tries.attempt),))


def lost(at: At, state: Queued | Running) -> Next:
    """A full listing does not know it. It is killed too, in case its machine comes back."""
    attempt = state.tries.attempt
    return Next(failed(at, state, policy.lost(at.node, attempt)), (Kill(at.path, attempt),))
