"""The machine's door: ``step(plan, state, seen, now) -> Step``.

1. Pure. The same plan, state, observation and time always give the same step; the state before stays valid.
2. Anything may be heard late, twice, or out of order. What is not news changes nothing and asks nothing.
3. One exception: an attempt that shows itself and that no open state claims is killed or reaped, however often it does.
4. What names an attempt is believed only while that attempt is in flight; attempt numbers only grow, so an old one never
   passes for a new one.
5. Terminal is for ever, of a node and of a run. A run is final when, and only when, no node is open; should rows ever say
   otherwise, a final run still moves no node, and whatever attempt shows itself is a stranger.
6. An attempt's end is recorded in the same step that asks for its `Reap`; a stop is recorded in the same step that asks for its `Kill`.
   Both are owed until done, so a final run leaves nothing behind.
7. Time comes only as `now`. Deadlines are judged only at a `Tick`, after its gap has been added to them; back-offs end at any step.
   Where `now` is earlier than what the state knows, the later of the two counts. (A `Tick` with a gap is the one thing that
   must be said once: it comes from the clock, not over a channel.)
8. A step costs what it changes. Only `Started`, an abort, a first failure under fail-fast and a listing cost more, and a listing
   costs what can be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from flyte_jupyter.engine.core import policy, transitions
from flyte_jupyter.engine.core.actions import Action, Kill, WakeAt
from flyte_jupyter.engine.core.draft import Draft
from flyte_jupyter.engine.core.index import next_wake, node_at, rebuild
from flyte_jupyter.engine.core.observations import (
    AbortRequested,
    AboutNode,
    CacheHit,
    CacheMiss,
    InputsReady,
    InputsUnresolvable,
    Live,
    Observation,
    Started,
    Tick,
)
from flyte_jupyter.engine.core.plan import NodeKind, Plan
from flyte_jupyter.engine.core.settle import enable, settle, stop_all
from flyte_jupyter.engine.core.state import (
    Blocked,
    Failure,
    Queued,
    Running,
    RunPhase,
    RunState,
    RunSummary,
    Succeeded,
)
from flyte_jupyter.idl.ids import Path

_BEFORE_ANY_ATTEMPT = (InputsReady, InputsUnresolvable, CacheHit, CacheMiss)


class Step(NamedTuple):
    """What hearing something leads to: the state after, the nodes that differ, and what is owed, in order."""

    state: RunState
    changed: frozenset[Path]
    actions: tuple[Action, ...]


def initial(plan: Plan, *, max_parallelism: int = 0, overwrite_cache: bool = False) -> RunState:
    """A run of this plan that has not begun. `max_parallelism` 0 is unlimited."""
    summary = RunSummary(max_parallelism=max_parallelism, overwrite_cache=overwrite_cache)
    return rebuild(
        plan, summary, {(node.id,): Blocked(len(node.upstream)) for node in plan.nodes.values()}
    )


def step(plan: Plan, state: RunState, seen: Observation, now: datetime) -> Step:
    """Hear one thing. A state without its indexes (fresh from rows) is indexed first."""
    return fold(plan, state, (seen,), now)


def fold(plan: Plan, state: RunState, batch: Sequence[Observation], now: datetime) -> Step:
    """Hear many things in order, as so many steps at the same `now` would, at the price of one."""
    draft = Draft(plan, state, now)
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


def give_up(plan: Plan, state: RunState, why: Failure, now: datetime) -> Step:
    """End a run that its engine cannot go on with: it fails with `why`, and what is in flight is stopped.

    A run that is final stays as it is.
    """
    draft = Draft(plan, state, now)
    if not draft.summary.phase.final:
        draft.summary = replace(draft.summary, phase=RunPhase.FAILING, failure=why, failed_node="")
        stop_all(draft, why.message)
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
        case _:
            _hear_node(draft, seen)


def _begin(draft: Draft) -> None:
    if draft.summary.phase is not RunPhase.QUEUED:
        return
    draft.summary = replace(draft.summary, phase=RunPhase.RUNNING)
    for node in draft.plan.roots:
        if draft.plan.nodes[node].kind is NodeKind.START:
            draft.put((node,), Succeeded(""))
        else:
            enable(draft, (node,))


def _abort(draft: Draft, seen: AbortRequested) -> None:
    draft.summary = replace(
        draft.summary, phase=RunPhase.ABORTING, abort=seen.cause, principal=seen.principal
    )
    stop_all(draft, seen.cause)


def _tick(draft: Draft, seen: Tick) -> None:
    if seen.gap:
        for _, path in draft.deadlines:
            running = draft.get(path)
            assert isinstance(running, Running)
            longer = policy.extended(running, seen.gap, draft.now)
            draft.put(path, replace(running, deadline=longer))
    while (head := draft.deadlines.first) is not None and head[0] <= draft.now:
        running = draft.get(head[1])
        assert isinstance(running, Running)
        _take(draft, head[1], transitions.timed_out(_at(draft, head[1]), running))


def _judge(draft: Draft, seen: Live) -> None:
    final = draft.summary.phase.final
    for path in () if final else draft.losable:
        state = draft.get(path)
        assert isinstance(state, Queued | Running)
        if state.since < seen.as_of and (path, state.tries.attempt) not in seen.attempts:
            _take(draft, path, transitions.lost(_at(draft, path), state))
    strangers = [
        (path, attempt)
        for path, attempt in seen.attempts
        if final or not transitions.claims(draft.get(path), attempt)
    ]
    draft.ask(Kill(path, attempt) for path, attempt in sorted(strangers))


def _hear_node(draft: Draft, seen: AboutNode) -> None:
    path = seen.path
    state = draft.get(path)
    if not isinstance(seen, _BEFORE_ANY_ATTEMPT) and not transitions.claims(state, seen.attempt):
        draft.ask(transitions.unclaimed(seen))
        return
    if state is None:
        return
    row = transitions.TABLE.get((type(state), type(seen)))
    if row is not None:
        _take(draft, path, row(_at(draft, path), state, seen))


def _take(draft: Draft, path: Path, following: transitions.Next) -> None:
    draft.put(path, following.state)
    draft.ask(following.actions)


def _at(draft: Draft, path: Path) -> transitions.At:
    node = node_at(draft.plan, path)
    assert node is not None
    return transitions.At(path, node, draft.now, draft.summary.overwrite_cache)
