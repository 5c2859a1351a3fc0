"""Executions that start executions, aborts that reach everything, and limits that hold across what stands inside each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flytekit_specs import specs
from flytekit_street import EXECUTION, HERE, TASK, phase_of, serving, values
from processes import alive, eventually

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import short_id

EFFECTS = specs("effects")
METADATA = admin.ExecutionMetadata


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("children"), "launch_plans", "effects") as street:
        yield street


@pytest.fixture
def street(plane, tmp_path):
    return replace(plane, effects=tmp_path)


def child_of(street, name, node="n0"):
    """The execution that a node of an execution has started."""
    return street.node(name, node).closure.workflow_node_metadata.executionId.name


# -- child executions --


def test_a_child_has_a_name_a_mode_and_a_parent(street):
    name = street.start(specs("launch_plans"), "grandparent", x=2)
    assert street.succeeded(name) == {"o0": 16}
    child = child_of(street, name)
    assert child == short_id(f"{name}-n0-0", bits=64)
    metadata = street.execution(child).spec.metadata
    assert (metadata.mode, metadata.nesting) == (METADATA.CHILD_WORKFLOW, 1)
    parent = metadata.parent_node_execution
    assert (parent.execution_id.name, parent.node_id) == (name, "n0")
    assert street.execution(child_of(street, child)).spec.metadata.nesting == 2
    assert not street.attempts(name, "n0"), "a launch plan is no task"
    assert values(street.node_data(name, "n0"))[1] == {"o0": 4, "o1": 8, "o2": 100}
    assert values(street.data(child_of(street, child, "n1"))) == (
        {"base": 2, "exponent": 3},
        {"o0": 8},
    ), "fixed inputs are the launch plan's"


def test_a_failed_child_fails_its_node_with_its_error(street):
    name = street.start(specs("launch_plans"), "around_failing")
    error = street.failed(name)
    child = street.execution(child_of(street, name)).closure.error
    assert (error.code, error.kind) == (child.code, child.kind)
    assert "the child fails" in error.message
    assert street.node(name, "n0").closure.error.message == error.message


def test_a_child_inherits_what_its_parent_was_launched_with(street):
    spec = admin.ExecutionSpec(max_parallelism=7, overwrite_cache=True)
    spec.labels.values["team"] = "blue"
    spec.annotations.values["why"] = "a test"
    spec.interruptible.value = True
    spec.security_context.run_as.k8s_service_account = "robot"
    spec.envs.values.add(key="FLYTE_COLOUR", value="green")
    name = street.launched(EFFECTS, "sees_grandchild", spec)
    found = street.succeeded(name)["o0"]
    assert (found["FLYTE_COLOUR"], found["FLYTE_EFFECTS"]) == ("green", str(street.effects))
    grandchild = child_of(street, child_of(street, name))
    assert found["FLYTE_INTERNAL_EXECUTION_ID"] == grandchild
    theirs = street.execution(grandchild).spec
    ours = street.execution(name).spec
    assert theirs.metadata.principal == ours.metadata.principal
    for field in ("max_parallelism", "overwrite_cache", "labels", "annotations", "interruptible",
                  "security_context", "envs"):  # fmt: skip
        assert getattr(theirs, field) == getattr(ours, field), field


def test_overwriting_the_cache_reaches_children(street):
    assert street.succeeded(street.start(EFFECTS, "keeps_in_child")) == {"o0": 2}
    first = street.marks("kept-below")
    assert street.succeeded(street.start(EFFECTS, "keeps_in_child")) == {"o0": 2}
    assert street.marks("kept-below") == first
    again = admin.ExecutionSpec(overwrite_cache=True)
    street.succeeded(street.launched(EFFECTS, "keeps_in_child", again))
    assert street.marks("kept-below") == first + 1


def test_a_child_that_is_ended_by_somebody_fails_its_node(street):
    name = street.start(EFFECTS, "all_held")
    street.seen("held-child")
    child = child_of(street, name, "n3")
    street.abort(child, "not this one")
    error = street.failed(name)
    assert (error.code, error.kind) == (
        "RemoteChildWorkflowExecutionFailed",
        core.ExecutionError.USER,
    )
    assert "not this one" in error.message


def test_lineage_names_the_children(street):
    name = street.start(EFFECTS, "sees_grandchild")
    street.succeeded(name)
    found = street.own("GET", f"lineage/{HERE}/{name}")
    assert found["children"] == [{"execution": f"{HERE}/{child_of(street, name)}", "node": "n0"}]


# -- aborts --

HELD = {"held-task": 1, "held-inside": 1, "held-grown": 1, "held-child": 1, "held-item": 2}


def going_on(street):
    """The processes of attempts that wait at a door."""
    file = street.effects / "pids"
    return [pid for pid in file.read_text().split() if alive(int(pid))] if file.exists() else []


def test_an_abort_reaches_every_depth_child_and_item(street):
    name = street.start(EFFECTS, "all_held")
    for mark, count in HELD.items():
        street.seen(mark, count)
    child = child_of(street, name, "n3")
    assert len(going_on(street)) == sum(HELD.values())
    street.abort(name, "enough of it")
    ended = street.ended(name)
    assert ended.closure.phase == EXECUTION.ABORTED
    assert ended.closure.abort_metadata.cause == "enough of it"
    assert street.ended(child).closure.phase == EXECUTION.ABORTED
    tree = street.tree(name)
    going = {n: phase_of(e) for n, e in tree.items() if phase_of(e) != "SUCCEEDED"}
    assert set(going.values()) == {"ABORTED"}
    assert {"n0", "n1", "n1-0-n0", "n2", "n2-0-dn0", "n3", "n4"} <= set(going)
    assert tree["n0"].closure.error.message == "enough of it"
    (whole,) = street.attempts(name, "n4")
    assert whole.closure.phase == TASK.ABORTED
    assert {each.phase for each in whole.closure.metadata.external_resources} == {TASK.ABORTED}
    assert not street.outputs(name)
    second = street.call(
        "DELETE",
        f"/api/v1/executions/{HERE}/{name}",
        admin.ExecutionTerminateRequest(cause="again").SerializeToString(),
    )
    assert second.status == 400, "there is nothing left to end"
    eventually(lambda: not going_on(street), what="the end of all processes")


@pytest.mark.parametrize("moment", ["at once", "first", "later"])
def test_an_abort_at_any_moment_leaves_nothing_behind(street, moment):
    name = street.start(EFFECTS, "all_held")
    if moment == "first":
        eventually(street.all_marks, what="a mark")
    elif moment == "later":
        street.seen("held-item")
    street.abort(name)
    assert street.ended(name).closure.phase == EXECUTION.ABORTED
    assert not [e for e in street.tree(name).values() if phase_of(e) in ("QUEUED", "RUNNING")]

    def quiet():
        children = street.executions("value_in(phase,QUEUED;RUNNING;ABORTING)")
        return not children and not going_on(street)

    eventually(quiet, what="the end of all children and processes")


def test_data_of_an_aborted_execution_is_what_there_was(street):
    name = street.start(EFFECTS, "crowd_inside", mark="alone")
    eventually(lambda: street.nodes(name).get("n0"), what="its first node")
    street.abort(name)
    street.ended(name)
    assert values(street.data(name)) == ({"mark": "alone"}, {})
    assert values(street.node_data(name, "n0"))[0] == {"mark": "alone", "x": 1}


# -- how many at once --


def test_all_that_runs_counts_against_one_limit(street):
    name = street.launched(EFFECTS, "crowd", admin.ExecutionSpec(max_parallelism=2))
    crowds = street.effects / "crowds"
    eventually(lambda: crowds.exists() and len(crowds.read_text().split()) == 2, what="two of them")
    street.open("crowd")
    street.succeeded(name)
    seen = [int(each) for each in crowds.read_text().split()]
    assert (len(seen), max(seen)) == (9, 2)


def test_without_a_limit_all_of_them_run(street):
    name = street.launched(EFFECTS, "crowd", admin.ExecutionSpec())
    crowds = street.effects / "crowds"
    eventually(lambda: crowds.exists() and len(crowds.read_text().split()) == 9, what="all of them")
    street.open("crowd")
    street.succeeded(name)
    assert max(int(each) for each in crowds.read_text().split()) == 9
