"""What a strict admin thinks of a run's events: phases only go forward, nothing follows an end, children stand inside parents."""

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
NODE_RANK = {
    NODE.QUEUED: 1,
    NODE.RUNNING: 2,
    NODE.DYNAMIC_RUNNING: 3,
    NODE.SUCCEEDED: 9,
    NODE.FAILED: 9,
    NODE.ABORTED: 9,
    NODE.TIMED_OUT: 9,
    NODE.RECOVERED: 9,
}
TASK_RANK = {
    TASK.QUEUED: 1,
    TASK.WAITING_FOR_RESOURCES: 1,
    TASK.INITIALIZING: 1,
    TASK.RUNNING: 2,
    TASK.SUCCEEDED: 9,
    TASK.FAILED: 9,
    TASK.ABORTED: 9,
    TASK.RETRYABLE_FAILED: 9,
}


class Admin:
    def __init__(self, *, recovers=False):
        self.recovers = recovers
        self.run = 0
        self.nodes: dict[str, int] = {}
        self.parents: dict[str, str] = {}
        self.tasks: dict[tuple[str, int], int] = {}
        self.items: dict[tuple[str, int], core.TaskExecution.Phase] = {}

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
                self.hear_node(told)
            case event.TaskExecutionEvent():
                self.hear_task(told)

    def hear_node(self, told: event.NodeExecutionEvent) -> None:
        node = told.id.node_id
        before = self.nodes.get(node, 0)
        again = told.phase == before == NODE.DYNAMIC_RUNNING
        assert again or NODE_RANK[told.phase] > NODE_RANK.get(before, 0), (node, told.phase, before)
        assert told.HasField("error") == (told.phase in (NODE.FAILED, NODE.ABORTED, NODE.TIMED_OUT))
        assert bool(told.output_uri) == (told.phase in (NODE.SUCCEEDED, NODE.RECOVERED))
        parent = told.parent_node_metadata.node_id
        if parent:
            assert parent in self.nodes, f"{node} inside of {parent}, which nobody has heard of"
            assert NODE_RANK[self.nodes[parent]] < 9, f"{node} after the end of {parent}"
            assert told.retry_group.isdecimal()
            self.parents[node] = parent
        if NODE_RANK[told.phase] == 9:
            inside = [child for child, of in self.parents.items() if of == node]
            assert all(NODE_RANK[self.nodes[child]] == 9 for child in inside), inside
        self.nodes[node] = told.phase

    def hear_task(self, told: event.TaskExecutionEvent) -> None:
        node = told.parent_node_execution_id.node_id
        assert node in self.nodes, "a task execution needs its node execution"
        assert NODE_RANK[self.nodes[node]] < 9, "an attempt's event after its node's end"
        key = (node, told.retry_attempt)
        before = self.tasks.get(key, 0)
        waits = told.phase in (TASK.QUEUED, TASK.WAITING_FOR_RESOURCES, TASK.INITIALIZING)
        array = told.metadata.plugin_identifier == "k8s-array"
        assert (
            TASK_RANK[told.phase] > TASK_RANK.get(before, 0)
            # It may have been queued again meanwhile, which nobody is told.
            or (waits and TASK_RANK.get(before) == 1)
            or (array and told.phase == before == TASK.RUNNING)
        ), (key, told.phase, before)
        if told.retry_attempt:
            last = self.tasks.get((node, told.retry_attempt - 1))
            over = last in (TASK.RETRYABLE_FAILED, TASK.SUCCEEDED)
            taken = self.recovers and told.retry_attempt == 1 and last is None
            assert over or taken, "SUCCEEDED: it left a graph; none: it took an earlier execution's"
        assert told.HasField("error") == (
            told.phase in (TASK.FAILED, TASK.ABORTED, TASK.RETRYABLE_FAILED)
        )
        assert bool(told.output_uri) == (told.phase == TASK.SUCCEEDED)
        for item in told.metadata.external_resources:
            self.items[node, item.index] = item.phase
        self.tasks[key] = told.phase

    def check_over(self) -> None:
        assert RUN_RANK[self.run] == 9
        assert all(NODE_RANK[phase] == 9 for phase in self.nodes.values()), self.nodes
        assert all(TASK_RANK[phase] == 9 for phase in self.tasks.values()), self.tasks
        assert all(TASK_RANK[phase] == 9 for phase in self.items.values()), self.items
