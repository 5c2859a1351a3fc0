"""The events of a task node's attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.core.place import Place
from flyte_jupyter.engine.core.state import (
    TERMINAL,
    Aborted,
    BackingOff,
    Blame,
    Collecting,
    Failed,
    Failure,
    Kept,
    Launching,
    Nested,
    Queued,
    Ready,
    Running,
    Stage,
    Succeeded,
    Tries,
)
from flyte_jupyter.engine.core.wording import STAGES, TASK, error, tries_of
from flyte_jupyter.idl import event
from flyte_jupyter.idl.ids import AttemptId, path_text

_TOLD: Mapping[type[Kept], tuple[int, ...]] = {
    Ready: (),
    BackingOff: (),
    Launching: (TASK.QUEUED,),
    Queued: (TASK.QUEUED,),
    Running: (TASK.QUEUED, TASK.RUNNING),
    Collecting: (TASK.QUEUED, TASK.RUNNING),
    # The attempt that left the graph has done its work.
    Nested: (TASK.QUEUED, TASK.RUNNING, TASK.SUCCEEDED),
}
"""The phases that an attempt has been told in whose node is in such a state."""
_UNSUCCESSFUL = (Failed, Aborted)
_UNNAMED = Failure("Unknown", "The attempt failed; why was not kept.", Blame.SYSTEM)


def attempt_events(place: Place) -> Iterator[event.TaskExecutionEvent]:
    """The events of every attempt that this change touches, the earliest attempt first."""
    number, told = _attempt(place.before, tries_of(place.before))
    reached, following = _attempt(place.after, place.tries)
    if number is None and isinstance(place.after, Nested):
        # The graph is an earlier execution's: no attempt made it here.
        return
    if reached is None:
        reached = _ended_attempt(place.after, number, began=bool(told))
        if reached is None:
            return
    last = None if place.tries is None else place.tries.last
    for attempt in range(number or 0, reached):
        already = told if attempt == number else ()
        if TASK.SUCCEEDED in already:
            continue
        if not already:
            yield task_event(place, attempt, TASK.QUEUED)
        why = last if last is not None and attempt == reached - 1 else _UNNAMED
        yield task_event(place, attempt, TASK.RETRYABLE_FAILED, why)
    already = told if number == reached else ()
    if isinstance(place.after, TERMINAL):
        yield from _ended(place, reached, already)
        return
    for phase in following[len(already) :]:
        yield task_event(place, reached, phase, going=True)
    if isinstance(place.after, Queued):
        yield from _waits(place, place.after, reached)


def task_event(
    place: Place,
    attempt: int,
    phase: int,
    why: Failure | None = None,
    *,
    going: bool = False,
) -> event.TaskExecutionEvent:
    """One event of one attempt; `going`: of its start, which may be heard of together with its end."""
    after = place.after
    made = event.TaskExecutionEvent()
    made.CopyFrom(place.change.of_task(place.task))
    made.parent_node_execution_id.node_id = path_text(place.path)
    made.task_type = place.node.task_type
    made.input_uri = place.inputs
    if attempt:
        made.retry_attempt = attempt
    made.phase = phase  # type: ignore[assignment]  # enum values are ints
    made.occurred_at.CopyFrom(place.moment(going=going))
    if place.node.interruptible and _interruptible(place, attempt):
        made.metadata.instance_class = event.TaskExecutionMetadata.INTERRUPTIBLE
    if why is not None:
        context = place.change.context
        made.error.CopyFrom(error(why, place.change.now))
        attempted = AttemptId(context.run, place.path, attempt)
        made.error.error_uri = layout.error_uri(context.root, attempted)
    elif phase == TASK.SUCCEEDED:
        outputs = after.outputs if isinstance(after, Succeeded) else ""
        made.output_uri = outputs or place.outputs(attempt)
    return made


def _interruptible(place: Place, attempt: int) -> bool:
    """Whether the attempt may be interrupted, as far as the node still knows: the system's last one may not."""
    tries = place.tries
    if tries is None or tries.attempt != attempt:
        return False
    return tries.system_failures < place.node.system_retries


def _attempt(state: Kept, tries: Tries | None) -> tuple[int | None, tuple[int, ...]]:
    """The attempt that such a node is at, and the phases it has been told in; None when it is at none."""
    return (None, ()) if tries is None else (tries.attempt, _TOLD[type(state)])


def _ended_attempt(after: Kept, number: int | None, *, began: bool) -> int | None:
    """The attempt with which a node ended; None when it ended without one."""
    if isinstance(after, Succeeded):
        return None if after.cached or after.recovered else after.attempt
    if isinstance(after, _UNSUCCESSFUL) and (began or after.attempt > (number or 0)):
        return after.attempt
    return None


def _ended(
    place: Place, attempt: int, already: Sequence[int]
) -> Iterator[event.TaskExecutionEvent]:
    if TASK.SUCCEEDED in already:
        return
    after = place.after
    # Its process ran, even if nobody heard of its start before its end.
    ran = isinstance(after, Succeeded) or (isinstance(after, Failed) and after.ran > 0)
    missing = (TASK.QUEUED, TASK.RUNNING) if ran else (TASK.QUEUED,)
    for phase in missing[len(already) :]:
        yield task_event(place, attempt, phase, going=True)
    if isinstance(after, Failed):
        yield task_event(place, attempt, TASK.FAILED, after.failure)
    elif isinstance(after, Aborted):
        yield task_event(place, attempt, TASK.ABORTED, Failure("Aborted", after.cause))
    else:
        yield task_event(place, attempt, TASK.SUCCEEDED)


def _waits(place: Place, after: Queued, attempt: int) -> Iterator[event.TaskExecutionEvent]:
    """What an attempt waits for, when that has changed."""
    before = place.before
    if after.stage is Stage.QUEUED and not after.reason:
        return
    if (
        isinstance(before, Queued)
        and (before.tries.attempt, before.stage) == (attempt, after.stage)
        and after.reason in ("", before.reason)
    ):
        return
    made = task_event(place, attempt, STAGES[after.stage])
    made.reason = after.reason
    made.reasons.add(reason=after.reason, occurred_at=place.change.stamp)
    yield made
