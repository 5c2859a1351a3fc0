"""What a step means to Flyte's clients: (before, after) -> Flyte's event messages. The only place that knows Flyte's phases.

Phases only go forward. A phase that a fold jumped over is told too where clients count on it: they take a node's start from its
RUNNING event and an attempt's existence from its first event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.core.index import node_at
from flyte_jupyter.engine.core.plan import END, NodeKind, NodePlan, Plan
from flyte_jupyter.engine.core.state import (
    IN_FLIGHT,
    Aborted,
    BackingOff,
    Blame,
    Collecting,
    Failed,
    Failure,
    NodeState,
    Probing,
    Ready,
    Running,
    RunPhase,
    RunState,
    RunSummary,
    Succeeded,
)
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, Path, RunId, path_text

RunEvent = event.WorkflowExecutionEvent | event.NodeExecutionEvent | event.TaskExecutionEvent

PRODUCER = "flyte-jupyter"
_UNNAMED = Failure("Unknown", "The attempt failed; why was not kept.", Blame.SYSTEM)
_Run = core.WorkflowExecution
_Node = core.NodeExecution
_Task = core.TaskExecution


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What a report needs beside the two states. `tasks` holds the registered task of each task node, by node id."""

    run: RunId
    root: str
    plan: Plan
    tasks: Mapping[str, core.Identifier]


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
    for path in sorted(changed):
        node = node_at(context.plan, path)
        if node is not None:
            told = _Told(context, path, node, now, _node_id(context.run, path))
            yield from told.events(before.nodes[path], after.nodes[path])
    yield from ended


# -- the run ---------------------------------------------------------------------------------------

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
            execution_id=_execution(context.run),
            producer_id=PRODUCER,
            phase=phase,  # type: ignore[arg-type]  # enum values are ints
            occurred_at=_stamp(now),
        )
        if phase == _Run.SUCCEEDED:
            made.output_uri = after.outputs or layout.outputs_uri(
                context.root, AttemptId(context.run, (END,), 0)
            )
        elif phase in (_Run.FAILING, _Run.FAILED) and after.failure is not None:
            made.error.CopyFrom(_error(after.failure, now))
        elif phase in (_Run.ABORTING, _Run.ABORTED):
            made.error.CopyFrom(_error(Failure("Aborted", after.abort), now))
        (begun if phase == _Run.RUNNING else ended).append(made)
    return begun, ended


# -- nodes and attempts ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    """Tells of one node."""

    context: ReportContext
    path: Path
    node: NodePlan
    now: datetime
    id: core.NodeExecutionIdentifier

    def events(self, before: NodeState, after: NodeState) -> Iterator[RunEvent]:
        """Its events: what the node became, with its attempts' events before the node's last one."""
        attempts: list[RunEvent] = []
        if self.node.kind is NodeKind.TASK and self.node.id in self.context.tasks:
            attempts.extend(self._attempts(before, after))
        phases = self._phases(before, after, tried=bool(attempts))
        yield from (self._node(phase, after) for phase in phases if phase in _GOING)
        yield from attempts
        yield from (self._node(phase, after) for phase in phases if phase not in _GOING)

    def _phases(self, before: NodeState, after: NodeState, *, tried: bool) -> list[int]:
        told, reached = _going(before), _going(after)
        last = _LAST.get(type(after))
        if self.node.kind is not NodeKind.TASK:
            return [last] if last in (_Node.SUCCEEDED, _Node.FAILED) else []
        if last is None:
            return list(reached[len(told) :])
        through: tuple[int, ...] = (_Node.QUEUED,) if tried else ()
        if isinstance(after, Succeeded):
            # A cache hit never ran; anything else did, even if nobody heard of its start.
            through = (_Node.QUEUED,) if after.cached else _GOING
        missing = list(through[len(told) :])
        if isinstance(after, Aborted) and not (told or tried):
            return []
        return [*missing, last]

    def _node(self, phase: int, after: NodeState) -> event.NodeExecutionEvent:
        made = event.NodeExecutionEvent(
            id=self.id,
            producer_id=PRODUCER,
            phase=phase,  # type: ignore[arg-type]  # enum values are ints
            occurred_at=_stamp(self._when(phase in _GOING, after)),
            reported_at=_stamp(self.now),
            spec_node_id=str(self.path[-1]),
            node_name=self.node.task_name or self.node.id,
        )
        if self.node.kind is not NodeKind.START:
            made.input_uri = layout.inputs_uri(self.context.root, self.context.run, self.path)
        if self.node.kind is NodeKind.TASK:
            self._add_cache(made, phase, after)
        if phase == _Node.SUCCEEDED and isinstance(after, Succeeded):
            made.output_uri = after.outputs or self._outputs(after.attempt)
            made.deck_uri = after.deck
        elif phase == _Node.FAILED and isinstance(after, Failed):
            made.error.CopyFrom(_error(after.failure, self.now))
            made.deck_uri = after.deck
        elif phase == _Node.ABORTED and isinstance(after, Aborted):
            made.error.CopyFrom(_error(Failure("NodeAborted", after.cause), self.now))
        return made

    def _when(self, going: bool, after: NodeState) -> datetime:
        """Now; or when the process started, of a start that is heard of together with its end."""
        if going and isinstance(after, Collecting | Succeeded | Failed):
            return self.now - timedelta(seconds=after.ran)
        return self.now

    def _add_cache(self, made: event.NodeExecutionEvent, phase: int, after: NodeState) -> None:
        metadata = made.task_node_metadata
        if self.node.cache is None:
            metadata.cache_status = core.CatalogCacheStatus.CACHE_DISABLED
        elif phase != _Node.SUCCEEDED or not isinstance(after, Succeeded):
            metadata.cache_status = core.CatalogCacheStatus.CACHE_MISS
        elif not after.cached:
            metadata.cache_status = core.CatalogCacheStatus.CACHE_POPULATED
        else:
            metadata.cache_status = core.CatalogCacheStatus.CACHE_HIT
            source = _source(after.cached, self.context.tasks.get(self.node.id))
            if source is not None:
                metadata.catalog_key.source_task_execution.CopyFrom(source)

    def _attempts(self, before: NodeState, after: NodeState) -> Iterator[event.TaskExecutionEvent]:
        """The events of every attempt that this change touches, the earliest attempt first."""
        number, told = _attempt(before)
        reached, following = _attempt(after)
        if reached is None:
            reached = _ended_attempt(after, number, began=bool(told))
            if reached is None:
                return
        last = after.tries.last if isinstance(after, _TRYING) else None
        for attempt in range(number or 0, reached):
            if not (attempt == number and told):
                yield self._task(attempt, _Task.QUEUED)
            why = last if last is not None and attempt == reached - 1 else _UNNAMED
            yield self._task(attempt, _Task.RETRYABLE_FAILED, why)
        already = told if number == reached else ()
        if _LAST.get(type(after)) is None:
            for phase in following[len(already) :]:
                yield self._task(reached, phase, when=self._when(True, after))
        else:
            missing = (
                (_Task.QUEUED, _Task.RUNNING) if isinstance(after, Succeeded) else (_Task.QUEUED,)
            )
            for phase in missing[len(already) :]:
                yield self._task(reached, phase, when=self._when(True, after))
            yield self._ended(reached, after)

    def _ended(self, attempt: int, after: NodeState) -> event.TaskExecutionEvent:
        if isinstance(after, Failed):
            return self._task(attempt, _Task.FAILED, after.failure)
        if isinstance(after, Aborted):
            return self._task(attempt, _Task.ABORTED, Failure("Aborted", after.cause))
        made = self._task(attempt, _Task.SUCCEEDED)
        assert isinstance(after, Succeeded)
        made.output_uri = after.outputs or self._outputs(attempt)
        return made

    def _task(
        self, attempt: int, phase: int, why: Failure | None = None, when: datetime | None = None
    ) -> event.TaskExecutionEvent:
        made = event.TaskExecutionEvent(
            task_id=self.context.tasks[self.node.id],
            parent_node_execution_id=self.id,
            retry_attempt=attempt,
            phase=phase,  # type: ignore[arg-type]  # enum values are ints
            producer_id=PRODUCER,
            occurred_at=_stamp(when or self.now),
            reported_at=_stamp(self.now),
            task_type=self.node.task_type,
            input_uri=layout.inputs_uri(self.context.root, self.context.run, self.path),
        )
        if why is not None:
            made.error.CopyFrom(_error(why, self.now))
            made.error.error_uri = layout.error_uri(
                self.context.root, AttemptId(self.context.run, self.path, attempt)
            )
        return made

    def _outputs(self, attempt: int) -> str:
        return layout.outputs_uri(
            self.context.root, AttemptId(self.context.run, self.path, attempt)
        )


# -- phases ----------------------------------------------------------------------------------------

_GOING = (_Node.QUEUED, _Node.RUNNING)
_TRYING = (Ready, BackingOff, *IN_FLIGHT)
_LAST: Mapping[type[NodeState], int] = {
    Succeeded: _Node.SUCCEEDED,
    Failed: _Node.FAILED,
    Aborted: _Node.ABORTED,
}


def _going(state: NodeState) -> tuple[int, ...]:
    """The phases on the way that such a node has been told in. A node that is tried again stays RUNNING."""
    if isinstance(state, Running | Collecting):
        return _GOING
    if isinstance(state, _TRYING):
        started = state.tries.attempt > 0
        waiting = isinstance(state, Ready)
        return _GOING if started else () if waiting else (_Node.QUEUED,)
    return (_Node.QUEUED,) if isinstance(state, Probing) else ()


def _attempt(state: NodeState) -> tuple[int | None, tuple[int, ...]]:
    """The attempt that such a node is at, and the phases it has been told in; None when it is at none."""
    if isinstance(state, Running | Collecting):
        return state.tries.attempt, (_Task.QUEUED, _Task.RUNNING)
    if isinstance(state, IN_FLIGHT):
        return state.tries.attempt, (_Task.QUEUED,)
    if isinstance(state, Ready | BackingOff):
        return state.tries.attempt, ()
    return None, ()


def _ended_attempt(after: NodeState, number: int | None, *, began: bool) -> int | None:
    """The attempt with which a node ended; None when it ended without one."""
    if isinstance(after, Succeeded):
        return None if after.cached else after.attempt
    if isinstance(after, Failed | Aborted) and (began or after.attempt > (number or 0)):
        return after.attempt
    return None


# -- words -----------------------------------------------------------------------------------------

_KIND: Mapping[Blame, int] = {
    Blame.USER: core.ExecutionError.USER,
    Blame.SYSTEM: core.ExecutionError.SYSTEM,
}


def _error(why: Failure, now: datetime) -> core.ExecutionError:
    return core.ExecutionError(
        code=why.code,
        message=why.message,
        kind=_KIND[why.blame],  # type: ignore[arg-type]  # enum values are ints
        timestamp=_stamp(now),
    )


@lru_cache(maxsize=1)  # one moment for all events of a step; a message that takes it copies it
def _stamp(now: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(now)
    return stamp


def _node_id(run: RunId, path: Path) -> core.NodeExecutionIdentifier:
    return core.NodeExecutionIdentifier(node_id=path_text(path), execution_id=_execution(run))


def _execution(run: RunId) -> core.WorkflowExecutionIdentifier:
    return core.WorkflowExecutionIdentifier(project=run.project, domain=run.domain, name=run.name)


def _source(text: str, task: core.Identifier | None) -> core.TaskExecutionIdentifier | None:
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
            node_id=node, execution_id=_execution(RunId(project, domain, name))
        ),
        retry_attempt=int(attempt),
    )
