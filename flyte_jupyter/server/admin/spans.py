"""How an execution's time was spent, as FlyteAdmin divides it: spans of executions, nodes, attempts, and what lies between. Pure.

What is handed in says how deep it goes: what was not looked into has a span and nothing inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.engine.compiler.interfaces import END, START
from flyte_jupyter.idl import admin, core

_NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Graph:
    """The nodes of one graph that have begun, by the ids that its workflow has for them, and for each id those that it waits for."""

    nodes: Mapping[str, Seen] = field(default_factory=dict)
    upstream: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def last_before(self, node: str) -> admin.NodeExecution | None:
        """Of the nodes that this one waits for the one that changed last."""
        awaited = (self.nodes.get(name) for name in self.upstream.get(node, ()))
        found = [each.node for each in awaited if each is not None]
        return max(found, key=lambda each: _nanos(each.closure.updated_at), default=None)


@dataclass(frozen=True, slots=True)
class Whole:
    """An execution, and its graph when it is looked into."""

    execution: admin.Execution
    graph: Graph | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Inside a gate there is only time."""


@dataclass(frozen=True, slots=True)
class Trying:
    """The attempts at a task, and the graph that the last one made of a dynamic task; `told` when they have spans themselves."""

    attempts: Sequence[admin.TaskExecution]
    told: bool
    graph: Graph | None = None


@dataclass(frozen=True, slots=True)
class Choosing:
    """The arm that a branch took; None while it has taken none."""

    arm: Seen | None


@dataclass(frozen=True, slots=True)
class Launching:
    """The execution that a node started; None before."""

    child: Whole | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A node, and what is inside it when it is looked into: a `Graph` is a sub-workflow's."""

    node: admin.NodeExecution
    inside: Graph | Waiting | Trying | Choosing | Launching | None = None


def execution_span(whole: Whole) -> core.Span:
    """The span of an execution with all that is inside it."""
    closure = whole.execution.closure
    span = core.Span(start_time=closure.created_at, end_time=closure.updated_at)
    span.workflow_id.CopyFrom(whole.execution.id)
    if whole.graph is not None:
        around = _Around(closure.created_at, closure.updated_at, "WORKFLOW")
        span.spans.extend(around.graph(whole.graph))
    return span


@dataclass(frozen=True, slots=True)
class _Around:
    """What a whole does before its parts begin and after they have ended."""

    begin: Timestamp
    end: Timestamp
    what: str = "NODE"

    def part(
        self, part: core.Span | None, rest: Iterable[core.Span] | None = None
    ) -> list[core.Span]:
        """Set-up, one part (or what is told of it), and what comes after it."""
        if part is None:
            return _operation(f"{self.what}_SETUP", self.begin, self.end)
        return [
            *_operation(f"{self.what}_SETUP", self.begin, part.start_time),
            *([part] if rest is None else rest),
            *_operation(f"{self.what}_TEARDOWN", part.end_time, self.end),
        ]

    def graph(self, graph: Graph, setup: str = "SETUP") -> list[core.Span]:
        """Set-up until the start node is done, the nodes, and what comes after the last that the end waits for."""
        start = graph.nodes.get(START)
        if start is None:
            return _operation(f"{self.what}_{setup}", self.begin, self.end)
        spans = _operation(f"{self.what}_{setup}", self.begin, start.node.closure.updated_at)
        began = sorted(graph.nodes.values(), key=lambda each: _nanos(each.node.closure.created_at))
        for each in began:
            if each.node.metadata.spec_node_id not in (START, END):
                spans.append(_node_span(each, graph))
        last = graph.last_before(END)
        if last is not None:
            spans += _operation(f"{self.what}_TEARDOWN", last.closure.updated_at, self.end)
        return spans


def _node_span(seen: Seen, graph: Graph | None = None) -> core.Span:
    """A node's span; in a graph the time since the last node that it waited for comes first."""
    closure = seen.node.closure
    span = core.Span(start_time=closure.created_at, end_time=closure.updated_at)
    span.node_id.CopyFrom(seen.node.id)
    before = graph.last_before(seen.node.metadata.spec_node_id) if graph is not None else None
    if before is not None:
        ended = before.closure.updated_at
        span.spans.extend(_operation("NODE_TRANSITION", ended, closure.created_at))
    around = _Around(closure.created_at, closure.updated_at)
    match seen.inside:
        case Graph() as inside:
            span.spans.extend(around.graph(inside))
        case Waiting():
            span.spans.extend(_stages(closure, "NODE", "NODE_IDLE"))
        case Trying() as inside:
            span.spans.extend(_tries(around, inside))
        case Choosing(arm):
            span.spans.extend(around.part(None if arm is None else _node_span(arm)))
        case Launching(child):
            span.spans.extend(around.part(None if child is None else execution_span(child)))
    return span


def _tries(around: _Around, inside: Trying) -> list[core.Span]:
    attempts = sorted(inside.attempts, key=lambda each: _nanos(each.closure.created_at))
    if not attempts:
        return around.part(None)
    first, last = attempts[0].closure, attempts[-1].closure
    spans: list[core.Span] = []
    for before, each in zip([None, *attempts], attempts, strict=False):
        if before is not None:
            ended = before.closure.updated_at
            spans += _operation("NODE_RESET", ended, each.closure.created_at)
        if inside.told:
            spans.append(_attempt_span(each))
    if inside.graph is None:
        all_of_it = core.Span(start_time=first.created_at, end_time=last.updated_at)
        return around.part(all_of_it, spans)
    setup = _operation("NODE_SETUP", around.begin, first.created_at)
    made = _Around(last.updated_at, around.end).graph(inside.graph, "RESET")
    return [*setup, *spans, *made]


def _attempt_span(attempt: admin.TaskExecution) -> core.Span:
    closure = attempt.closure
    span = core.Span(start_time=closure.created_at, end_time=closure.updated_at)
    span.task_id.CopyFrom(attempt.id)
    span.spans.extend(_stages(closure, "TASK", "TASK_RUNTIME"))
    return span


def _stages(
    closure: admin.NodeExecutionClosure | admin.TaskExecutionClosure, what: str, running: str
) -> list[core.Span]:
    """Before it ran, while it ran, and after: of something without parts."""
    if not closure.HasField("started_at"):
        return _operation(f"{what}_SETUP", closure.created_at, closure.updated_at)
    ended = closure.updated_at
    if closure.HasField("duration"):
        length = closure.duration.seconds * _NANOS + closure.duration.nanos
        seconds, nanos = divmod(_nanos(closure.started_at) + length, _NANOS)
        ended = Timestamp(seconds=seconds, nanos=nanos)
    return [
        *_operation(f"{what}_SETUP", closure.created_at, closure.started_at),
        *_operation(running, closure.started_at, ended),
        *_operation(f"{what}_TEARDOWN", ended, closure.updated_at),
    ]


def _operation(name: str, begin: Timestamp, end: Timestamp) -> list[core.Span]:
    """A span of something that has no record of its own; none of what would end before it began."""
    if _nanos(end) < _nanos(begin):
        return []
    return [core.Span(start_time=begin, end_time=end, operation_id=name)]


def _nanos(at: Timestamp) -> int:
    return at.seconds * _NANOS + at.nanos
