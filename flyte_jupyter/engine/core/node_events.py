"""The events of a node itself."""

from __future__ import annotations

from collections.abc import Mapping

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.core.attempt_events import attempt_events
from flyte_jupyter.engine.core.item_events import array_events
from flyte_jupyter.engine.core.place import Place
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.core.scopes import owner_of
from flyte_jupyter.engine.core.state import (
    Aborted,
    BackingOff,
    Failed,
    Failure,
    Gathering,
    Kept,
    Launching,
    Mapped,
    Nested,
    Probing,
    Queued,
    Ready,
    Reserved,
    Scope,
    Succeeded,
    Tries,
    Waiting,
)
from flyte_jupyter.engine.core.wording import (
    ATTEMPT_BEGUN,
    NODE,
    RunEvent,
    cache_status,
    error,
    execution,
    source,
    started,
    tries_of,
)
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import path_text

_TASK, _START, _ARRAY = NodeKind.TASK, NodeKind.START, NodeKind.ARRAY
_ENDS_OF_GRAPHS = (NodeKind.START, NodeKind.END)
_GOING = (NODE.QUEUED, NODE.RUNNING)
_NOT_CACHED = core.CatalogCacheStatus.CACHE_DISABLED
_TOLD: Mapping[type[Kept], tuple[int, ...]] = {
    **dict.fromkeys((Probing, Reserved, Ready, BackingOff, Launching, Queued), (NODE.QUEUED,)),
    **dict.fromkeys((*ATTEMPT_BEGUN, Mapped, Gathering, Waiting), _GOING),
}
"""The phases on the way that a node has been told in which has had no attempt before this one."""


def node_events(place: Place) -> tuple[list[RunEvent], list[RunEvent]]:
    """A node's events: those of its start and its attempts, and those of its end."""
    attempts: list[RunEvent] = []
    if place.node.kind is _TASK and place.task is not None:
        attempts.extend(attempt_events(place))
    elif place.node.kind is _ARRAY:
        attempts.extend(array_events(place))
    phases = _phases(place, tried=bool(attempts))
    begins: list[RunEvent] = []
    ends: list[RunEvent] = []
    made: event.NodeExecutionEvent | None = None
    for phase in phases:
        made = _event(place, phase, made)
        (begins if phase in _GOING else ends).append(made)
    if isinstance(place.before, Nested) and not place.expands:
        # Another attempt begins because of how the graph of the last one ended.
        return begins, [*attempts, *ends]
    begins += attempts
    if place.expands:
        begins.append(_event(place, NODE.DYNAMIC_RUNNING))
    return begins, ends


def _phases(place: Place, *, tried: bool) -> list[int]:
    after = place.after
    told, reached = _going(place.before, tries_of(place.before)), _going(after, place.tries)
    last = _last(after) if place.moved else None
    if place.node.kind in _ENDS_OF_GRAPHS:
        return [last] if last in (NODE.SUCCEEDED, NODE.FAILED, NODE.RECOVERED) else []
    if last is None:
        return list(reached[len(told) :])
    through: tuple[int, ...] = (NODE.QUEUED,) if tried else ()
    if place.inside is not None or (tried and place.node.kind is _ARRAY):
        through = _GOING
    if isinstance(after, Succeeded):
        # A cache hit never ran; anything else did, even if nobody heard of its start.
        through = (NODE.QUEUED,) if after.cached else () if after.recovered else _GOING
    if isinstance(after, Failed) and after.ran > 0:
        through = _GOING
    if isinstance(after, Aborted) and not (told or through):
        return []
    return [*through[len(told) :], last]


def _last(state: Kept) -> int | None:
    """The phase in which such a node has ended; None when it has not, or nobody is told."""
    if isinstance(state, Succeeded):
        return NODE.RECOVERED if state.recovered else NODE.SUCCEEDED
    if isinstance(state, Failed):
        return NODE.TIMED_OUT if state.timed_out else NODE.FAILED
    return NODE.ABORTED if isinstance(state, Aborted) else None


def _going(state: Kept, tries: Tries | None) -> tuple[int, ...]:
    """The phases on the way that such a node has been told in. A node that is tried again stays RUNNING."""
    if tries is not None and tries.attempt:
        return _GOING
    waiting = isinstance(state, Ready) and not state.digest
    return () if waiting else _TOLD.get(type(state), ())


def _event(
    place: Place, phase: int, earlier: event.NodeExecutionEvent | None = None
) -> event.NodeExecutionEvent:
    """One event of the node; `earlier`: the one before it, of the way to its end, which has nothing that this one has not."""
    after, now = place.after, place.change.now
    if earlier is None:
        made = _about(place)
    else:
        made = event.NodeExecutionEvent()
        made.CopyFrom(earlier)
    made.phase = phase  # type: ignore[assignment]  # enum values are ints
    made.occurred_at.CopyFrom(place.moment(going=phase in _GOING))
    if place.node.kind is _TASK:
        if place.node.cache is not None:
            _add_cache(place, made, phase)
        if place.inside is not None and phase not in _GOING:
            _add_graph(place, made, phase, place.inside)
    if phase in (NODE.SUCCEEDED, NODE.RECOVERED) and isinstance(after, Succeeded):
        made.output_uri = after.outputs or place.outputs(after.attempt)
        if after.deck:
            made.deck_uri = after.deck
    elif phase in (NODE.FAILED, NODE.TIMED_OUT) and isinstance(after, Failed):
        made.error.CopyFrom(error(after.failure, now))
        made.deck_uri = after.deck
    elif phase == NODE.ABORTED and isinstance(after, Aborted):
        made.error.CopyFrom(error(Failure("NodeAborted", after.cause), now))
    return made


def _about(place: Place) -> event.NodeExecutionEvent:
    """What all events of a node have alike."""
    node = place.node
    made = event.NodeExecutionEvent()
    made.CopyFrom(place.change.node)
    made.id.node_id = path_text(place.path)
    made.spec_node_id = node.id
    made.node_name = node.task_name or node.id
    if len(place.path) > 1:
        _add_parent(place, made)
    if node.kind is not _START:
        made.input_uri = place.inputs
    if node.kind is _TASK:
        made.task_node_metadata.cache_status = _NOT_CACHED
    elif node.kind is NodeKind.WORKFLOW:
        made.is_parent = True
    elif node.kind is NodeKind.ARRAY:
        made.is_array = True
    elif node.kind is NodeKind.LAUNCH_PLAN:
        _add_child(place, made)
    return made


def _add_parent(place: Place, made: event.NodeExecutionEvent) -> None:
    owner = owner_of(place.path)
    while owner is not None and isinstance(owner[-1], int):
        # Clients know no items: what stands in one stands in its array node.
        owner = owner_of(owner)
    assert owner is not None
    made.parent_node_metadata.node_id = path_text(owner)
    made.retry_group = str(place.path[-2])
    scopes = (place.change.after.get(place.path[:end]) for end in range(2, len(place.path)))
    made.is_in_dynamic_chain = any(isinstance(each, Scope) and each.plan for each in scopes)


def _add_cache(place: Place, made: event.NodeExecutionEvent, phase: int) -> None:
    metadata, after = made.task_node_metadata, place.after
    said = cache_status(after, ended=phase in (NODE.SUCCEEDED, NODE.RECOVERED))
    metadata.cache_status = said  # type: ignore[assignment]  # enum values are ints
    whose = source(after.cached, place.task) if isinstance(after, Succeeded) else None
    if whose is not None and phase == NODE.SUCCEEDED:
        metadata.catalog_key.source_task_execution.CopyFrom(whose)


def _add_graph(place: Place, made: event.NodeExecutionEvent, phase: int, inside: Scope) -> None:
    made.is_parent = made.is_dynamic = True
    if phase == NODE.DYNAMIC_RUNNING:
        context, graph = place.change.context, made.task_node_metadata.dynamic_workflow
        graph.id.resource_type = core.ResourceType.WORKFLOW
        graph.id.project, graph.id.domain = context.run.project, context.run.domain
        graph.id.name, graph.id.version = f"dynamic_{place.node.id}", inside.plan
        graph.dynamic_job_spec_uri = layout.futures_uri(context.root, place.attempt)


def _add_child(place: Place, made: event.NodeExecutionEvent) -> None:
    after = place.after
    if isinstance(after, Succeeded) and after.recovered and not after.child:
        # A record of an earlier version of the program, which did not note it.
        return
    if isinstance(after, Succeeded | Failed | Aborted) or place.tries is not None:
        child = started(after, place.attempt)
        made.workflow_node_metadata.execution_id.CopyFrom(execution(child))
