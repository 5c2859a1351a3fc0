"""What a step means to Flyte's clients: (before, after) -> Flyte's event messages. The only place that knows Flyte's phases.

Phases only go forward. A phase that a fold jumped over is told too where clients count on it: they take a node's start from its
RUNNING event and an attempt's existence from its first event. What stands inside a node is told after the node's start and
before its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.core.node_events import node_events
from flyte_jupyter.engine.core.place import Change, Place, ReportContext
from flyte_jupyter.engine.core.plan import END, START
from flyte_jupyter.engine.core.state import (
    Failure,
    Kept,
    Launching,
    Queued,
    RunPhase,
    RunState,
    RunSummary,
    Scope,
    Stage,
)
from flyte_jupyter.engine.core.wording import PRODUCER, RunEvent, error, execution, stamp, untold
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, Path

__all__ = ["ReportContext", "RunEvent", "report", "tell", "untold"]
_Run = core.WorkflowExecution
_JUST_QUEUED = Stage.QUEUED


def report(
    context: ReportContext,
    before: RunState,
    after: RunState,
    changed: Iterable[Path],
    now: datetime,
) -> tuple[RunEvent, ...]:
    """The events of one step or fold, in the order in which clients expect them: nodes before the run's end."""
    return tuple(tell(context, before, after, changed, now))


def tell(
    context: ReportContext,
    before: RunState,
    after: RunState,
    changed: Iterable[Path],
    now: datetime,
) -> Iterator[RunEvent]:
    """The same events one by one, for who must not be away long: a large step has many thousands."""
    begun, ended = _run_events(context, before.summary, after.summary, now)
    yield from begun
    yield from _node_events(Change.of(context, before, after, now), changed)
    yield from ended


def _node_events(change: Change, changed: Iterable[Path]) -> Iterator[RunEvent]:
    items: dict[Path, list[int]] = {}
    nodes: dict[Path, Kept] = {}
    for path in changed:
        after = change.after.get(path)
        if isinstance(path[-1], str):
            if after is not None and not untold(after) and not _taken(change.before, path, after):
                nodes[path] = after
        elif not isinstance(after, Scope):
            array = path[:-1]
            items.setdefault(array, []).append(path[-1])
            if (state := change.after.get(array)) is not None:
                nodes[array] = state
    around: list[tuple[Path, list[RunEvent]]] = []
    for path in sorted(nodes, key=_in_order):
        while around and path[: len(around[-1][0])] != around[-1][0]:
            yield from around.pop()[1]
        place = Place.of(change, path, nodes[path], sorted(items.get(path, ())))
        if place is None:
            continue
        begins, ends = node_events(place)
        yield from begins
        around.append((path, ends))
    while around:
        yield from around.pop()[1]


def _taken(before: Mapping[Path, Kept], path: Path, after: Kept) -> bool:
    """Whether an executor has taken the attempt, and said no more: of that clients have heard when it was asked for."""
    if type(after) is not Queued or after.reason or after.stage is not _JUST_QUEUED:
        return False
    asked = before.get(path)
    return type(asked) is Launching and asked.tries is after.tries


def _in_order(path: Path) -> Path:
    """Clients list nodes as they are told of them: a graph's start comes first, its end last."""
    if path[-1] == START:
        return (*path[:-1], "")
    return (*path[:-1], "\N{REPLACEMENT CHARACTER}") if path[-1] == END else path


_RUN_STEPS: Mapping[RunPhase, tuple[int, ...]] = {
    RunPhase.QUEUED: (),
    RunPhase.RUNNING: (_Run.RUNNING,),
    RunPhase.FAILING: (_Run.RUNNING, _Run.FAILING),
    RunPhase.ABORTING: (_Run.ABORTING,),
    RunPhase.SUCCEEDED: (_Run.RUNNING, _Run.SUCCEEDING, _Run.SUCCEEDED),
    RunPhase.FAILED: (_Run.RUNNING, _Run.FAILING, _Run.FAILED),
    RunPhase.ABORTED: (_Run.ABORTED,),
}


def _run_events(
    context: ReportContext, before: RunSummary, after: RunSummary, now: datetime
) -> tuple[list[RunEvent], list[RunEvent]]:
    """The run's events to tell before and after those of its nodes."""
    begun: list[RunEvent] = []
    ended: list[RunEvent] = []
    told = _RUN_STEPS[before.phase]
    for phase in _RUN_STEPS[after.phase]:
        if phase in told:
            continue
        made = event.WorkflowExecutionEvent(
            execution_id=execution(context.run),
            producer_id=PRODUCER,
            phase=phase,  # type: ignore[arg-type]  # enum values are ints
            occurred_at=stamp(now),
        )
        if phase == _Run.SUCCEEDED:
            made.output_uri = after.outputs or layout.outputs_uri(
                context.root, AttemptId(context.run, (END,), 0)
            )
        elif phase in (_Run.FAILING, _Run.FAILED) and after.failure is not None:
            made.error.CopyFrom(error(after.failure, now))
        elif phase in (_Run.ABORTING, _Run.ABORTED):
            made.error.CopyFrom(error(Failure("Aborted", after.abort), now))
        (begun if phase == _Run.RUNNING else ended).append(made)
    return begun, ended
