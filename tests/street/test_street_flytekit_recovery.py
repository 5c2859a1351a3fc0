"""Executions that recover others and repeat nothing that succeeded, whatever it stood inside of; and executions launched again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from flytekit_specs import specs
from flytekit_street import EXECUTION, HERE, TASK, serving, values
from processes import eventually

from flyte_jupyter.idl import admin, core

EFFECTS = specs("effects")
METADATA = admin.ExecutionMetadata
BROKEN = ("leaf-last", "item2", "childs-last", "steps")
ONCE = {
    "first": 1, "inside": 2, "grown": 1, "leaf0": 1, "leaf1": 1, "item0": 1, "item1": 1, "item3": 1, "childs-first": 1,
}  # fmt: skip
"""What succeeds at once in `everything`, and how often it runs."""
OUTPUTS = {"o0": 5, "o1": 4, "o2": [0, 1, 4, 9], "o3": 5}


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("recovery"), "launch_plans", "effects") as street:
        yield street


@pytest.fixture
def street(plane, tmp_path):
    return replace(plane, effects=tmp_path)


@pytest.fixture
def broken(street):
    """An execution of `everything` that has failed in all the places that break."""
    name = street.start(EFFECTS, "everything", n=2)
    ended(street, name, "n3", 3)
    street.open("item")
    street.failed(name)
    assert street.all_marks() == ONCE | {"leaf-last": 1, "item2": 1, "childs-last": 1}
    return name


def ended(street, name, node, count):
    """Wait until so many items of an array node have succeeded."""

    def look():
        items = street.items(name, node).values() if street.nodes(name).get(node) else ()
        return [each.phase for each in items].count(TASK.SUCCEEDED) == count

    eventually(look, what=f"the end of {count} items")


def child_of(street, name):
    return street.node(name, "n4").closure.workflow_node_metadata.executionId.name


def test_nothing_that_succeeded_runs_again(street, broken):
    street.mend(*BROKEN)
    name = street.recover(broken)
    assert street.succeeded(name) == OUTPUTS | {"o4": 3}, "the last goes on at its checkpoint"
    assert street.all_marks() == ONCE | {"leaf-last": 2, "item2": 2, "childs-last": 2}
    metadata = street.execution(name).spec.metadata
    assert (metadata.mode, metadata.reference_execution.name) == (METADATA.RECOVERED, broken)


def test_a_recovered_execution_tells_what_was_taken_over(street, broken):
    street.mend(*BROKEN)
    name = street.recover(broken)
    street.succeeded(name)
    told = street.phases(name)
    assert {node for node, phase in told.items() if phase == "RECOVERED"} == {
        "n0", "n1", "n2-0-dn0", "n2-0-dn1", "n2-0-dn2",
    }  # fmt: skip
    assert set(told.values()) == {"RECOVERED", "SUCCEEDED"}
    assert values(street.node_data(name, "n0")) == values(street.node_data(broken, "n0"))
    assert not street.attempts(name, "n0")
    assert not street.nodes(name, "n1"), (
        "what stands in a recovered node is the earlier execution's"
    )
    assert not street.attempts(name, "n2"), "its graph is there already"
    graph = street.node_data(name, "n2").dynamic_workflow
    assert (
        graph.compiled_workflow == street.node_data(broken, "n2").dynamic_workflow.compiled_workflow
    )
    uses = street.own("GET", f"lineage/{HERE}/{broken}")["used_by"]
    assert {(each["node"], each["execution"]) for each in uses} >= {("n0", f"{HERE}/{name}")}


def test_a_child_execution_is_recovered_in_its_turn(street, broken):
    street.mend(*BROKEN)
    name = street.recover(broken)
    street.succeeded(name)
    child = street.execution(child_of(street, name))
    metadata = child.spec.metadata
    assert (metadata.mode, metadata.nesting) == (METADATA.RECOVERED, 1)
    assert metadata.reference_execution.name == child_of(street, broken)
    assert metadata.parent_node_execution.execution_id.name == name
    assert street.phases(child.id.name) == {
        "start-node": "SUCCEEDED", "n0": "RECOVERED", "n1": "SUCCEEDED", "end-node": "SUCCEEDED",
    }  # fmt: skip


def test_items_that_are_executions_are_recovered_each_for_itself(street):
    name = street.start(EFFECTS, "many_below")
    ended(street, name, "n0", 2)
    street.open("odd")
    street.failed(name)
    street.mend("odd")
    again = street.recover(name)
    assert street.succeeded(again) == {"o0": [1, 2, 3]}
    assert street.all_marks() == {"each-first": 3, "odd1": 1, "odd2": 2, "odd3": 1}


def test_what_is_still_broken_fails_again_and_can_be_recovered_again(street, broken):
    street.mend("leaf-last", "item2")
    second = street.recover(broken)
    street.failed(second)
    street.mend(*BROKEN)
    third = street.recover(second)
    assert street.succeeded(third) == OUTPUTS | {"o4": 5}
    assert street.all_marks() == ONCE | {"leaf-last": 2, "item2": 2, "childs-last": 3}
    assert street.phases(third)["n2"] == "RECOVERED"


def test_an_abort_of_a_recovery_loses_nothing(street):
    name = street.start(EFFECTS, "held_after", n=2)
    street.failed(name)
    second = street.recover(name)
    street.seen("after", 1)
    street.abort(second)
    assert street.ended(second).closure.phase == EXECUTION.ABORTED
    assert street.phases(second)["n0"] == "RECOVERED"
    street.open("after")
    third = street.recover(second)
    assert street.succeeded(third) == {"o0": 4, "o1": 3}
    assert street.all_marks() == {"before": 1, "again": 3, "after": 2}


def test_an_aborted_execution_can_be_recovered(street):
    name = street.start(EFFECTS, "all_held")
    street.seen("held-item", 2)
    street.open("held-task", "held-inside")
    for node in ("n0", "n1"):
        street.reached(name, node, core.NodeExecution.SUCCEEDED)
    street.abort(name)
    street.ended(name)
    street.open("held-grown", "held-child", "held-item")
    again = street.recover(name)
    street.succeeded(again)
    marks = street.all_marks()
    assert (marks["held-task"], marks["held-inside"]) == (1, 1)
    assert marks["held-item"] == 4


def test_a_success_recovered_repeats_nothing(street):
    name = street.start(specs("launch_plans"), "parent", x=2)
    wanted = street.succeeded(name)
    again = street.recover(name)
    assert street.succeeded(again) == wanted
    told = Counter(street.phases(again).values())
    assert told == {"RECOVERED": 3, "SUCCEEDED": 2}


def test_what_runs_is_not_recovered(street):
    name = street.start(EFFECTS, "deep", mark="running")
    street.seen("running")
    reference = street.execution(name).id
    request = admin.ExecutionRecoverRequest(id=reference).SerializeToString()
    assert street.call("POST", "/api/v1/executions/recover", request).status == 400
    street.open("running")
    street.succeeded(name)


def test_items_that_succeeded_are_told_as_such_in_the_recovery(street, broken):
    street.mend(*BROKEN)
    name = street.recover(broken)
    street.succeeded(name)
    items = street.items(name, "n3")
    assert {i: each.phase for i, each in items.items()} == dict.fromkeys(range(4), TASK.SUCCEEDED)


def test_a_relaunch_does_all_of_it_again(street):
    name = street.start(EFFECTS, "inner", mark="again", x=1)
    street.succeeded(name)
    again = street.relaunch(name)
    assert street.succeeded(again) == {"o0": 3}
    assert street.marks("again") == 4
    metadata = street.execution(again).spec.metadata
    assert (metadata.mode, metadata.reference_execution.name) == (METADATA.RELAUNCH, name)
