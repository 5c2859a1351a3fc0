"""Kinds of nodes inside one another: gates and branches in graphs made at run time, composites as arms, failures through depths."""

from __future__ import annotations

import pytest
from flytekit_specs import specs
from flytekit_street import phase_of, serving
from processes import eventually

from flyte_jupyter.idl.ids import short_id

MIXTURES = specs("mixtures")


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("mixtures"), "mixtures") as street:
        yield street


def asked(street, name, signal):
    eventually(lambda: signal in street.signals(name), what=f"signal {signal}")


@pytest.mark.parametrize(("n", "wanted"), [(1, "few 2"), (5, "many 6")])
def test_a_branch_in_a_graph_made_at_run_time(street, n, wanted):
    name = street.start(MIXTURES, "choosing", n=n)
    assert street.succeeded(name) == {"o0": wanted}


def test_gates_in_graphs_made_at_run_time(street):
    name = street.start(MIXTURES, "approving", n=1)
    resting = street.start(MIXTURES, "resting", n=1)
    asked(street, name, "inside")
    street.answer(name, "inside", True)
    assert street.succeeded(name) == {"o0": 3}
    assert street.succeeded(resting) == {"o0": 2}


def test_one_answer_serves_every_gate_that_asks_for_it(street):
    name = street.start(MIXTURES, "asking_twice")
    asked(street, name, "how-many")
    assert len(street.signals(name)) == 1
    street.answer(name, "how-many", 10)
    assert street.succeeded(name) == {"o0": 11, "o1": 12}


def test_composites_are_arms(street):
    runs = {n: street.start(MIXTURES, "arms", n=n) for n in (1, 2, 3, 4)}
    asked(street, runs[4], "how-many")
    street.answer(runs[4], "how-many", 10)
    given = {n: street.succeeded(name)["o0"] for n, name in runs.items()}
    assert given == {1: 0, 2: 2, 3: 4, 4: 14}
    child = street.nodes(runs[2], "n0")["n0-0-n0-n1"].closure.workflow_node_metadata.executionId
    assert street.execution(child.name).spec.max_parallelism == 25, "the parent's, as it runs"


def test_a_failure_is_handled_at_its_depth_and_goes_up(street):
    name = street.start(MIXTURES, "breaking_inside")
    assert "1 is broken" in street.failed(name).message
    phases = street.phases(name)
    inside = "n0-0-dn0"
    assert (phases["n0"], phases[inside]) == ("FAILED", "FAILED")
    assert phases[short_id(f"{inside}-0-dfn0")] == "SUCCEEDED", "flytekit's name in a dynamic task"


def test_a_retry_deep_inside_is_enough(street):
    name = street.start(MIXTURES, "deep_retry")
    assert street.succeeded(name) == {"o0": 3}
    assert [each.id.retry_attempt for each in street.attempts(name, "n0-0-dn0")] == [0, 1]
    assert len(street.attempts(name, "n0")) == 1


def test_a_graph_that_names_what_nobody_has_fails_its_task(street):
    name = street.start(MIXTURES, "into_the_unknown")
    error = street.failed(name)
    assert error.code == "DynamicWorkflowBuildFailed"
    assert "nobody.has.this" in error.message
    assert phase_of(street.node(name, "n0")) == "FAILED"
    assert len(street.attempts(name, "n0")) == 1


def test_what_is_made_without_decorators(street):
    name = street.start(MIXTURES, "by_hand", n=2)
    assert street.succeeded(name) == {"sum": 6}


def test_what_is_somebody_elses_is_referred_to(street):
    name = street.start(MIXTURES, "referring", n=3)
    assert street.succeeded(name) == {"o0": 6, "o1": 6}
