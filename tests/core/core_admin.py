"""What a strict admin thinks of a run's events: phases only go forward, nothing follows an end."""

from __future__ import annotations

from flyte_jupyter.idl import core, event

RUN = core.WorkflowExecution
NODE = core.NodeExecution
TASK = core.TaskExecution
RUN_RANK = {
    RUN.RUNNING: 1,
    RUN.SUCCEEDING: 2,
    RUN.FAILING: 2,
    RUN.ABORTING: 3,
    RUN.SUCCEEDED: 9,
    RUN.FAILED: 9,
    RUN.ABORTED: 9,
}
NODE_RANK = {NODE.QUEUED: 1, NODE.RUNNING: 2, NODE.SUCCEEDED: 9, NODE.FAILED: 9, NODE.ABORTED: 9}
TASK_RANK = {
    TASK.QUEUED: 1,
    TASK.RUNNING: 2,
    TASK.SUCCEEDED: 9,
    TASK.FAILED: 9,
    TASK.ABORTED: 9,
    TASK.RETRYABLE_FAILED: 9,
}


class Admin:
    def __init__(self):
        self.run = 0
        self.nodes: dict[str, int] = {}
        self.tasks: dict[tuple[str, int], int] = {}

    def hear(self, told: event.NodeExecutionEvent) -> None:
        assert self.run not in (RUN.SUCCEEDED, RUN.FAILED, RUN.ABORTED), "after the run's end"
        assert told.occurred_at.seconds
        match told:
            case event.WorkflowExecutionEvent():
                assert RUN_RANK[told.phase] > RUN_RANK.get(self.run, 0)
                assert told.HasField("error") == (
                    told.phase in (RUN.FAILING, RUN.FAILED, RUN.ABORTED)
                )
                assert bool(told.output_uri) == (told.phase == RUN.SUCCEEDED)
                self.run = told.phase
            case event.NodeExecutionEvent():
                node = told.id.node_id
                assert NODE_RANK[told.phase] > NODE_RANK.get(self.nodes.get(node, 0), 0)
                assert told.HasField("error") == (told.phase in (NODE.FAILED, NODE.ABORTED))
                assert bool(told.output_uri) == (told.phase == NODE.SUCCEEDED)
                self.nodes[node] = told.phase
            case event.TaskExecutionEvent():
                node = told.parent_node_execution_id.node_id
                assert node in self.nodes, "a task execution needs its node execution"
                assert NODE_RANK[self.nodes[node]] < 9, "an attempt's event after its node's end"
                key = (node, told.retry_attempt)
                assert TASK_RANK[told.phase] > TASK_RANK.get(self.tasks.get(key, 0), 0)
                if told.retry_attempt:
                    assert self.tasks[node, told.retry_attempt - 1] == TASK.RETRYABLE_FAILED
                assert told.HasField("error") == (
                    told.phase in (TASK.FAILED, TASK.ABORTED, TASK.RETRYABLE_FAILED)
                )
                self.tasks[key] = told.phase

    def check_over(self) -> None:
        assert RUN_RANK[self.run] == 9
        assert all(NODE_RANK[phase] == 9 for phase in self.nodes.values()), self.nodes
        assert all(TASK_RANK[phase] == 9 for phase in self.tasks.values()), self.tasks
