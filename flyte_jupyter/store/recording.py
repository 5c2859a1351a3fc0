"""Events into rows: fold them over what is known, write what changed, and say so in the change feed."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, cast

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, bindparam, select

from flyte_jupyter.engine.core.state import Kept, Succeeded
from flyte_jupyter.engine.ports import RunEvent
from flyte_jupyter.idl import admin, core, event
from flyte_jupyter.idl.ids import Path, RunId, path_text, place_text
from flyte_jupyter.store import resources
from flyte_jupyter.store.dialect import Batch, Prepared, among, insert_new, upsert
from flyte_jupyter.store.feed import ChangeKind, Touched
from flyte_jupyter.store.projections import (
    fold_execution,
    fold_node_execution,
    fold_task_execution,
    node_is_final,
    task_is_final,
    with_news_at,
)
from flyte_jupyter.store.rows import (
    CHANGING,
    NODE_COLUMNS,
    TASK_COLUMNS,
    changing,
    execution_row,
    node_execution_row,
    path_key,
    task_execution_row,
)
from flyte_jupyter.store.tables import executions, node_executions, task_executions, uses

_execution = Prepared(select(executions.c.body).where(executions.c.run_id == bindparam("run_id")))
_put_execution = Prepared(
    executions.update()
    .where(executions.c.run_id == bindparam("key"))
    .values({c.name: bindparam(c.name) for c in executions.columns if c.name != "run_id"})
)
_of_node = (
    node_executions.c.run_id == bindparam("of"),
    node_executions.c.node == bindparam("at"),
)
_nodes = Prepared(
    select(node_executions.c.node, node_executions.c.body).where(
        node_executions.c.run_id == bindparam("run"), among(node_executions.c.node, "nodes")
    )
)
_add_node = Batch(insert_new(node_executions), NODE_COLUMNS)
_change_node = Batch(
    node_executions.update().where(*_of_node).values({n: bindparam(n) for n in CHANGING}),
    (*CHANGING, "of", "at"),
)
_expand = Prepared(node_executions.update().where(*_of_node).values(expansion=bindparam("digest")))
_of_task = (
    task_executions.c.run_id == bindparam("of"),
    task_executions.c.node == bindparam("at"),
    task_executions.c.attempt == bindparam("tried"),
)
_tasks = Prepared(
    select(
        task_executions.c.node,
        task_executions.c.attempt,
        task_executions.c.body,
        task_executions.c.phases,
    ).where(task_executions.c.run_id == bindparam("run"), among(task_executions.c.node, "nodes"))
)
_add_task = Batch(insert_new(task_executions), TASK_COLUMNS)
_change_task = Batch(
    task_executions.update()
    .where(*_of_task)
    .values({n: bindparam(n) for n in (*CHANGING, "phases")}),
    (*CHANGING, "phases", "of", "at", "tried"),
)
_use = Prepared(upsert(uses, ["run_id", "node"]))


class Attempt(NamedTuple):
    """A task execution as last folded, and how many of its items are in which phase."""

    record: admin.TaskExecution
    items: resources.Counts


Records = dict[Hashable, Any]
"""Node executions by run and node, attempts by run, node and number."""
_NO_ITEMS: resources.Counts = {}


def put_execution(connection: Connection, run_id: int, execution: admin.Execution) -> None:
    """Replace the row of an execution."""
    row = execution_row(run_id, execution)
    row["key"] = row.pop("run_id")
    _put_execution.run(connection, row)


def read_execution(connection: Connection, run_id: int) -> admin.Execution:
    """The execution of a run that is known to exist."""
    (body,) = _execution.first(connection, {"run_id": run_id})
    return admin.Execution.FromString(body)


@dataclass(frozen=True, slots=True)
class Recording:
    """Writes what one commit tells about one run. `known` are records that need no reading, kept up to date.

    Of nodes in `new` nothing has been told before, so that nothing is read either.
    """

    connection: Connection
    run_id: int
    run: RunId
    known: Records
    new: frozenset[str]

    def record(self, events: Sequence[RunEvent], nodes: Mapping[Path, Kept]) -> list[Touched]:
        """Fold the events into the run's rows, and note whose outputs were taken over; tells what changed, each record once.

        Nothing is kept in lists that can be made one by one: a large commit would spend a fifth of its time on garbage collections.
        """
        self._note_uses(nodes)
        of_run: list[event.WorkflowExecutionEvent] = []
        of_nodes: dict[str, list[event.NodeExecutionEvent]] = {}
        of_tasks: dict[tuple[str, int], list[event.TaskExecutionEvent]] = {}
        for seen in events:
            if type(seen) is event.NodeExecutionEvent:
                of_nodes.setdefault(seen.id.node_id, []).append(seen)
            elif type(seen) is event.TaskExecutionEvent:
                key = (seen.parent_node_execution_id.node_id, seen.retry_attempt)
                of_tasks.setdefault(key, []).append(seen)
            elif isinstance(seen, event.WorkflowExecutionEvent):
                of_run.append(seen)
        touched: list[Touched] = []
        if of_run and self._of_run(of_run):
            touched.append(Touched(ChangeKind.EXECUTION, self.run))
        if of_nodes:
            changed = self._of_nodes(of_nodes, nodes)
            touched.append(Touched(ChangeKind.NODE_EXECUTION, self.run, changed))
        if of_tasks:
            for attempt, keys in groupby(self._of_tasks(of_tasks), itemgetter(1)):
                tried = [node for node, _ in keys]
                touched.append(Touched(ChangeKind.TASK_EXECUTION, self.run, tried, attempt))
        return touched

    def _note_uses(self, nodes: Mapping[Path, Kept]) -> None:
        rows = [
            {
                "run_id": self.run_id,
                "node": place_text(path),
                "source": state.cached or state.recovered,
                "how": "hit" if state.cached else "recovery",
            }
            for path, state in nodes.items()
            if isinstance(state, Succeeded) and (state.cached or state.recovered)
        ]
        if rows:
            _use.run_many(self.connection, rows)

    def _of_run(self, events: Sequence[event.WorkflowExecutionEvent]) -> bool:
        before = after = read_execution(self.connection, self.run_id)
        for seen in events:
            after = fold_execution(after, seen) or after
        if after is not before:
            put_execution(self.connection, self.run_id, after)
        return after is not before

    def _of_nodes(
        self, told: Mapping[str, Sequence[event.NodeExecutionEvent]], nodes: Mapping[Path, Kept]
    ) -> Iterable[str]:
        latest = self._known_nodes(told)
        unchanged: set[str] = set()
        added = [node for node in told if node not in latest]
        if added:
            paths = {} if self.new.issuperset(added) else _paths(nodes)
            _add_node.run(self.connection, self._new_nodes(told, added, paths))
        if latest:
            _change_node.run(self.connection, self._changed_nodes(told, latest, unchanged))
        self._note_expansions(told)
        return (node for node in told if node not in unchanged) if unchanged else told

    def _new_nodes(
        self,
        told: Mapping[str, Sequence[event.NodeExecutionEvent]],
        added: Iterable[str],
        paths: Mapping[str, str],
    ) -> Iterator[tuple[Any, ...]]:
        for node in added:
            events = told[node]
            made = fold_node_execution(None, *events)
            assert made is not None
            self._keep((self.run_id, node), made, final=node_is_final(made.closure.phase))
            parent = events[0].parent_node_metadata.node_id
            path = paths.get(node) or path_key((node,))
            yield node_execution_row(self.run_id, made, parent, path)

    def _changed_nodes(
        self,
        told: Mapping[str, Sequence[event.NodeExecutionEvent]],
        latest: Mapping[str, admin.NodeExecution],
        unchanged: set[str],
    ) -> Iterator[tuple[Any, ...]]:
        """What changes of their rows; those of which nothing does are put into `unchanged`."""
        for node, before in latest.items():
            after = fold_node_execution(before, *told[node])
            if after is None:
                unchanged.add(node)
                continue
            row = changing(after)
            self._keep((self.run_id, node), after, final=node_is_final(row[0]))
            yield (*row, self.run_id, node)

    def _note_expansions(self, told: Mapping[str, Sequence[event.NodeExecutionEvent]]) -> None:
        for node, events in told.items():
            for seen in events:
                if seen.phase == core.NodeExecution.DYNAMIC_RUNNING:
                    digest = seen.task_node_metadata.dynamic_workflow.id.version
                    of = {"of": self.run_id, "at": node, "digest": digest}
                    _expand.run(self.connection, of)

    def _known_nodes(self, wanted: Iterable[str]) -> dict[str, admin.NodeExecution]:
        found: dict[str, admin.NodeExecution] = {}
        absent: list[str] = []
        for node in wanted:
            kept = self.known.get((self.run_id, node))
            if kept is not None:
                found[node] = kept
            elif node not in self.new:
                absent.append(node)
        if absent:
            asked = {"run": self.run_id, "nodes": json.dumps(absent)}
            for node, body in _nodes.all(self.connection, asked):
                found[node] = admin.NodeExecution.FromString(body)
        return found

    def _of_tasks(
        self, told: Mapping[tuple[str, int], Sequence[event.TaskExecutionEvent]]
    ) -> Iterable[tuple[str, int]]:
        latest = self._known_tasks(told)
        unchanged: set[tuple[str, int]] = set()
        added = [key for key in told if key not in latest]
        if added:
            _add_task.run(self.connection, self._new_tasks(told, added))
        if latest:
            _change_task.run(self.connection, self._changed_tasks(told, latest, unchanged))
        return (key for key in told if key not in unchanged) if unchanged else told

    def _new_tasks(
        self,
        told: Mapping[tuple[str, int], Sequence[event.TaskExecutionEvent]],
        added: Iterable[tuple[str, int]],
    ) -> Iterator[tuple[Any, ...]]:
        for key in added:
            made = self._fold_task(key, None, told[key])
            assert made is not None
            yield task_execution_row(self.run_id, made.record, resources.encode_counts(made.items))

    def _changed_tasks(
        self,
        told: Mapping[tuple[str, int], Sequence[event.TaskExecutionEvent]],
        latest: Mapping[tuple[str, int], Attempt],
        unchanged: set[tuple[str, int]],
    ) -> Iterator[tuple[Any, ...]]:
        """As `_changed_nodes`."""
        for key, before in latest.items():
            after = self._fold_task(key, before, told[key])
            if after is None:
                unchanged.add(key)
                continue
            counts = resources.encode_counts(after.items)
            yield (*changing(after.record), counts, self.run_id, *key)

    def _fold_task(
        self,
        key: tuple[str, int],
        before: Attempt | None,
        told: Sequence[event.TaskExecutionEvent],
    ) -> Attempt | None:
        """The attempt after the events, which is known from now on; None when they change nothing."""
        record, items = before or (None, _NO_ITEMS)
        after = fold_task_execution(record, *told)
        moved: Timestamp | None = None
        for seen in told:
            if seen.HasField("metadata") and seen.metadata.external_resources:
                items = dict(items)
                where = {"run_id": self.run_id, "node": key[0], "attempt": key[1]}
                given = seen.metadata.external_resources
                if resources.merge(self.connection, where, items, given):
                    moved = seen.occurred_at
        if after is None and moved is None:
            return None
        made = cast("admin.TaskExecution", after or record)
        attempt = Attempt(made if moved is None else with_news_at(made, moved), items)
        self._keep((self.run_id, *key), attempt, final=task_is_final(made.closure.phase))
        return attempt

    def _known_tasks(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Attempt]:
        found: dict[tuple[str, int], Attempt] = {}
        absent: set[tuple[str, int]] = set()
        for key in wanted:
            kept = self.known.get((self.run_id, *key))
            if kept is not None:
                found[key] = kept
            elif key[0] not in self.new:
                absent.add(key)
        if absent:
            asked = {"run": self.run_id, "nodes": json.dumps(sorted({node for node, _ in absent}))}
            for node, attempt, body, phases in _tasks.all(self.connection, asked):
                if (node, attempt) in absent:
                    record = admin.TaskExecution.FromString(body)
                    found[node, attempt] = Attempt(record, resources.decode_counts(phases))
        return found

    def _keep(self, key: Hashable, known: Any, *, final: bool) -> None:
        """A record that has ended is not kept: hardly anything is told of it any more."""
        if final:
            self.known.pop(key, None)
        else:
            self.known[key] = known


def _paths(nodes: Mapping[Path, Kept]) -> dict[str, str]:
    """Where the nodes inside others stand that a commit changes, by the ids that clients know; scopes and items have no id of a node."""
    return {
        path_text(path): path_key(path)
        for path in nodes
        if len(path) > 1 and isinstance(path[-1], str)
    }
