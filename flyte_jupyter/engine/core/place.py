"""One node of one step, as a report sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.core.plan import NodeKind, NodePlan, Plans
from flyte_jupyter.engine.core.scopes import Walk
from flyte_jupyter.engine.core.state import (
    Aborted,
    Blocked,
    Collecting,
    Failed,
    Kept,
    Nested,
    RunState,
    Scope,
    Succeeded,
    Tries,
)
from flyte_jupyter.engine.core.wording import PRODUCER, execution, moment, stamp, tries_of
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

TaskOf = Callable[[str, str], "core.Identifier | None"]
_UNTOUCHED = Blocked(0)
# Asked for each node of each step, and a union would be made anew each time.
_RAN = (Collecting, Succeeded, Failed)
_ATTEMPTED = (Succeeded, Failed, Aborted)
_WITH_GRAPH = (Nested, *_ATTEMPTED)
_TASK = NodeKind.TASK
_OF_TASKS = (NodeKind.TASK, NodeKind.ARRAY)


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What a report needs beside the two states.

    `task_of` gives the registered task of a task node, or of the items of an array node, by its graph's ``Plan.template`` and
    its id; None when that is no task.
    """

    run: RunId
    root: str
    plans: Plans
    task_of: TaskOf


@dataclass(frozen=True, slots=True)
class Change:
    """One step: the run's map before and after it."""

    context: ReportContext
    before: Mapping[Path, Kept]
    after: Mapping[Path, Kept]
    walk: Walk
    now: datetime
    stamp: Timestamp
    node: event.NodeExecutionEvent
    """What all events of nodes in the step have alike; `task`: those of attempts."""
    task: event.TaskExecutionEvent
    of_tasks: dict[int, tuple[core.Identifier, event.TaskExecutionEvent]] = field(
        default_factory=dict
    )
    """The same with a task in it, by the identity of its identifier, which stands beside it to stay its own: many nodes are of one."""

    @staticmethod
    def of(context: ReportContext, before: RunState, after: RunState, now: datetime) -> Change:
        """The step between two states."""
        walk, at, run = Walk(context.plans, after.nodes.get), stamp(now), execution(context.run)
        node = event.NodeExecutionEvent(producer_id=PRODUCER, reported_at=at)
        node.id.execution_id.CopyFrom(run)
        task = event.TaskExecutionEvent(producer_id=PRODUCER, reported_at=at)
        task.parent_node_execution_id.execution_id.CopyFrom(run)
        return Change(context, before.nodes, after.nodes, walk, now, at, node, task)

    def of_task(self, task: core.Identifier | None) -> event.TaskExecutionEvent:
        """What all events of the attempts at a task have alike; of those that have no task, what all have."""
        if task is None:
            return self.task
        known = self.of_tasks.get(id(task))
        if known is None:
            known = self.of_tasks[id(task)] = task, event.TaskExecutionEvent()
            known[1].CopyFrom(self.task)
            known[1].task_id.CopyFrom(task)
        return known[1]


@dataclass(slots=True)
class Place:
    """A node before and after a step. `items` are the indexes of those of its items that changed."""

    change: Change
    path: Path
    node: NodePlan
    task: core.Identifier | None
    before: Kept
    after: Kept
    items: Sequence[int]
    tries: Tries | None
    """How often the node was tried, of one that is still on its way."""
    number: int
    """The attempt that the node is at, or ended with."""
    inside: Scope | None
    """What runs or ran inside the node at this attempt; None where nothing did."""
    inputs: str
    """Where the node's inputs stand."""
    start: Timestamp | None = None

    @staticmethod
    def of(change: Change, path: Path, after: Kept, items: Sequence[int]) -> Place | None:
        """The node at this path, which is `after` the step; None when the plan has none there."""
        graph = change.walk.graph(path[:-1])
        node = None if graph is None else graph.node(str(path[-1]))
        if graph is None or node is None:
            return None
        context, task, inside = change.context, None, None
        if node.kind in _OF_TASKS:
            task = context.task_of(graph.template, node.id)
        before = change.before.get(path, _UNTOUCHED)
        tries = tries_of(after)
        number = 0 if tries is None else tries.attempt
        if isinstance(after, _WITH_GRAPH):
            number = after.attempt if isinstance(after, _ATTEMPTED) else number
            scope = change.after.get((*path, number))
            inside = scope if isinstance(scope, Scope) else None
        inputs = layout.inputs_uri(context.root, context.run, path)
        return Place(change, path, node, task, before, after, items, tries, number, inside, inputs)

    @property
    def moved(self) -> bool:
        """Whether the node itself has changed, and not only its items."""
        return self.before is not self.after

    @property
    def attempt(self) -> AttemptId:
        """The same, by name."""
        return AttemptId(self.change.context.run, self.path, self.number)

    @property
    def expands(self) -> bool:
        """Whether a task has left this graph just now."""
        if self.inside is None or self.node.kind is not _TASK:
            return False
        return (*self.path, self.number) not in self.change.before

    def moment(self, *, going: bool) -> Timestamp:
        """When it happened: now; or when the process started, of a start that is heard of together with its end."""
        if not going:
            return self.change.stamp
        if self.start is None:
            self.start = self._start()
        return self.start

    def _start(self) -> Timestamp:
        ran = self.after.ran if isinstance(self.after, _RAN) else 0
        if not ran:
            return self.change.stamp
        return moment(self.change.now - timedelta(seconds=ran))

    def outputs(self, attempt: int) -> str:
        """Where the node's outputs stand when nobody said so."""
        context = self.change.context
        if self.node.kind is NodeKind.START and len(self.path) > 1:
            return layout.inputs_uri(context.root, context.run, self.path[:-2])
        return layout.outputs_uri(context.root, AttemptId(context.run, self.path, attempt))
