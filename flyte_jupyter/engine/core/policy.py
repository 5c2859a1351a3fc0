"""Budgets, back-off, deadlines: arithmetic only."""

from __future__ import annotations

from datetime import datetime, timedelta

from flyte_jupyter.engine.core.plan import NodePlan
from flyte_jupyter.engine.core.state import BackingOff, Blame, Failed, Failure, Running, Tries

AUTO_ABORT = "Some node execution failed, auto-abort."


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
    following = Tries(tries.attempt + 1, spoiled, failure)
    return BackingOff(following, "", now + max(node.backoff, timedelta(0)), failure)


def exhausted(failure: Failure, used: int, budget: int) -> Failure:
    """The failure of a node that had `budget` attempts and used them all. A budget of one leaves it as it is."""
    if budget <= 1:
        return failure
    message = (
        f"[{used}/{budget}] currentAttempt done. "
        f"Last Error: {failure.blame.name}::{failure.message}"
    )
    return Failure(f"RetriesExhausted|{failure.code}", message, failure.blame)


def timed_out(node: NodePlan) -> Failure:
    """The failure of an attempt that ran past its deadline."""
    return Failure(
        "TimeoutExpired",
        f"Node {node.id!r}: the attempt did not end within its timeout of {node.timeout}. "
        "Raise the task's timeout, or give it less to do.",
        Blame.USER,
        retryable=True,
    )


def lost(node: NodePlan, attempt: int) -> Failure:
    """The failure of an attempt that its executor no longer knows."""
    return Failure(
        "Lost",
        f"Node {node.id!r}: attempt {attempt} vanished from its executor without a trace "
        "(its process or machine is gone). It counts as the system's failure.",
        Blame.SYSTEM,
        retryable=True,
    )


def deadline(node: NodePlan, since: datetime) -> datetime | None:
    """When an attempt that started at `since` must have ended; None when it may run for ever."""
    if node.timeout is None or node.timeout <= timedelta(0):
        return None
    return since + node.timeout


def extended(running: Running, gap: timedelta, now: datetime) -> datetime | None:
    """The deadline after the clock stood still for `gap`: an attempt is given back at most the time it has run."""
    if running.deadline is None:
        return None
    given = min(max(gap, timedelta(0)), max(now - running.since, timedelta(0)))
    return running.deadline + given
