"""Admin messages as rows: the serialised message, and beside it the columns that filters and sort orders need."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import Path, path_json

MICROSECOND = timedelta(microseconds=1)
Row = dict[str, Any]


def micros(at: Timestamp) -> int:
    """Microseconds since 1970."""
    return at.seconds * 1_000_000 + at.nanos // 1_000


def span(length: Duration) -> int:
    """Microseconds."""
    return length.seconds * 1_000_000 + length.nanos // 1_000


def moment(at: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return round(at.timestamp() * 1_000_000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(micros_since_1970: int) -> datetime:
    """What `moment` made a number of."""
    return _EPOCH + micros_since_1970 * MICROSECOND


def path_key(path: Path) -> str:
    """A path as text that can be read back: JSON in ASCII."""
    return path_json(path, _quoted)


def path_of(key: str) -> Path:
    """The path that `path_key` wrote."""
    return tuple(json.loads(key))


class PathReader:
    """Reads the many paths of a large run as `path_of` does; what stands before their last parts is read once."""

    def __init__(self) -> None:
        self._before: dict[str, Path] = {}

    def read(self, key: str) -> Path:
        """One path."""
        head, comma, last = key.rpartition(",")
        before = self._before.get(head)
        if before is None:
            whole = path_of(key)
            if comma:
                self._before[head] = whole[:-1]
            return whole
        last = last.removesuffix("]")
        if last.isdigit():
            return (*before, int(last))
        name = last[1:-1]
        if (
            "\\" in last or last != f'"{name}"'
        ):  # an escape, or the rest of a name with a comma in it
            return path_of(key)
        return (*before, name)


def execution_row(run_id: int, execution: admin.Execution) -> Row:
    """The row of an execution."""
    closure, spec = execution.closure, execution.spec
    return {
        "run_id": run_id,
        "project": execution.id.project,
        "domain": execution.id.domain,
        "name": execution.id.name,
        "state": closure.state_change_details.state,
        "mode": spec.metadata.mode,
        "principal": spec.metadata.principal,
        "launch_plan": spec.launch_plan.name,
        "launch_plan_version": spec.launch_plan.version,
        "workflow": closure.workflow_id.name,
        "workflow_version": closure.workflow_id.version,
        **_of_closure(closure),
        "body": execution.SerializeToString(),
    }


def tag_rows(run_id: int, spec: admin.ExecutionSpec) -> list[Row]:
    """Rows of what an execution can be found by: its labels, and its tags, which have no value (so FlyteAdmin keeps them)."""
    pairs = {*spec.labels.values.items(), *((tag, "") for tag in spec.tags)}
    return [{"tag": tag, "value": value, "run_id": run_id} for tag, value in sorted(pairs)]


CHANGING = ("phase", "error_code", "updated_at", "started_at", "duration", "body")
"""What an event can change of a node's or a task's row: an index whose columns are not named is not touched."""
NODE_COLUMNS = (
    "run_id",
    "node",
    "parent",
    "path",
    "expansion",
    "spec_node",
    "created_at",
    *CHANGING,
)
TASK_COLUMNS = (
    *("run_id", "node", "attempt", "task", "task_version", "created_at"),
    *("phases", *CHANGING),
)


def node_execution_row(
    run_id: int, node: admin.NodeExecution, parent: str, path: str
) -> tuple[Any, ...]:
    """A new row as `NODE_COLUMNS` has it; `parent` is the node that it stands inside of, if any."""
    created = micros(node.closure.created_at)
    start = (run_id, node.id.node_id, parent, path, "", node.metadata.spec_node_id, created)
    return start + changing(node)


def task_execution_row(run_id: int, task: admin.TaskExecution, phases: str) -> tuple[Any, ...]:
    """A new row as `TASK_COLUMNS` has it; `phases` says how many of its items are in which phase."""
    of = task.id
    start = (run_id, of.node_execution_id.node_id, of.retry_attempt)
    created = micros(task.closure.created_at)
    return (*start, of.task_id.name, of.task_id.version, created, phases, *changing(task))


def changing(record: admin.NodeExecution | admin.TaskExecution) -> tuple[Any, ...]:
    """What the row has of it now, as `CHANGING` has it."""
    closure = record.closure
    return (
        closure.phase,
        closure.error.code if closure.HasField("error") else "",
        micros(closure.updated_at),
        micros(closure.started_at) if closure.HasField("started_at") else None,
        span(closure.duration) if closure.HasField("duration") else None,
        record.SerializeToString(),
    )


def _of_closure(closure: admin.ExecutionClosure) -> Row:
    return {
        "phase": closure.phase,
        "error_code": closure.error.code if closure.HasField("error") else "",
        "created_at": micros(closure.created_at),
        "updated_at": micros(closure.updated_at),
        "started_at": micros(closure.started_at) if closure.HasField("started_at") else None,
        "duration": span(closure.duration) if closure.HasField("duration") else None,
    }
