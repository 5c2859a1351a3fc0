"""The events of an array node's items: one task execution stands for all of them, and tells of those that changed."""

from __future__ import annotations

from collections.abc import Iterator

from flyte_jupyter.engine.core.attempt_events import task_event
from flyte_jupyter.engine.core.place import Place
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.core.state import (
    TERMINAL,
    Aborted,
    Failed,
    Failure,
    Gathering,
    Mapped,
    Succeeded,
)
from flyte_jupyter.engine.core.wording import (
    TASK,
    cache_status,
    execution,
    item_phase,
    started,
)
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, path_text

TASK_TYPE = "container_array"
PLUGIN = "k8s-array"
SIZE = "size"
"""The key of the first event's custom info that says how many items there are: those that have not begun are in no event."""


def array_events(place: Place) -> Iterator[event.TaskExecutionEvent]:
    """The events of the task execution that stands for the items. Nothing, as long as there are no items."""
    after = place.after
    told = isinstance(place.before, Mapped | Gathering)
    done = isinstance(after, Succeeded) and not after.recovered
    if not (told or done or place.items or isinstance(after, Mapped | Gathering)):
        return
    changes = [each for index in place.items for each in _item(place, index)]
    ends = place.moved and isinstance(after, TERMINAL)
    if told and not (ends or changes):
        return
    if ends and not told:
        yield _whole(place, TASK.RUNNING)
    if not ends:
        made = _whole(place, TASK.RUNNING)
    elif isinstance(after, Failed):
        made = _whole(place, TASK.FAILED, after.failure)
    elif isinstance(after, Aborted):
        made = _whole(place, TASK.ABORTED, Failure("Aborted", after.cause))
    else:
        made = _whole(place, TASK.SUCCEEDED)
    if not told and isinstance(after, Mapped | Gathering):
        made.custom_info.update({SIZE: after.size})
    made.metadata.external_resources.extend(changes)
    yield made


def _whole(place: Place, phase: int, why: Failure | None = None) -> event.TaskExecutionEvent:
    made = task_event(place, 0, phase, why)
    run = place.change.context.run
    if place.task is None:
        # Of child executions: there is no task that could be named.
        made.task_id.resource_type = core.ResourceType.TASK
        made.task_id.project, made.task_id.domain = run.project, run.domain
        made.task_id.name, made.task_id.version = place.node.id, "1"
    made.task_type = TASK_TYPE
    made.metadata.plugin_identifier = PLUGIN
    return made


def _item(place: Place, index: int) -> Iterator[event.ExternalResourceInfo]:
    """The attempts of the item in which clients would see a difference, the earliest first."""
    path = (*place.path, index)
    before, after = place.change.before.get(path), place.change.after.get(path)
    now, told = item_phase(after), (0, TASK.UNDEFINED) if before is None else item_phase(before)
    for attempt in range(told[0], now[0]):
        if (attempt, TASK.RETRYABLE_FAILED) != told:
            yield _attempt(place, index, attempt, TASK.RETRYABLE_FAILED)
    if now != told:
        yield _attempt(place, index, *now)


def _attempt(place: Place, index: int, attempt: int, phase: int) -> event.ExternalResourceInfo:
    path = (*place.path, index)
    after = place.change.after.get(path)
    run, item = place.change.context.run, place.node.item
    made = event.ExternalResourceInfo(
        external_id=f"{run.name}-{path_text(path)}-{attempt}",
        index=index,
        retry_attempt=attempt,
        phase=phase,  # type: ignore[arg-type]  # enum values are ints
    )
    if item is not None and item.cache is not None:
        said = cache_status(after, ended=phase != TASK.RETRYABLE_FAILED)
        made.cache_status = said  # type: ignore[assignment]  # enum values are ints
    if item is not None and item.kind is NodeKind.LAUNCH_PLAN:
        child = started(after, AttemptId(run, path, attempt))
        made.workflow_node_metadata.execution_id.CopyFrom(execution(child))
    return made
