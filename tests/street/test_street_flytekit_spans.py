"""How the time of flytekit's workflows was spent, for every kind of node."""

from __future__ import annotations

import pytest
from flytekit_specs import specs
from flytekit_street import HERE, serving

from flyte_jupyter.idl import admin

MODULES = ("branches", "subworkflows", "dynamics", "maps", "launch_plans", "gates", "handlers")
TASK = ["NODE_SETUP", "0", "NODE_TEARDOWN"]
"""A task node with one attempt."""
GRAPH = ("start-node", "end-node")


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("spans"), *MODULES) as street:
        yield street


def run(street, module, short, **inputs):
    name = street.start(specs(module), short, **inputs)
    street.succeeded(name)
    return name


def nodes_of(street, name, depth=-1):
    """The spans of an execution's nodes by their ids; every node once."""
    path = f"metrics/executions/{HERE}/{name}?depth={depth}"
    waiting = [street.ask(path, admin.WorkflowExecutionGetMetricsResponse).span]
    found = {}
    while waiting:
        span = waiting.pop()
        waiting.extend(span.spans)
        if span.node_id.execution_id.name == name:
            key = span.node_id.node_id
            assert key not in found
            found[key] = span
    return found


def parts(span):
    """What a node's time is divided into: operations, nodes, executions, attempts by their numbers."""
    return [
        part.operation_id
        or part.node_id.node_id
        or part.workflow_id.name
        or str(part.task_id.retry_attempt)
        for part in span.spans
    ]


def test_the_time_of_a_sub_workflow_is_that_of_its_nodes(street):
    name = run(street, "subworkflows", "outer", x=1)
    found = nodes_of(street, name)
    inside = ["n1-0-n0", "n1-0-n1"]
    assert parts(found["n1"]) == ["NODE_TRANSITION", "NODE_SETUP", *inside, "NODE_TEARDOWN"]
    assert parts(found["n1-0-n1-0-n0"])[-3:] == TASK
    told = {n for n, each in street.tree(name).items() if each.metadata.spec_node_id not in GRAPH}
    assert set(found) == told


def test_the_time_of_a_branch_is_that_of_the_arm_it_took(street):
    name = run(street, "branches", "chosen", x=0.5)
    found = nodes_of(street, name)
    assert parts(found["n1"]) == ["NODE_TRANSITION", "NODE_SETUP", "n1-0-n1-n1", "NODE_TEARDOWN"]
    assert parts(found["n1-0-n1-n1"])[0] == "NODE_SETUP", "an arm waits for nobody"


def test_the_time_of_a_dynamic_task_is_that_of_its_attempts_and_of_what_the_last_one_made(street):
    name = run(street, "dynamics", "fan_out", n=2)
    found = nodes_of(street, name)
    told = parts(found["n0"])
    assert told[:4] == ["NODE_TRANSITION", "NODE_SETUP", "0", "NODE_RESET"]
    assert set(told[4:-1]) == {"n0-0-dn0", "n0-0-dn1", "n0-0-dn2"}
    assert told[-1] == "NODE_TEARDOWN"
    assert parts(found["n0-0-dn0"]) == ["NODE_TRANSITION", *TASK]


def test_between_two_attempts_a_node_is_reset(street):
    name = run(street, "dynamics", "around_better", n=2)
    told = parts(nodes_of(street, name)["n0"])
    assert told[1:6] == ["NODE_SETUP", "0", "NODE_RESET", "1", "NODE_RESET"]
    assert [part for part in told[6:] if part.startswith("n0-")] == ["n0-1-dn0"]


def test_the_time_of_a_launch_plan_is_that_of_its_execution(street):
    name = run(street, "launch_plans", "parent", x=2)
    found = nodes_of(street, name, depth=3)
    child = street.node(name, "n0").closure.workflow_node_metadata.executionId.name
    assert parts(found["n0"]) == ["NODE_TRANSITION", "NODE_SETUP", child, "NODE_TEARDOWN"]
    (execution,) = (part for part in found["n0"].spans if part.HasField("workflow_id"))
    assert parts(execution) == ["WORKFLOW_SETUP", "n0", "WORKFLOW_TEARDOWN"]


def test_a_node_that_handles_a_failure_has_its_time_too(street):
    name = street.start(specs("handlers"), "handled", x=1)
    street.failed(name)
    (handler,) = set(street.nodes(name)) - {"n0", *GRAPH}
    assert parts(nodes_of(street, name)[handler]) == TASK


def test_a_gate_is_idle_and_a_map_has_one_attempt(street):
    name = run(street, "gates", "rested", x=1)
    assert parts(nodes_of(street, name)["n1"])[1:] == ["NODE_SETUP", "NODE_IDLE", "NODE_TEARDOWN"]
    name = run(street, "maps", "retried", n=2)
    assert parts(nodes_of(street, name)["n1"])[-3:] == TASK
