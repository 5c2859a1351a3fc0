"""Flyte's words for what the machine knows: identifiers, errors, times, phases, cache statuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.engine.core.state import (
    Aborted,
    BackingOff,
    Blame,
    Blocked,
    CacheOutcome,
    Collecting,
    Failed,
    Failure,
    Kept,
    Nested,
    Queued,
    Ready,
    Resolving,
    Running,
    Stage,
    Succeeded,
    Tries,
)
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, RunId, child_run

RunEvent = event.WorkflowExecutionEvent | event.NodeExecutionEvent | event.TaskExecutionEvent
PRODUCER = "flyte-jupyter"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_A_DAY = 86_400
NODE = core.NodeExecution
TASK = core.TaskExecution
_UNTOLD = (Blocked, Resolving)
ATTEMPT_BEGUN = (Running, Collecting, Nested)
"""States of a node whose attempt has run, or runs."""
_KIND: Mapping[Blame, int] = {
    Blame.USER: core.ExecutionError.USER,
    Blame.SYSTEM: core.ExecutionError.SYSTEM,
}
_CACHE: Mapping[CacheOutcome, int] = {
    CacheOutcome.NONE: core.CatalogCacheStatus.CACHE_MISS,
    CacheOutcome.MISS: core.CatalogCacheStatus.CACHE_MISS,
    CacheOutcome.HIT: core.CatalogCacheStatus.CACHE_HIT,
    CacheOutcome.POPULATED: core.CatalogCacheStatus.CACHE_POPULATED,
    CacheOutcome.LOOKUP_FAILURE: core.CatalogCacheStatus.CACHE_LOOKUP_FAILURE,
    CacheOutcome.PUT_FAILURE: core.CatalogCacheStatus.CACHE_PUT_FAILURE,
    CacheOutcome.SKIPPED: core.CatalogCacheStatus.CACHE_SKIPPED,
}
STAGES: Mapping[Stage, int] = {
    Stage.QUEUED: TASK.QUEUED,
    Stage.RESOURCES: TASK.WAITING_FOR_RESOURCES,
    Stage.INITIALIZING: TASK.INITIALIZING,
}


def error(why: Failure, now: datetime) -> core.ExecutionError:
    """A failure as clients see it."""
    return core.ExecutionError(
        code=why.code,
        message=why.message,
        kind=_KIND[why.blame],  # type: ignore[arg-type]  # enum values are ints
        timestamp=stamp(now),
    )


@lru_cache(maxsize=2)  # one moment for all events of a step; a message that takes it copies it
def stamp(now: datetime) -> Timestamp:
    """The moment of a step."""
    return moment(now)


def moment(at: datetime) -> Timestamp:
    """Any moment."""
    since = at - _EPOCH
    seconds = since.days * _SECONDS_A_DAY + since.seconds
    return Timestamp(seconds=seconds, nanos=since.microseconds * 1_000)


@lru_cache(maxsize=16)  # likewise copied by who takes it
def execution(run: RunId) -> core.WorkflowExecutionIdentifier:
    """The execution's identifier."""
    return core.WorkflowExecutionIdentifier(project=run.project, domain=run.domain, name=run.name)


def tries_of(state: Kept | None) -> Tries | None:
    """How often a node was tried that is still on its way; None when it was not."""
    tries: Tries | None = getattr(state, "tries", None)
    return tries


def untold(state: Kept | None) -> bool:
    """Whether clients have heard nothing yet of a node in this state, nor of its attempts."""
    if isinstance(state, Ready):
        return not state.digest and not state.tries.attempt
    return state is None or isinstance(state, _UNTOLD)


def cache_status(state: Kept | None, *, ended: bool) -> int:
    """What the catalog has said so far, or with `ended` also what it has taken."""
    if ended and isinstance(state, Succeeded):
        return _CACHE[CacheOutcome.HIT if state.cached else state.cache]
    tries = tries_of(state)
    return _CACHE[CacheOutcome.NONE if tries is None else tries.cache]


def source(text: str, task: core.Identifier | None) -> core.TaskExecutionIdentifier | None:
    """Whose outputs a cache hit took, from ``project/domain/execution/node/attempt``; None for any other text."""
    parts = text.split("/")
    if len(parts) != len(("project", "domain", "execution", "node", "attempt")):
        return None
    project, domain, name, node, attempt = parts
    if not attempt.isdecimal():
        return None
    return core.TaskExecutionIdentifier(
        task_id=task,
        node_execution_id=core.NodeExecutionIdentifier(
            node_id=node, execution_id=execution(RunId(project, domain, name))
        ),
        retry_attempt=int(attempt),
    )


def started(state: Kept | None, attempt: AttemptId) -> RunId:
    """The execution that a launch plan's attempt is, or that it was in the execution which was recovered."""
    told = state.child.split("/") if isinstance(state, Succeeded) else ()
    match told:
        case (project, domain, name):
            return RunId(project, domain, name)
    return child_run(attempt)


def item_phase(state: Kept | None) -> tuple[int, int]:
    """The attempt that an item is at, and the phase of that attempt."""
    if isinstance(state, Succeeded):
        return state.attempt, TASK.SUCCEEDED
    if isinstance(state, Failed):
        return state.attempt, TASK.FAILED
    if isinstance(state, Aborted):
        return state.attempt, TASK.ABORTED
    if isinstance(state, BackingOff):
        return state.tries.attempt - 1, TASK.RETRYABLE_FAILED
    if isinstance(state, ATTEMPT_BEGUN):
        return state.tries.attempt, TASK.RUNNING
    tries = tries_of(state)
    attempt = 0 if tries is None else tries.attempt
    return attempt, STAGES[state.stage] if isinstance(state, Queued) else TASK.QUEUED
