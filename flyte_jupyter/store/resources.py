"""What task executions started elsewhere, above all the items of array nodes: merged by index and try, counted by phase."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from flyte_jupyter.idl import admin, core, event
from flyte_jupyter.store.dialect import Prepared, upsert
from flyte_jupyter.store.projections import fold_resource
from flyte_jupyter.store.tables import external_resources as table

SHOWN = 10_000
"""How many resources a task execution carries at most: all are listed page by page, and `counts` are always of all."""
COUNTS = "items"
"""The key of a task execution's custom info that says how many items are in which phase."""

Counts = dict[int, int]
"""How many items are in which phase; of each, its last try counts."""

_key = (
    table.c.run_id == bindparam("run_id"),
    table.c.node == bindparam("node"),
    table.c.attempt == bindparam("attempt"),
)
_last = Prepared(
    select(table.c.retry, table.c.phase, table.c.body)
    .where(*_key, table.c.position == bindparam("position"))
    .order_by(table.c.retry.desc())
    .limit(1)
)
_put = Prepared(upsert(table, ["run_id", "node", "attempt", "position", "retry"]))
_from = (
    select(table.c.body)
    .where(*_key, table.c.position >= bindparam("start"))
    .order_by(table.c.position, table.c.retry)
    .limit(bindparam("most"))
)
_range = (
    select(table.c.body)
    .where(*_key, table.c.position >= bindparam("start"), table.c.position < bindparam("end"))
    .order_by(table.c.position, table.c.retry)
)


def merge(
    connection: Connection,
    key: Mapping[str, Any],
    counts: Counts,
    given: Iterable[event.ExternalResourceInfo],
) -> bool:
    """Lay what an event tells over what is known, and keep `counts` in step; whether anything changed.

    Costs what the event tells, however many items there are. What is told late, of an earlier try, changes nothing.
    """
    last: dict[int, event.ExternalResourceInfo] = {}
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for seen in given:
        position = seen.index
        before = last.get(position) or _known(connection, key, position, counts)
        if before is not None and seen.retry_attempt < before.retry_attempt:
            continue
        again = before is not None and seen.retry_attempt > before.retry_attempt
        after = fold_resource(None if again else before, seen)
        if after is None:
            continue
        if before is not None:
            _less(counts, before.phase)
        counts[after.phase] = counts.get(after.phase, 0) + 1
        last[position] = after
        rows[position, after.retry_attempt] = {
            **key,
            "position": position,
            "retry": after.retry_attempt,
            "phase": after.phase,
            "body": after.SerializeToString(),
        }
    _put.run_many(connection, rows.values())
    return bool(rows)


def _known(
    connection: Connection, key: Mapping[str, Any], position: int, counts: Counts
) -> event.ExternalResourceInfo | None:
    if not counts:
        return None
    found = _last.first(connection, {**key, "position": position})
    return None if found is None else event.ExternalResourceInfo.FromString(found[2])


def _less(counts: Counts, phase: int) -> None:
    counts[phase] -= 1
    if not counts[phase]:
        del counts[phase]


def encode_counts(counts: Counts) -> str:
    """As the column keeps them."""
    return json.dumps(counts, separators=(",", ":")) if counts else ""


def decode_counts(text: str) -> Counts:
    """As `encode_counts` wrote them."""
    return {int(phase): count for phase, count in json.loads(text).items()} if text else {}


def show_counts(task: admin.TaskExecution, counts: Counts) -> None:
    """Say in the task execution's custom info how many items are in which phase."""
    if counts:
        named = {core.TaskExecution.Phase.Name(phase): n for phase, n in counts.items()}
        task.closure.custom_info.update({COUNTS: named})


def show(connection: Connection, key: Mapping[str, Any], task: admin.TaskExecution) -> None:
    """Put the first `SHOWN` resources into the task execution, in the order of their indexes."""
    found = connection.execute(_from, {**key, "start": 0, "most": SHOWN})
    for (body,) in found:
        task.closure.metadata.external_resources.add().MergeFromString(body)


def read(
    connection: Connection, key: Mapping[str, Any], start: int, end: int
) -> list[event.ExternalResourceInfo]:
    """All tries of the items from index `start` up to, not including, `end`."""
    found = connection.execute(_range, {**key, "start": start, "end": end})
    return [event.ExternalResourceInfo.FromString(body) for (body,) in found]
