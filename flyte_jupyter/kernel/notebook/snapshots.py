"""Taking a snapshot of an execution: its nodes, and the edges that its workflow gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyte_jupyter.kernel.notebook.snapshot import NodeSnapshot, Snapshot

if TYPE_CHECKING:
    from flyte_jupyter.kernel.launching import Execution, NodeView

_ENDS = {"start-node", "end-node"}
_CELL = "flyte_jupyter.cell"
_NOT_STARTED = "NOT_STARTED"
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
        label = node.metadata.name or task.name.rpartition(".")[2] or node.id
        upstream = tuple(each for each in node.upstream_node_ids if each not in _ENDS)
        cell = cells.get((task.name, task.version), "")
        counted = len(compiled.primary.template.nodes) <= _MOST_COUNTED
        nodes.append(_node(NodeSnapshot(node.id, label, "", 0, None, upstream, cell),
                           views.pop(node.id, None), counted=counted))  # fmt: skip
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


def _node(planned: NodeSnapshot, view: NodeView | None, *, counted: bool) -> NodeSnapshot:
    """A node of the workflow with what the execution says of it; one that is yet to come waits."""
    if view is None or view.phase == _NOT_STARTED:
        phase, attempts, seconds, cached = "UNDEFINED", 0, None, False
    else:
        phase, cached = view.phase, view.cached
        attempts = view.attempts if counted else 0
        seconds = view.seconds if view.started_at is not None and not cached else None
        if phase == "RUNNING":
            seconds = None
    return NodeSnapshot(
        id=planned.id,
        label=planned.label,
        phase=phase,
        attempts=attempts,
        seconds=seconds,
        upstream=planned.upstream,
        cell_id=planned.cell_id,
        cached=cached,
    )
