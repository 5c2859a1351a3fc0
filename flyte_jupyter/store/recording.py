"""Events into rows: fold them over what is known, write what changed, and say so in the change feed."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, bindparam, select

from flyte_jupyter.engine.core.state import Kept, Succeeded
from flyte_jupyter.engine.ports import RunEvent
from flyte_jupyter.idl import admin, core, event
from flyte_jupyter.idl.ids import Path, RunId, path_text
from flyte_jupyter.store import resources
from flyte_jupyter.store.dialect import Prepared, among, upsert
from flyte_jupyter.store.feed import ChangeKind, Touched
from flyte_jupyter.store.projections import (
    fold_execution,
    fold_node_execution,
    fold_task_execution,
    node_is_final,
    task_is_final,
)
from flyte_jupyter.store.rows import (
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
    node_executions.c.run_id == bindparam("run_id"),
    node_executions.c.node == bindparam("node"),
)
_nodes = Prepared(
    select(node_executions.c.node, node_executions.c.body).where(
        node_executions.c.run_id == bindparam("run"), among(node_executions.c.node, "nodes")
    )
)
_add_node = Prepared(node_executions.insert())
# Only what an event can change: an index whose columns are not named is not touched.
_CHANGING = ("phase", "error_code", "updated_at", "started_at", "duration", "body")
_change_node = Prepared(
    node_executions.update().where(*_of_node).values({n: bindparam(n) for n in _CHANGING})
)
_expand = Prepared(node_executions.update().where(*_of_node).values(expansion=bindparam("digest")))
_of_task = (
    task_executions.c.run_id == bindparam("run_id"),
    task_executions.c.node == bindparam("node"),
    task_executions.c.attempt == bindparam("attempt"),
)
_tasks = Prepared(
    select(
        task_executions.c.node,
        task_executions.c.attempt,
        task_executions.c.body,
        task_executions.c.phases,
    ).where(task_executions.c.run_id == bindparam("run"), among(task_executions.c.node, "nodes"))
)
_add_task = Prepared(task_executions.insert())
_change_task = Prepared(
    task_executions.update()
    .where(*_of_task)
    .values({n: bindparam(n) for n in (*_CHANGING, "phases")})
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
    """Writes what one commit tells about one run. `known` are records that need no reading, kept up to date."""

    connection: Connection
    run_id: int
    run: RunId
    known: Records

    def record(self, events: Sequence[RunEvent], nodes: Mapping[Path, Kept]) -> Iterator[Touched]:
        """Fold the events into the run's rows, and note whose outputs were taken over; tells what changed, each record once.

        Nothing is kept in lists that can be made one by one: a large commit would spend a fifth of its time on garbage collections.
        """
        self._note_uses(nodes)
        of_run: list[event.WorkflowExecutionEvent] = []
        of_nodes: list[event.NodeExecutionEvent] = []
        of_tasks: list[event.TaskExecutionEvent] = []
        for seen in events:
            if isinstance(seen, event.NodeExecutionEvent):
                of_nodes.append(seen)
            elif isinstance(seen, event.TaskExecutionEvent):
                of_tasks.append(seen)
            else:
                of_run.append(seen)
        run = [Touched(ChangeKind.EXECUTION, self.run)] if of_run and self._of_run(of_run) else []
        nodes_changed = self._of_nodes(of_nodes, nodes) if of_nodes else ()
        tasks_changed = self._of_tasks(of_tasks) if of_tasks else ()
        return chain(
            run,
            (Touched(ChangeKind.NODE_EXECUTION, self.run, node) for node in nodes_changed),
            (Touched(ChangeKind.TASK_EXECUTION, self.run, *key) for key in tasks_changed),
        )

    def _note_uses(self, nodes: Mapping[Path, Kept]) -> None:
        rows = [
            {
                "run_id": self.run_id,
                "node": path_text(path),
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
        self, events: Sequence[event.NodeExecutionEvent], nodes: Mapping[Path, Kept]
    ) -> Iterable[str]:
        latest = self._known_nodes({seen.id.node_id for seen in events})
        new: dict[str, str] = {}
        changed: dict[str, admin.NodeExecution] = {}
        for seen in events:
            node = seen.id.node_id
            before = latest.get(node)
            if before is None:
                new[node] = seen.parent_node_metadata.node_id
            after = fold_node_execution(before, seen)
            if after is not None:
                latest[node] = changed[node] = after
        if new:
            self._add_nodes(new, changed, nodes)
        if len(changed) > len(new):
            _change_node.run_many(
                self.connection,
                (
                    node_execution_row(self.run_id, after)
                    for node, after in changed.items()
                    if node not in new
                ),
            )
        self._note_expansions(events)
        for node, after in changed.items():
            self._keep((self.run_id, node), after, final=node_is_final(after.closure.phase))
        return changed

    def _add_nodes(
        self,
        new: Mapping[str, str],
        changed: Mapping[str, admin.NodeExecution],
        nodes: Mapping[Path, Kept],
    ) -> None:
        paths = _paths(nodes)
        _add_node.run_many(
            self.connection,
            (
                node_execution_row(
                    self.run_id, changed[node], parent, paths.get(node) or path_key((node,))
                )
                for node, parent in new.items()
            ),
        )

    def _note_expansions(self, events: Sequence[event.NodeExecutionEvent]) -> None:
        for seen in events:
            if seen.phase == core.NodeExecution.DYNAMIC_RUNNING:
                digest = seen.task_node_metadata.dynamic_workflow.id.version
                of = {"run_id": self.run_id, "node": seen.id.node_id, "digest": digest}
                _expand.run(self.connection, of)

    def _known_nodes(self, wanted: set[str]) -> dict[str, admin.NodeExecution]:
        found: dict[str, admin.NodeExecution] = {}
        for node in wanted:
            kept = self.known.get((self.run_id, node))
            if kept is not None:
                found[node] = kept
        absent = wanted.difference(found)
        if absent:
            asked = {"run": self.run_id, "nodes": json.dumps(list(absent))}
            for node, body in _nodes.all(self.connection, asked):
                found[node] = admin.NodeExecution.FromString(body)
        return found

    def _of_tasks(self, events: Sequence[event.TaskExecutionEvent]) -> Iterable[tuple[str, int]]:
        keys = {(seen.parent_node_execution_id.node_id, seen.retry_attempt) for seen in events}
        latest = self._known_tasks(keys)
        new = keys.difference(latest)
        changed: dict[tuple[str, int], Attempt] = {}
        for seen in events:
            key = (seen.parent_node_execution_id.node_id, seen.retry_attempt)
            before = latest.get(key)
            after = self._fold_task(key, before, seen)
            if after is not before:
                latest[key] = changed[key] = after
        self._write_tasks(new, changed)
        return changed

    def _fold_task(
        self, key: tuple[str, int], before: Attempt | None, seen: event.TaskExecutionEvent
    ) -> Attempt:
        """The attempt after the event; `before` itself when the event changes nothing."""
        record, items = before or (None, _NO_ITEMS)
        after = fold_task_execution(record, seen)
        moved = False
        if seen.metadata.external_resources:
            items = dict(items)
            where = {"run_id": self.run_id, "node": key[0], "attempt": key[1]}
            told = seen.metadata.external_resources
            moved = resources.merge(self.connection, where, items, told)
        if before is not None and after is None and not moved:
            return before
        return Attempt(cast("admin.TaskExecution", after or record), items)

    def _write_tasks(
        self, new: set[tuple[str, int]], changed: Mapping[tuple[str, int], Attempt]
    ) -> None:
        def row(key: tuple[str, int]) -> dict[str, Any]:
            record, items = changed[key]
            return task_execution_row(self.run_id, record, resources.encode_counts(items))

        if new:
            _add_task.run_many(self.connection, (row(key) for key in changed if key in new))
        if len(changed) > len(new):
            _change_task.run_many(
                self.connection,
                (row(key) for key in changed if key not in new),
            )
        for key, after in changed.items():
            final = task_is_final(after.record.closure.phase)
            self._keep((self.run_id, *key), after, final=final)

    def _known_tasks(self, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Attempt]:
        found: dict[tuple[str, int], Attempt] = {}
        for key in wanted:
            kept = self.known.get((self.run_id, *key))
            if kept is not None:
                found[key] = kept
        absent = wanted.difference(found)
        if absent:
            asked = {"run": self.run_id, "nodes": json.dumps([node for node, _ in absent])}
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
    """Where the nodes stand that a commit changes, by the ids that clients know; scopes and items have no id of a node."""
    return {path_text(path): path_key(path) for path in nodes if isinstance(path[-1], str)}
