"""One node of one step, as a report sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.core.plan import NodeKind, NodePlan, Plans
from flyte_jupyter.engine.core.scopes import Walk
from flyte_jupyter.engine.core.state import (
    Aborted,
    Blocked,
    Collecting,
    Failed,
    Kept,
    Scope,
    Succeeded,
)
from flyte_jupyter.engine.core.wording import execution, tries_of
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, Path, RunId, path_text

TaskOf = Callable[[str, str], "core.Identifier | None"]
_UNTOUCHED = Blocked(0)


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
    id: core.NodeExecutionIdentifier
    common: event.NodeExecutionEvent | None = None
    """What the events of the node have alike, once one of them was made; `attempts`: those of its attempts."""
    attempts: event.TaskExecutionEvent | None = None

    @staticmethod
    def of(change: Change, path: Path, items: Sequence[int]) -> Place | None:
        """The node at this path; None when the plan has none there."""
        node, graph = change.walk.node(path), change.walk.graph(path[:-1])
        after = change.after.get(path)
        if node is None or graph is None or after is None:
            return None
        task = None
        if node.kind in (NodeKind.TASK, NodeKind.ARRAY):
            task = change.context.task_of(graph.template, node.id)
        run = change.context.run
        name = core.NodeExecutionIdentifier(node_id=path_text(path), execution_id=execution(run))
        before = change.before.get(path, _UNTOUCHED)
        return Place(change, path, node, task, before, after, items, name)

    @property
    def moved(self) -> bool:
        """Whether the node itself has changed, and not only its items."""
        return self.before is not self.after

    @property
    def number(self) -> int:
        """The attempt that the node is at, or ended with."""
        if isinstance(self.after, Succeeded | Failed | Aborted):
            return self.after.attempt
        tries = tries_of(self.after)
        return 0 if tries is None else tries.attempt

    @property
    def attempt(self) -> AttemptId:
        """The same, by name."""
        return AttemptId(self.change.context.run, self.path, self.number)

    @property
    def inside(self) -> Scope | None:
        """What runs or ran inside the node at this attempt; None where nothing did."""
        scope = self.change.after.get((*self.path, self.number))
        return scope if isinstance(scope, Scope) else None

    @property
    def expands(self) -> bool:
        """Whether a task has left this graph just now."""
        if self.node.kind is not NodeKind.TASK or self.inside is None:
            return False
        return (*self.path, self.number) not in self.change.before

    def when(self, *, going: bool) -> datetime:
        """Now; or when the process started, of a start that is heard of together with its end."""
        if going and isinstance(self.after, Collecting | Succeeded | Failed):
            return self.change.now - timedelta(seconds=self.after.ran)
        return self.change.now

    def outputs(self, attempt: int) -> str:
        """Where the node's outputs stand when nobody said so."""
        context = self.change.context
        if self.node.kind is NodeKind.START and len(self.path) > 1:
            return layout.inputs_uri(context.root, context.run, self.path[:-2])
        return layout.outputs_uri(context.root, AttemptId(context.run, self.path, attempt))
