"""Budgets, back-off, deadlines: arithmetic only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from flyte_jupyter.engine.core.plan import NodePlan
from flyte_jupyter.engine.core.state import (
    BackingOff,
    Blame,
    Failed,
    Failure,
    Launching,
    Mapped,
    Nested,
    NodeState,
    Probing,
    Queued,
    Ready,
    Reserved,
    Running,
    RunSummary,
    Tries,
    Waiting,
)

AUTO_ABORT = "Some node execution failed, auto-abort."
LONGEST_BACK_OFF = timedelta(minutes=5)
_NOTHING = timedelta(0)
_TOLD = 10
"""How many items' errors an array node's error repeats."""
_MOST_OF_ONE = 10_000
"""Characters that it repeats of each: the whole message stands at the item."""


# -- attempts --------------------------------------------------------------------------------------


def after_failure(
    node: NodePlan, tries: Tries, failure: Failure, now: datetime
) -> BackingOff | Failed:
    """What becomes of a node whose attempt `tries.attempt` failed.

    The user's and the system's failures are counted apart: a user's code is not charged for a lost worker.
    """
    by_system = failure.blame is Blame.SYSTEM
    spoiled = tries.system_failures + by_system
    used = spoiled if by_system else tries.attempt + 1 - spoiled
    budget = (node.system_retries if by_system else node.retries) + 1
    if not failure.retryable:
        return Failed(failure, tries.attempt)
    if used >= budget:
        return Failed(exhausted(failure, used, budget), tries.attempt)
    following = Tries(tries.attempt + 1, spoiled, failure, tries.since, tries.cache)
    wait = back_off(node.system_backoff if by_system else node.backoff, used)
    return BackingOff(following, "", now + wait, failure)


def back_off(first: timedelta, failures: int) -> timedelta:
    """How long the retry after so many failures waits: doubled each time, five minutes at the most."""
    if first <= _NOTHING:
        return _NOTHING
    doubled: timedelta = min(first, LONGEST_BACK_OFF) * 2 ** min(failures - 1, 16)
    return min(doubled, LONGEST_BACK_OFF)


def exhausted(failure: Failure, used: int, budget: int) -> Failure:
    """The failure of a node that had `budget` attempts and used them all. A budget of one leaves it as it is."""
    if budget <= 1:
        return failure
    message = (
        f"[{used}/{budget}] currentAttempt done. "
        f"Last Error: {failure.blame.name}::{failure.message}"
    )
    return Failure(f"RetriesExhausted|{failure.code}", message, failure.blame)


def lost(node: NodePlan, attempt: int) -> Failure:
    """The failure of an attempt that its executor no longer knows."""
    return Failure(
        "Lost",
        f"Node {node.id!r}: attempt {attempt} vanished from its executor without a trace "
        "(its process or machine is gone). It counts as the system's failure.",
        Blame.SYSTEM,
        retryable=True,
    )


# -- time ------------------------------------------------------------------------------------------


def timed_out(node: NodePlan) -> Failure:
    """The failure of an attempt that ran past its deadline."""
    return Failure(
        "TimeoutExpired",
        f"Node {node.id!r}: the attempt did not end within its timeout of {node.timeout}. "
        "Raise the task's timeout, or give it less to do.",
        Blame.USER,
        retryable=True,
    )


def overran(node: NodePlan) -> Failure:
    """The failure of a node whose inside did not end in the time of one attempt."""
    message = (
        f"Node {node.id!r}: what stands inside it did not end within its timeout of {node.timeout}, "
        "counted from when the node's attempt began. Raise the timeout, or give it less to do."
    )
    return replace(timed_out(node), message=message)


def queued_too_long(node: NodePlan) -> Failure:
    """The failure of an attempt that had not started when its budget for queueing was used up."""
    return Failure(
        "QueueingBudgetExceeded",
        f"Node {node.id!r}: the attempt did not start within its queueing budget of {node.queueing}. "
        "Ask for a better quality of service, or for less of what is scarce.",
        Blame.SYSTEM,
        retryable=True,
    )


def out_of_patience(node: NodePlan) -> Failure:
    """The failure of a gate that waited for as long as it may."""
    gate, limit = node.gate, patience(node)
    message = (
        f"Node {node.id!r}: nobody answered its signal {gate.signal!r} within its timeout of {limit}. "
        "Answer sooner, or raise the timeout."
        if gate.sleep is None
        else f"Node {node.id!r}: it sleeps for {gate.sleep}, longer than its timeout of {limit}. Raise the timeout."
    )
    return Failure("TimeoutExpired", message)


def node_timed_out(node: NodePlan) -> Failure:
    """The failure of a node that took too long with all its attempts."""
    limit = node.node_timeout
    # A task says how long an attempt may take: it would not know a limit that it never wrote.
    own = (
        f" (its attempts may take {node.timeout} each)" if node.timeout not in (None, limit) else ""
    )
    return Failure(
        "TimeoutExpired",
        f"Node {node.id!r} did not end within its time limit of {limit}{own}, counted from when it was first queued: "
        "waiting for room counts too. Raise the limit, or give it less to do.",
        Blame.USER,
    )


def run_timed_out(timeout: timedelta) -> Failure:
    """The failure of a run that took too long (Flyte's code for it)."""
    return Failure(
        "Timeout",
        f"The execution did not end within its time limit of {timeout}. "
        "Raise the limit, or give it less to do.",
    )


def deadline(node: NodePlan, since: datetime) -> datetime | None:
    """When an attempt that started at `since` must have ended; None when it may run for ever."""
    if node.timeout is None or node.timeout <= _NOTHING:
        return None
    return since + node.timeout


def patience(node: NodePlan) -> timedelta | None:
    """How long a gate waits before it fails; None: for ever."""
    limits = [each for each in (node.timeout, node.node_timeout) if each and each > _NOTHING]
    return min(limits, default=None)


def counts_time(node: NodePlan) -> bool:
    """Whether the node has a time limit of its own, over all its attempts."""
    return node.node_timeout is not None and node.node_timeout > _NOTHING


def node_deadline(node: NodePlan, state: NodeState) -> datetime | None:
    """When the node must have ended with all its attempts; None when it may take for ever.

    What is only read any more (`Collecting`, `Gathering`) is let end.
    """
    since: datetime | None = None
    if isinstance(state, Waiting):
        return state.deadline
    if not counts_time(node):
        return None
    if isinstance(state, Ready | BackingOff | Launching | Queued | Running | Nested):
        since = state.tries.since
    elif isinstance(state, Probing | Reserved | Mapped):
        since = state.since
    assert node.node_timeout is not None
    return None if since is None else since + node.node_timeout


def must_end(node: NodePlan, state: NodeState) -> datetime | None:
    """When the node or its attempt must have ended, whichever comes first."""
    whole, own = node_deadline(node, state), None
    if isinstance(state, Running):
        own = state.deadline
    elif isinstance(state, Queued):
        if node.queueing is not None:
            own = state.since + node.queueing
    elif isinstance(state, Nested | Mapped):
        own = deadline(node, state.since)
    if own is None:
        return whole
    return own if whole is None else min(whole, own)


def after_gap(state: NodeState, gap: timedelta, now: datetime) -> NodeState:
    """The state after the clock stood still for `gap`: whatever is timed is given back at most the time it has run."""
    if isinstance(state, Waiting):
        if state.deadline is None:
            return state
        return replace(state, deadline=state.deadline + _given(gap, state.since, now))
    if isinstance(state, Probing | Reserved):
        return replace(state, since=_later(state.since, gap, now))
    if isinstance(state, Mapped):
        return replace(state, since=state.since + _given(gap, state.since, now))
    if isinstance(state, Queued | Nested):
        state = replace(state, since=state.since + _given(gap, state.since, now))
    if isinstance(state, Running) and state.deadline is not None:
        state = replace(state, deadline=state.deadline + _given(gap, state.since, now))
    if isinstance(state, Ready | BackingOff | Launching | Queued | Running | Nested):
        since = _later(state.tries.since, gap, now)
        if since != state.tries.since:
            return replace(state, tries=replace(state.tries, since=since))
    return state


def begun_later(summary: RunSummary, gap: timedelta, now: datetime) -> RunSummary:
    """The summary of a run whose clock stood still for `gap`: its time limit is given back at most the time it has run."""
    since = _later(summary.since, gap, now)
    return summary if since == summary.since else replace(summary, since=since)


def _given(gap: timedelta, since: datetime, now: datetime) -> timedelta:
    return min(max(gap, _NOTHING), max(now - since, _NOTHING))


def _later(since: datetime | None, gap: timedelta, now: datetime) -> datetime | None:
    return None if since is None else since + _given(gap, since, now)


# -- composites ------------------------------------------------------------------------------------


def too_few(node: NodePlan, size: int, failures: Iterable[tuple[int, Failure]]) -> Failure:
    """The failure of an array node of which too many items failed: the first few errors, with their indexes."""
    found = list(failures)
    least = node.array.least(size)
    if not found:
        return Failure(
            "NotEnoughItems",
            f"Node {node.id!r}: {least} items must succeed, but there are only {size}.",
        )
    lines = [f"[{index}]: {why.code}: {why.message[:_MOST_OF_ONE]}" for index, why in found[:_TOLD]]
    if len(found) > _TOLD:
        lines.append(f"... and {len(found) - _TOLD} more")
    spoiled = all(why.blame is Blame.SYSTEM for _, why in found)
    return Failure(
        found[0][1].code,
        f"Node {node.id!r}: {len(found)} of {size} items failed, {least} must succeed.\n"
        + "\n".join(lines),
        Blame.SYSTEM if spoiled else Blame.USER,
    )


def no_graph(node: NodePlan, what: str) -> Failure:
    """The failure of a composite whose inside is not known."""
    return Failure(
        "GraphUnknown",
        f"Node {node.id!r}: {what}. This is a fault of the engine: report it.",
        Blame.SYSTEM,
    )
