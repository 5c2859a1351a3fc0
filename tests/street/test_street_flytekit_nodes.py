"""What clients see of an execution's nodes: names, parents, kinds, graphs made at run time, attempts, data."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flytekit_specs import specs
from flytekit_street import EXECUTION, HERE, TASK, phase_of, serving, values

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import short_id

MODULES = ("branches", "subworkflows", "dynamics", "maps", "attributes", "chains", "effects")
GRAPH = ("start-node", "end-node")


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("nodes"), *MODULES) as street:
        yield street


@pytest.fixture
def street(plane, tmp_path):
    return replace(plane, effects=tmp_path)


def run(street, module, short, **inputs):
    name = street.start(specs(module), short, **inputs)
    street.succeeded(name)
    return name


def below(node, *names, attempt=0):
    """The ids of the nodes of these names inside a node."""
    return {short_id(f"{node}-{attempt}-{name}") for name in (*names, *GRAPH)}


def made_by(street, name, node, attempt=0, limit=100):
    """The nodes that one attempt at a node made."""
    task = next(each for each in street.attempts(name, node)).id.task_id
    of = f"{task.project}/{task.domain}/{task.name}/{task.version}/{attempt}"
    path = f"children/task_executions/{HERE}/{name}/{node}/{of}?limit={limit}"
    return list(street.ask(path, admin.NodeExecutionList).node_executions)


def flags(node):
    metadata = node.metadata
    found = {
        "parent": metadata.is_parent_node,
        "dynamic": metadata.is_dynamic,
        "array": metadata.is_array,
    }
    return {word for word, on in found.items() if on}


def test_a_sub_workflows_nodes_stand_below_it(street):
    name = run(street, "subworkflows", "outer", x=1)
    tree = street.tree(name)
    assert set(street.nodes(name)) == {"n0", "n1", *GRAPH}
    assert set(street.nodes(name, "n1")) == below("n1", "n0", "n1")
    assert set(street.nodes(name, "n1-0-n1")) == below("n1-0-n1", "n0", "n1")
    assert {node for node, each in tree.items() if flags(each) == {"parent"}} == {
        "n1", "n1-0-n0", "n1-0-n1",
    }  # fmt: skip
    deep = tree["n1-0-n1-0-n0"].metadata
    assert (deep.spec_node_id, deep.retry_group) == ("n0", "0")
    assert {phase_of(each) for each in tree.values()} == {"SUCCEEDED"}
    inputs, outputs = values(street.node_data(name, "n1"))
    assert (inputs, outputs) == ({"x": 2}, {"o0": 8, "o1": 32})


def test_nodes_are_listed_as_they_began_page_by_page(street):
    name = run(street, "chains", "chain", a=1)
    listed = [each.id.node_id for each in street.listed(name)]
    assert listed == ["start-node", "n0", "n1", "n2", "end-node"]
    path = f"node_executions/{HERE}/{name}?limit=2"
    first = street.ask(path, admin.NodeExecutionList)
    rest = street.ask(f"{path}&token={first.token}", admin.NodeExecutionList)
    paged = [each.id.node_id for page in (first, rest) for each in page.node_executions]
    assert paged == listed[:4]


def test_a_branch_names_its_arm_below_it_and_says_nothing_of_the_others(street):
    name = run(street, "branches", "chosen", x=0.5)
    tree = street.tree(name)
    assert flags(tree["n1"]) == set(), "a branch is not flagged"
    assert set(street.nodes(name, "n1")) == {"n1-0-n1-n1"}, "two arms were not taken"
    arm = tree["n1-0-n1-n1"]
    assert (flags(arm), arm.metadata.retry_group) == ({"parent"}, "0")
    assert set(street.nodes(name, "n1-0-n1-n1")) == below("n1-0-n1-n1", "n0", "n1")
    assert values(street.node_data(name, "n1"))[1] == {"o0": "small 5.0"}
    assert "n1-0-n1-n0" not in tree


def test_a_dynamic_tasks_graph_is_there_for_clients(street):
    name = run(street, "dynamics", "fan_out", n=3)
    node = street.node(name, "n0")
    assert flags(node) == {"parent", "dynamic"}
    assert set(street.nodes(name, "n0")) == below("n0", "dn0", "dn1", "dn2", "dn3")
    assert [each.closure.phase for each in street.attempts(name, "n0")] == [TASK.SUCCEEDED]
    made = street.node_data(name, "n0").dynamic_workflow
    path = f"node_executions/{HERE}/{name}/n0/dynamic_workflow"
    graph = street.ask(path, admin.DynamicNodeWorkflowResponse).compiled_workflow
    assert made.compiled_workflow == graph
    assert made.dynamic_job_spec_uri.endswith("/n0/data/0/futures.pb")
    template = graph.primary.template
    assert (template.id.name, made.id.name) == ("dynamic_n0", "dynamic_n0")
    assert {each.id for each in template.nodes} == {"dn0", "dn1", "dn2", "dn3", *GRAPH}
    inside = street.node(name, "n0-0-dn0").metadata
    assert (inside.spec_node_id, inside.retry_group) == ("dn0", "0")
    other = street.call("GET", f"/api/v1/node_executions/{HERE}/{name}/n1/dynamic_workflow")
    assert other.status == 404


def test_what_an_attempt_at_a_dynamic_task_made_is_listed_by_it(street):
    name = run(street, "dynamics", "fan_out", n=3)
    below_it = [each.id.node_id for each in street.listed(name, "n0")]
    assert [each.id.node_id for each in made_by(street, name, "n0")] == below_it
    assert [each.id.node_id for each in made_by(street, name, "n0", limit=2)] == below_it[:2]
    assert made_by(street, name, "n1") == [], "an ordinary task makes no nodes"


def test_dynamic_tasks_inside_each_other_are_named_as_far_as_names_go(street):
    name = run(street, "dynamics", "recursion", n=3)
    path = ["n0"]
    for _ in range(4):
        path.append(short_id(f"{path[-1]}-0-dn0"))
    assert path[3] == "n0-0-dn0-0-dn0-0-dn0"
    assert path[4][0] == "f"
    tree = street.tree(name)
    assert [flags(tree[node]) for node in path] == [{"parent", "dynamic"}] * 4 + [set()]


def test_a_dynamic_task_that_is_tried_again_has_another_graph(street):
    name = run(street, "dynamics", "around_better", n=2)
    tree = street.tree(name)
    groups = {
        each.metadata.retry_group: phase_of(each)
        for each in tree.values()
        if each.metadata.spec_node_id == "dn0"
    }
    assert groups == {"0": "TIMED_OUT", "1": "SUCCEEDED"}
    assert phase_of(tree["n0"]) == "SUCCEEDED"
    assert [each.id.retry_attempt for each in street.attempts(name, "n0")] == [0, 1]
    for attempt in (0, 1):
        made = {each.id.node_id for each in made_by(street, name, "n0", attempt)}
        assert f"n0-{attempt}-dn0" in made
        assert made <= below("n0", "dn0", attempt=attempt)


def test_a_map_is_one_task_execution_with_its_items_in_it(street):
    name = run(street, "maps", "retried", n=2)
    node = street.node(name, "n1")
    assert flags(node) == {"array"}
    assert not street.nodes(name, "n1"), "items are no nodes"
    (whole,) = street.attempts(name, "n1")
    assert (whole.closure.phase, whole.closure.task_type) == (TASK.SUCCEEDED, "container_array")
    assert whole.closure.metadata.plugin_identifier == "k8s-array"
    told = {
        (each.index, each.retry_attempt): (TASK.Phase.Name(each.phase), each.external_id)
        for each in whole.closure.metadata.external_resources
    }
    assert told == {
        (index, attempt): (phase, f"{name}-n1-{index}-{attempt}")
        for index in (0, 1)
        for attempt, phase in ((0, "RETRYABLE_FAILED"), (1, "SUCCEEDED"))
    }
    assert values(street.node_data(name, "n1")) == ({"x": [0, 1]}, {"o0": [0, 1]})


def test_items_of_launch_plans_name_their_executions(street):
    name = run(street, "maps", "executions")
    for index, item in street.items(name, "n0").items():
        child = item.workflow_node_metadata.execution_id.name
        assert values(street.data(child)) == ({"x": index + 1}, {"o0": (index + 1) ** 2})


def test_failed_items_are_none_and_told(street):
    name = run(street, "maps", "tolerant", n=6)
    phases = {
        index: TASK.Phase.Name(each.phase) for index, each in street.items(name, "n1").items()
    }
    assert phases == {i: "SUCCEEDED" if i % 3 else "FAILED" for i in range(6)}
    assert values(street.node_data(name, "n1"))[1] == {"o0": [None, 1, 2, None, 4, 5]}


def test_a_task_launched_by_its_name_is_a_workflow_of_one_node(street):
    name = street.start(specs("chains"), "add", kind="task", a=1, b=2)
    assert street.succeeded(name) == {"o0": 3}
    found = street.execution(name)
    assert found.spec.launch_plan.resource_type == core.ResourceType.TASK
    (node,) = set(street.nodes(name)) - set(GRAPH)
    assert [each.id.task_id.name for each in street.attempts(name, node)] == [
        specs("chains").name("add")
    ]


def test_what_an_attempt_did_can_be_read(street):
    name = run(street, "chains", "named", a=2)
    (attempt,) = street.attempts(name, "n2")
    closure = attempt.closure
    assert (closure.phase, attempt.is_parent) == (TASK.SUCCEEDED, False)
    assert attempt.input_uri.endswith(f"-{name}/n2/data/inputs.pb")
    assert closure.output_uri.endswith(f"-{name}/n2/data/0/outputs.pb")
    assert closure.created_at.ToDatetime() <= closure.started_at.ToDatetime()
    assert closure.started_at.ToDatetime() <= closure.updated_at.ToDatetime()
    task = attempt.id.task_id
    path = f"data/task_executions/{HERE}/{name}/n2/{task.project}/{task.domain}/{task.name}/{task.version}/0"
    assert values(street.ask(path, admin.TaskExecutionGetDataResponse)) == (
        {"values": [3, 4, 3]},
        {"total": 10, "text": "3+4+3"},
    )
    assert values(street.data(name)) == ({"a": 2}, {"total": 10, "text": "3+4+3"})
    assert street.node(name, "start-node").closure.output_uri.endswith(
        "start-node/data/0/outputs.pb"
    )
    closure = street.execution(name).closure
    assert closure.outputs.uri.endswith(f"-{name}/end-node/data/0/outputs.pb")


def test_a_task_finds_itself_in_its_environment(street):
    name = run(street, "effects", "named")
    found = street.outputs(name)["o0"]
    project, domain = HERE.split("/")
    task = specs("effects").name("names")
    assert (
        found
        | {
            "FLYTE_INTERNAL_EXECUTION_ID": name,
            "FLYTE_INTERNAL_EXECUTION_PROJECT": project,
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": domain,
            "FLYTE_INTERNAL_EXECUTION_WORKFLOW": f"{project}:{domain}:{specs('effects').name('named')}",
            "FLYTE_ATTEMPT_NUMBER": "0",
            "FLYTE_INTERNAL_TASK_PROJECT": project,
            "FLYTE_INTERNAL_TASK_DOMAIN": domain,
            "FLYTE_INTERNAL_TASK_NAME": task,
            "FLYTE_INTERNAL_TASK_VERSION": "v1",
            "FLYTE_EFFECTS": str(street.effects),
        }
        == found
    )


def test_an_attribute_that_is_not_there_fails_the_node_that_wants_it(street):
    name = street.start(specs("attributes"), "out_of_range")
    error = street.failed(name)
    assert (error.code, error.kind) == ("BindingResolutionFailure", core.ExecutionError.SYSTEM)
    node = street.node(name, "n1")
    assert (phase_of(node), node.closure.error.code) == ("FAILED", "BindingResolutionFailure")
    assert not street.attempts(name, "n1")


def test_an_execution_says_when_and_from_where(street):
    name = run(street, "chains", "chain", a=1)
    closure = street.execution(name).closure
    assert closure.phase == EXECUTION.SUCCEEDED
    assert closure.created_at.ToDatetime() <= closure.started_at.ToDatetime()
    assert closure.duration.ToTimedelta().total_seconds() > 0
    assert closure.workflow_id.name == specs("chains").name("chain")
