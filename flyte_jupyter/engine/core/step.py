"""The machine's door: ``step(plan, state, seen, now) -> Step``.

1. Pure. The same plan, state, observation and time always give the same step; the state before stays valid.
2. Anything may be heard late, twice, or out of order. What is not news changes nothing and asks nothing.
3. Two exceptions: an attempt that shows itself and that no open state claims is killed or reaped, however often it does; and a
   signal is looked at by every gate that waits for it, however often it is said to be set.
4. What names an attempt is believed only while that attempt is in flight; attempt numbers only grow, so an old one never
   passes for a new one.
5. Terminal is for ever, of a node and of a run. A run is final when, and only when, no node is open; should rows ever say
   otherwise, a final run still moves no node, and whatever attempt shows itself is a stranger.
6. An attempt's end is recorded in the same step that asks for its `Reap`; a stop is recorded in the same step that asks for its `Kill`.
   Both are owed until done, so a final run leaves nothing behind.
7. Time comes only as `now`. Deadlines are judged only at a `Tick`, after its gap has been added to them; back-offs end at any step.
   Where `now` is earlier than what the state knows, the later of the two counts. (A `Tick` with a gap is the one thing that
   must be said once: it comes from the clock, not over a channel.)
8. A step costs what it changes. Only an abort, a first failure under fail-fast, an array node's failure and a listing cost more:
   the size of the graph or array that stops, and of what can be lost.
9. Graphs stand inside nodes. A graph is open while its node is `Nested` at its attempt; what ends a node from outside ends all
   that stands inside it in the same step. Nothing is written of a node that nothing has happened to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from flyte_jupyter.engine.core import (
    attempts,
    composites,
    nesting,
    policy,
    stopping,
    transitions,
    turns,
)
from flyte_jupyter.engine.core.actions import Action, Kill, ReadSignal, WakeAt
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.index import next_wake, rebuild
from flyte_jupyter.engine.core.observations import (
    AbortRequested,
    AboutNode,
    AttemptAccepted,
    AttemptEnded,
    AttemptFailed,
    AttemptRejected,
    AttemptStarted,
    AttemptSucceeded,
    AttemptWaits,
    Expanded,
    Live,
    Observation,
    SignalSet,
    Started,
    Tick,
)
from flyte_jupyter.engine.core.plan import Plan, Plans
from flyte_jupyter.engine.core.scopes import ROOT, plans_of
from flyte_jupyter.engine.core.settle import settle
from flyte_jupyter.engine.core.state import (
    MOST_OPENING,
    Failure,
    Mapped,
    Nested,
    Queued,
    Resolving,
    Running,
    RunPhase,
    RunState,
    RunSummary,
    Scope,
    Waiting,
)
from flyte_jupyter.idl.ids import Path

_OF_ATTEMPT = (
    AttemptEnded,
    AttemptSucceeded,
    AttemptAccepted,
    AttemptStarted,
    AttemptWaits,
    AttemptRejected,
    AttemptFailed,
    Expanded,
)


class Step(NamedTuple):
    """What hearing something leads to: the state after, the places that differ, and what is owed, in order."""

    state: RunState
    changed: frozenset[Path]
    actions: tuple[Action, ...]


def initial(
    plans: Plans | Plan,
    *,
    max_parallelism: int = 0,
    overwrite_cache: bool = False,
    timeout: timedelta | None = None,
    most_opening: int = MOST_OPENING,
) -> RunState:
    """A run that has not begun. A limit of 0 is none, without a `timeout` it may take for ever."""
    plans = plans_of(plans)
    summary = not_begun(
        len(plans.root.nodes),
        max_parallelism=max_parallelism,
        overwrite_cache=overwrite_cache,
        timeout=timeout,
        most_opening=most_opening,
    )
    return rebuild(plans, summary, {})


def not_begun(
    nodes: int,
    *,
    max_parallelism: int = 0,
    overwrite_cache: bool = False,
    timeout: timedelta | None = None,
    most_opening: int = MOST_OPENING,
) -> RunSummary:
    """What is known of a run that has not begun, with so many nodes in its outermost graph. Otherwise as `initial`."""
    return RunSummary(
        open=nodes,
        max_parallelism=max_parallelism,
        most_opening=most_opening,
        overwrite_cache=overwrite_cache,
        timeout=timeout,
    )


def step(plans: Plans | Plan, state: RunState, seen: Observation, now: datetime) -> Step:
    """Hear one thing. A state without its indexes (fresh from rows) is indexed first."""
    return fold(plans, state, (seen,), now)


def fold(plans: Plans | Plan, state: RunState, batch: Sequence[Observation], now: datetime) -> Step:
    """Hear many things in order, as so many steps at the same `now` would, at the price of one."""
    draft = Draft(plans, state, now)
    for seen in batch:
        _hear(draft, seen)
        settle(draft)
    after, changed = draft.finish()
    wake = next_wake(after)
    if wake is not None:
        before = next_wake(state)
        ticked = any(isinstance(seen, Tick) for seen in batch)
        if ticked or before is None or wake < before:
            draft.ask((WakeAt(wake),))
    if not changed and after.summary == state.summary and state.index is not None:
        after = state
    return Step(after, changed, tuple(draft.actions))


def give_up(plans: Plans | Plan, state: RunState, why: Failure, now: datetime) -> Step:
    """End a run that its engine cannot go on with: it fails with `why`, and what is in flight is stopped.

    A run that is final stays as it is. No failure node runs: that would be going on.
    """
    draft = Draft(plans, state, now)
    if not draft.summary.phase.final:
        draft.summary = replace(
            draft.summary, phase=RunPhase.FAILING, failure=why, failed_node="", handling=True
        )
        stopping.stop_all(draft, why.message)
        settle(draft)
    after, changed = draft.finish()
    return Step(after, changed, tuple(draft.actions))


def _hear(draft: Draft, seen: Observation) -> None:
    match seen:
        case Live():
            _judge(draft, seen)
        case _ if draft.summary.phase.final:
            if isinstance(seen, AboutNode):
                draft.ask(transitions.unclaimed(seen))
        case Started():
            _begin(draft)
        case AbortRequested():
            _abort(draft, seen)
        case Tick():
            _tick(draft, seen)
        case SignalSet():
            waiting = [path for signal, path in draft.gates if signal == seen.signal]
            draft.ask(ReadSignal(path) for path in waiting)
        case _:
            _hear_node(draft, seen)


def _begin(draft: Draft) -> None:
    if draft.summary.phase is not RunPhase.QUEUED:
        return
    since = None if draft.summary.timeout is None else draft.now
    draft.summary = replace(draft.summary, phase=RunPhase.RUNNING, since=since)
    nesting.begin(draft, ROOT)


def _abort(draft: Draft, seen: AbortRequested) -> None:
    draft.summary = replace(
        draft.summary, phase=RunPhase.ABORTING, abort=seen.cause, principal=seen.principal
    )
    stopping.stop_all(draft, seen.cause)


def _tick(draft: Draft, seen: Tick) -> None:
    if seen.gap:
        draft.summary = policy.begun_later(draft.summary, seen.gap, draft.now)
        for _, path in draft.deadlines:
            state = draft.get(path)
            assert state is not None
            assert not isinstance(state, Scope)
            draft.put(path, policy.after_gap(state, seen.gap, draft.now))
    limit, timeout = draft.summary.deadline, draft.summary.timeout
    if limit is not None and limit <= draft.now and timeout is not None:
        stopping.run_out(draft, timeout)
    while (head := draft.deadlines.first) is not None and head[0] <= draft.now:
        _expire(draft, head[1])


def _expire(draft: Draft, path: Path) -> None:
    state = draft.get(path)
    assert state is not None
    assert not isinstance(state, Scope)
    at = turns.at(draft, path)
    whole = policy.node_deadline(at.node, state)
    if isinstance(state, Waiting) and state.until is not None and state.until <= draft.now:
        nesting.take(draft, at, state, composites.slept(at, state))
    elif whole is not None and whole <= draft.now:
        stopping.time_out(draft, path, state)
    elif isinstance(state, Queued):
        nesting.take(draft, at, state, attempts.queued_too_long(at, state))
    elif isinstance(state, Nested | Mapped):
        nesting.overrun(draft, path, state)
    else:
        assert isinstance(state, Running)
        nesting.take(draft, at, state, attempts.timed_out(at, state))


def _judge(draft: Draft, seen: Live) -> None:
    final = draft.summary.phase.final
    for path in () if final else draft.losable:
        state = draft.get(path)
        assert isinstance(state, Queued | Running)
        if state.since < seen.as_of and (path, state.tries.attempt) not in seen.attempts:
            at = turns.at(draft, path)
            nesting.take(draft, at, state, attempts.lost(at, state))
    strangers = [
        (path, attempt)
        for path, attempt in seen.attempts
        if final or not transitions.claims(draft.get(path), attempt)
    ]
    draft.ask(Kill(path, attempt) for path, attempt in sorted(strangers))


def _hear_node(draft: Draft, seen: AboutNode) -> None:
    path = seen.path
    state = draft.get(path)
    if isinstance(seen, _OF_ATTEMPT):
        recovered = isinstance(seen, Expanded) and isinstance(state, Resolving)
        if not (recovered or transitions.claims(state, seen.attempt)):
            draft.ask(transitions.unclaimed(seen))
            return
    if state is None or isinstance(state, Scope):
        return
    row = transitions.TABLE.get((type(state), type(seen)))
    if row is not None:
        at = turns.at(draft, path)
        nesting.take(draft, at, state, row(at, state, seen))
