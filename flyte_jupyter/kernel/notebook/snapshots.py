"""Taking a snapshot of an execution: its nodes, and the edges that its workflow gives them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from flyte_jupyter.kernel.notebook.snapshot import ItemCounts, NodeSnapshot, Snapshot

if TYPE_CHECKING:
    from flyte_jupyter.idl import core
    from flyte_jupyter.kernel.launching import Execution, NodeView

_ENDS = {"start-node", "end-node"}
_CELL = "flyte_jupyter.cell"
_NOT_STARTED = "NOT_STARTED"
_UNDER_WAY = {"RUNNING", "DYNAMIC_RUNNING"}
_KINDS = {
    "workflow_node": "workflow",
    "branch_node": "branch",
    "gate_node": "gate",
    "array_node": "map",
}
_MAPPED = re.compile(r"map_(.+)_[0-9a-f]{32}(?:-arraynode)?")
"""What flytekit names a map task: ``map_``, the task's name, a digest of what is bound."""
_MOST_COUNTED = 100
"""Above so many nodes attempts are not counted: each node's would be a request of its own."""


def snapshot_of(execution: Execution) -> Snapshot:
    """The execution as it stands now.

    Raises:
        FlyteJupyterError: the control plane does not answer, or does not know it.
    """
    closure = execution.message.closure
    views = {view.id: view for view in execution.nodes}
    compiled = execution.compiled
    cells = {
        (task.template.id.name, task.template.id.version): task.template.config.get(_CELL, "")
        for task in compiled.tasks
    }
    nodes = []
    for node in compiled.primary.template.nodes:
        if node.id in _ENDS:
            continue
        mapped = node.array_node.node if node.HasField("array_node") else node
        task = mapped.task_node.reference_id
        upstream = tuple(each for each in node.upstream_node_ids if each not in _ENDS)
        cell = cells.get((task.name, task.version), "")
        counted = len(compiled.primary.template.nodes) <= _MOST_COUNTED
        planned = NodeSnapshot(
            node.id, _label(node, task.name), "", 0, None, upstream, cell, _kind(node)
        )
        nodes.append(_node(planned, views.pop(node.id, None), counted=counted))
    nodes += [
        _node(NodeSnapshot(view.id, view.name, ""), view, counted=True) for view in views.values()
    ]
    return Snapshot(
        project=execution.project,
        domain=execution.domain,
        name=execution.name,
        workflow=closure.workflow_id.name,
        version=closure.workflow_id.version,
        phase=execution.phase,
        nodes=tuple(nodes),
        started_at=closure.started_at.ToJsonString() if closure.HasField("started_at") else "",
        updated_at=closure.updated_at.ToJsonString() if closure.HasField("updated_at") else "",
    )


def _kind(node: core.Node) -> str:
    target = node.WhichOneof("target")
    if target == "workflow_node" and node.workflow_node.HasField("launchplan_ref"):
        return "execution"
    return _KINDS.get(target or "", "task")


def _label(node: core.Node, task: str) -> str:
    name = task.rpartition(".")[2]
    if node.HasField("array_node") and name:
        mapped = _MAPPED.fullmatch(name)
        return mapped[1] if mapped else name
    return node.metadata.name or name or node.id


def _items(view: NodeView) -> ItemCounts | None:
    """How far the items are; None before there are any."""
    info: dict[str, Any] = {}
    for each in view.executions[-1:]:
        info = json_format.MessageToDict(each.closure.custom_info)
    if "items" not in info:
        return None
    counts = {phase: int(count) for phase, count in info["items"].items()}
    # Items that have not begun are in no phase.
    total = max(sum(counts.values()), int(info.get("size", 0)))
    return ItemCounts(counts.get("SUCCEEDED", 0), counts.get("FAILED", 0), total)


def _node(planned: NodeSnapshot, view: NodeView | None, *, counted: bool) -> NodeSnapshot:
    """A node of the workflow with what the execution says of it; one that is yet to come waits."""
    if view is None or view.phase == _NOT_STARTED:
        phase, attempts, seconds, cached = "UNDEFINED", 0, None, False
    else:
        phase, cached = view.phase, view.cached
        attempts = view.attempts if counted else 0
        seconds = view.seconds if view.started_at is not None and not cached else None
        if phase in _UNDER_WAY:
            seconds = None
    items = None
    if planned.kind == "map" and view is not None and counted:
        items, attempts = _items(view), 0
    return NodeSnapshot(
        id=planned.id,
        label=planned.label,
        phase=phase,
        attempts=attempts,
        seconds=seconds,
        upstream=planned.upstream,
        cell_id=planned.cell_id,
        kind=planned.kind,
        cached=cached,
        items=items,
    )
