"""How executions fail, are tried again, run out of time, and what runs when they have failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flytekit_specs import specs
from flytekit_street import EXECUTION, TASK, phase_of, serving, values
from processes import eventually

from flyte_jupyter.idl import admin, core, event

MODULES = ("policies", "handlers", "branches", "gates", "maps", "effects", "troubles")
EFFECTS, TROUBLES = specs("effects"), specs("troubles")
USER, SYSTEM = core.ExecutionError.USER, core.ExecutionError.SYSTEM
AUTO_ABORT = "Some node execution failed, auto-abort."


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("failures"), *MODULES) as street:
        yield street


@pytest.fixture
def street(plane, tmp_path):
    return replace(plane, effects=tmp_path)


def phases(attempts):
    return [(each.id.retry_attempt, TASK.Phase.Name(each.closure.phase)) for each in attempts]


# -- failure policies --


def test_the_first_failure_ends_the_rest(street):
    name = street.start(EFFECTS, "fails_beside_held")
    error = street.failed(name)
    assert "never is broken" in error.message
    beside = street.node(name, "n1")
    assert phase_of(beside) == "ABORTED"
    assert (beside.closure.error.code, beside.closure.error.message) == ("NodeAborted", AUTO_ABORT)
    for attempt in street.attempts(name, "n1"):
        assert (attempt.closure.phase, attempt.closure.error.message) == (TASK.ABORTED, AUTO_ABORT)


def test_what_does_not_hang_on_a_failure_is_finished_where_the_workflow_says_so(street):
    name = street.start(EFFECTS, "skips")
    assert "skips is broken" in street.failed(name).message
    assert street.all_marks() == {"skips": 1, "independent": 2}
    assert street.phases(name) == {
        "start-node": "SUCCEEDED", "n0": "FAILED", "n3": "SUCCEEDED", "n4": "SUCCEEDED",
    }, "nothing is told of what hangs on a failure"  # fmt: skip


# -- retries --


def test_retries_are_attempts_and_the_node_stays_running(street):
    name = street.start(specs("policies"), "patient", x=1)
    assert street.succeeded(name) == {"o0": 1}
    told = street.attempts(name, "n0")
    assert phases(told) == [(0, "RETRYABLE_FAILED"), (1, "RETRYABLE_FAILED"), (2, "SUCCEEDED")]
    first = told[0].closure.error
    assert (first.code, first.kind) == ("USER:Recoverable", USER)
    assert "once more" in first.message
    assert first.error_uri.endswith("/n0/data/0/error.pb")
    assert [each.closure.output_uri.endswith("/n0/data/2/outputs.pb") for each in told] == [
        False, False, True,
    ]  # fmt: skip


def test_used_up_retries_have_flytes_words(street):
    name = street.start(specs("policies"), "exhausted")
    error = street.failed(name)
    assert error.code == "RetriesExhausted|USER:Recoverable"
    assert error.message.startswith("[2/2] currentAttempt done. Last Error: USER::")
    assert error.kind == USER
    assert phases(street.attempts(name, "n0")) == [(0, "RETRYABLE_FAILED"), (1, "FAILED")]


def test_an_exception_of_the_users_is_not_tried_again(street):
    name = street.start(specs("policies"), "permanent")
    error = street.failed(name)
    assert "an exception of the user's is not tried again" in error.message
    assert error.kind == USER
    assert phases(street.attempts(name, "n0")) == [(0, "FAILED")]


def test_a_process_that_was_taken_away_costs_the_user_no_retry(street):
    name = street.start(TROUBLES, "dying", mark="dies", times=3)
    assert street.succeeded(name) == {"o0": 4}
    told = street.attempts(name, "n0")
    assert phases(told) == [*((i, "RETRYABLE_FAILED") for i in range(3)), (3, "SUCCEEDED")]
    assert {(each.closure.error.code, each.closure.error.kind) for each in told[:3]} == {
        ("Killed", SYSTEM)
    }


def test_the_systems_patience_ends_too(street):
    name = street.start(TROUBLES, "dying", mark="dies-on", times=9)
    error = street.failed(name)
    assert error.code == "RetriesExhausted|Killed"
    assert "[4/4]" in error.message
    assert street.marks("dies-on") == 4


def test_an_attempt_that_leaves_nothing_is_tried_again(street):
    name = street.start(TROUBLES, "silent")
    assert street.failed(name).code == "RetriesExhausted|OutputsNotFound"
    assert street.marks("silent") == 2


def test_attempts_say_whether_they_may_be_interrupted(street):
    name = street.start(specs("policies"), "cheap", x=1)
    street.succeeded(name)
    classes = {node: interruptible(street, name, node) for node in ("n0", "n1")}
    assert classes == {"n0": [True], "n1": [False]}, (
        "the node's word counts more than the workflow's"
    )
    kind = admin.ExecutionSpec()
    kind.interruptible.value = True
    name = street.launched(TROUBLES, "dying", kind, mark="dies-cheaply", times=3)
    street.succeeded(name)
    assert interruptible(street, name, "n0") == [True, True, True, False]


def interruptible(street, name, node):
    kinds = [each.closure.metadata.instance_class for each in street.attempts(name, node)]
    return [kind == event.TaskExecutionMetadata.INTERRUPTIBLE for kind in kinds]


# -- time --


def test_an_attempt_out_of_time_is_the_users_and_tried_again(street):
    street.succeeded(street.start(EFFECTS, "named"))  # by now attempts begin at once
    name = street.start(TROUBLES, "second_in_time")
    assert street.succeeded(name) == {"o0": 1}
    first, second = street.attempts(name, "n0")
    assert (first.closure.phase, first.closure.error.code) == (
        TASK.RETRYABLE_FAILED,
        "TimeoutExpired",
    )
    assert (first.closure.error.kind, second.closure.phase) == (USER, TASK.SUCCEEDED)


def test_a_node_may_take_twice_as_long_as_an_attempt(street):
    name = street.start(specs("policies"), "late")
    error = street.failed(name)
    assert (error.code, error.kind) == ("TimeoutExpired", USER)
    node = street.node(name, "n0")
    assert (phase_of(node), node.closure.error.code) == ("TIMED_OUT", "TimeoutExpired")
    assert street.attempts(name, "n0")[-1].closure.phase == TASK.FAILED


def test_a_gates_patience_ends(street):
    name = street.start(specs("gates"), "impatient")
    error = street.failed(name)
    assert error.code == "TimeoutExpired"
    assert "nobody answered its signal 'never'" in error.message
    assert phase_of(street.node(name, "n1")) == "FAILED"


# -- failure nodes --


def test_a_failure_node_is_told_what_failed(street):
    name = street.start(EFFECTS, "handled")
    error = street.failed(name)
    what, node, message = (street.effects / "told").read_text().split("\n", 2)
    assert (what, node) == ("report", "n1"), "Flyte names the failure node itself"
    assert message == error.message
    assert "handled is broken" in message
    handler = street.node(name, "fn0")
    assert phase_of(handler) == "SUCCEEDED"
    assert values(street.node_data(name, "fn0"))[0]["err"] == message


def test_a_failure_node_runs_once_what_ran_beside_is_stopped(street):
    name = street.start(EFFECTS, "handled_while_held")
    street.failed(name)
    order = [each.id.node_id for each in street.listed(name)]
    assert order[-1] == "fn0"
    told = street.nodes(name)
    assert phase_of(told["n1"]) == "ABORTED"
    ended, began = told["n1"].closure.updated_at, told["fn0"].closure.created_at
    assert ended.ToDatetime() <= began.ToDatetime()


def test_an_execution_is_failing_while_its_failure_is_handled(street):
    name = street.start(EFFECTS, "handled_slowly")
    street.seen("handling")
    assert street.execution(name).closure.phase == EXECUTION.FAILING
    street.open("handling")
    assert "handled-slowly is broken" in street.failed(name).message


def test_a_failure_nodes_own_failure_is_what_remains(street):
    name = street.start(specs("handlers"), "handled_badly")
    assert "the handler breaks too" in street.failed(name).message
    assert {n: phase_of(e) for n, e in street.nodes(name).items() if n != "start-node"} == {
        "n0": "FAILED",
        "fn0": "FAILED",
    }


def test_a_failure_node_stands_in_its_sub_workflow(street):
    name = street.start(specs("handlers"), "around_handled")
    street.failed(name)
    assert street.phases(name) == {
        "start-node": "SUCCEEDED",
        "n0": "FAILED",
        "n0-0-start-node": "SUCCEEDED",
        "n0-0-n0": "FAILED",
        "n0-0-fn0": "SUCCEEDED",
    }


def test_an_abort_asks_no_failure_node(street):
    street.mend("handled")
    name = street.start(EFFECTS, "handled_while_held")
    street.seen("beside-handled")
    street.abort(name)
    assert street.ended(name).closure.phase == EXECUTION.ABORTED
    assert "fn0" not in street.nodes(name)
    assert not (street.effects / "told").exists()


# -- branches, maps, gates --


def test_a_branch_without_a_way_fails_with_its_words(street):
    name = street.start(specs("branches"), "else_fails", x=2.0)
    error = street.failed(name)
    assert (error.code, error.message, error.kind) == (
        "UserProvidedError",
        "x must be below 1",
        USER,
    )
    assert not street.nodes(name, "n0")


def test_a_map_fails_as_soon_as_it_cannot_succeed(street):
    name = street.start(specs("maps"), "intolerant", n=6)
    error = street.failed(name)
    assert "is a multiple of three" in error.message
    assert phase_of(street.node(name, "n1")) == "FAILED"
    (whole,) = street.attempts(name, "n1")
    assert whole.closure.phase == TASK.FAILED
    assert "[0]" in whole.closure.error.message or "[3]" in whole.closure.error.message


def test_gates_wait_for_people(street):
    gates = specs("gates")
    yes, no, asked, rested = (
        street.start(gates, short) for short in ("approved", "approved", "asked", "rested")
    )
    for name in (yes, no):
        eventually(lambda n=name: street.signals(n), what="the signal")
        assert phase_of(street.node(name, "n1")) == "RUNNING"
    (open_one,) = street.signals(yes).values()
    assert open_one.type.simple == core.SimpleType.BOOLEAN
    wrong = admin.SignalSetRequest(id=open_one.id)
    wrong.value.scalar.primitive.integer = 1
    assert street.call("POST", "/api/v1/signals", wrong.SerializeToString()).status == 400
    absent = admin.SignalSetRequest(id=open_one.id)
    absent.id.signal_id = "nobody-asks"
    absent.value.scalar.primitive.boolean = True
    assert street.call("POST", "/api/v1/signals", absent.SerializeToString()).status == 400
    street.answer(yes, "is-it-right", True)
    street.answer(no, "is-it-right", False)
    assert street.succeeded(yes) == {"o0": 3}
    assert values(street.node_data(yes, "n1"))[1] == {"o0": 2}
    error = street.failed(no)
    assert (error.code, error.kind) == ("ReceivedRejectSignal", USER)
    eventually(lambda: "word" in street.signals(asked), what="the signal")
    street.answer(asked, "word", "hello")
    assert street.succeeded(asked) == {"o0": "hello 2"}
    assert street.succeeded(rested) == {"o0": 2}


def test_an_answer_chooses_an_arm(street):
    name = street.start(specs("gates"), "asked_in_a_branch", x=1)
    eventually(lambda: "good" in street.signals(name), what="the signal")
    street.answer(name, "good", False)
    assert street.succeeded(name) == {"o0": "bad 1"}
