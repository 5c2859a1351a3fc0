"""The whole street, end to end: a workflow in a module, a real control plane, real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import flows
import pytest
from processes import alive, eventually

import flyte_jupyter
from flyte_jupyter.supervisor import find, find_or_start, status

pytestmark = pytest.mark.usefixtures("data_home")


def run(workflow, **inputs):
    execution = flyte_jupyter.launch(workflow, **inputs)
    execution.wait(timeout=120)
    return execution


def phase(thing) -> str:
    return str(getattr(thing.phase, "value", thing.phase)).upper()


def node(execution, task: str):
    found = [n for n in execution.nodes if task in (n.task or "")]
    assert len(found) == 1, [n.task for n in execution.nodes]
    return found[0]


def traces(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_a_workflow_runs_and_its_outputs_come_back():
    execution = run(flows.greeting, name="Ada")
    assert phase(execution) == "SUCCEEDED"
    assert execution.outputs["o0"] == "hello Ada"
    greet = node(execution, "greet")
    assert phase(greet) == "SUCCEEDED"
    assert greet.attempts == 1
    assert "hello Ada" in greet.logs()
    assert "and on the other stream" in greet.logs()
    assert "<p>hello Ada</p>" in execution.deck(greet.id)


def test_it_is_found_again_by_its_name():
    execution = run(flows.greeting, name="Ada")
    again = flyte_jupyter.execution(execution.name)
    assert again.outputs["o0"] == "hello Ada"
    assert execution.name in {e.name for e in flyte_jupyter.recent()}


def test_a_task_that_raises_says_where_and_nothing_after_it_runs(tmp_path):
    execution = run(flows.failing, file=str(tmp_path / "trace"))
    assert phase(execution) == "FAILED"
    failed = node(execution, "raises")
    assert phase(failed) == "FAILED"
    assert "KeyError: 'two'" in str(failed.error)
    assert 'return numbers["two"] + x' in str(failed.error)
    assert "kernel/runtime" not in str(failed.error)
    assert traces(tmp_path / "trace") == []
    assert phase(node(execution, "leaves_trace")) == "NOT_STARTED"
    assert node(execution, "leaves_trace").logs() == ""
    with pytest.raises(flyte_jupyter.ExecutionFailed, match=r"n0 \(task flows.raises\): KeyError"):
        _ = execution.outputs


def test_an_exit_without_outputs_is_a_failure_with_a_name():
    execution = run(flows.quiet)
    assert phase(execution) == "FAILED"
    assert "OutputsNotFound" in str(node(execution, "exits_quietly").error)


def test_a_result_of_the_wrong_type_names_task_and_types():
    execution = run(flows.mistyped)
    assert phase(execution) == "FAILED"
    said = str(node(execution, "wrong_type").error)
    for word in ("wrong_type", "int", "str"):
        assert word in said


def test_a_wrong_input_is_refused_before_anything_runs():
    with pytest.raises(flyte_jupyter.kernel.errors.FlyteJupyterError) as caught:
        flyte_jupyter.launch(flows.memory, file="x", x="seven")
    for word in ("memory", "x", "int", "str"):
        assert word in str(caught.value)


def test_a_recoverable_error_is_tried_again(tmp_path):
    execution = run(flows.patient, file=str(tmp_path / "tries"))
    assert execution.outputs["o0"] == 3
    assert node(execution, "flaky").attempts == 3


def test_a_killed_worker_is_the_systems_fault(tmp_path):
    """F04: tried again although the task has no retries of its own."""
    execution = run(flows.unlucky, file=str(tmp_path / "tries"))
    assert phase(execution) == "SUCCEEDED"
    assert len(traces(tmp_path / "tries")) == 2


def test_an_attempt_that_takes_too_long_is_ended():
    execution = run(flows.late)
    assert phase(execution) == "FAILED"
    assert "TimeoutExpired" in str(node(execution, "never_ends").error)


def test_equal_inputs_are_computed_once(tmp_path):
    file = str(tmp_path / "trace")
    first, second = run(flows.memory, file=file, x=4), run(flows.memory, file=file, x=4)
    assert first.outputs["o0"] == second.outputs["o0"] == 8
    assert len(traces(tmp_path / "trace")) == 1
    assert node(second, "remembered").cached
    run(flows.memory, file=file, x=5)
    assert len(traces(tmp_path / "trace")) == 2


def test_an_abort_ends_the_processes(tmp_path):
    file = tmp_path / "trace"
    execution = flyte_jupyter.launch(flows.waiting, file=str(file), go=str(tmp_path / "go"))
    eventually(lambda: traces(file))
    worker = int(traces(file)[0].split()[-1])
    execution.abort("enough")
    execution.wait(timeout=60)
    assert phase(execution) == "ABORTED"
    eventually(lambda: not alive(worker))


def test_a_killed_control_plane_loses_nothing_and_repeats_nothing(tmp_path):
    """The attempt that was running goes on as the same process; the run goes on by itself."""
    file, go = tmp_path / "trace", tmp_path / "go"
    execution = flyte_jupyter.launch(flows.waiting, file=str(file), go=str(go))
    eventually(lambda: traces(file))
    worker = int(traces(file)[0].split()[-1])
    control_plane = status(find())["pid"]
    os.kill(control_plane, signal.SIGKILL)
    eventually(lambda: not alive(control_plane))
    assert alive(worker)
    find_or_start()
    go.touch()
    execution.wait(timeout=120)
    assert execution.outputs["o0"] == worker
    assert len(traces(file)) == 1


def test_an_attempt_that_ended_while_nobody_looked_counts(tmp_path):
    file, go = tmp_path / "trace", tmp_path / "go"
    execution = flyte_jupyter.launch(flows.waiting, file=str(file), go=str(go))
    eventually(lambda: traces(file))
    worker = int(traces(file)[0].split()[-1])
    control_plane = status(find())["pid"]
    os.kill(control_plane, signal.SIGKILL)
    eventually(lambda: not alive(control_plane))
    go.touch()
    eventually(lambda: not alive(worker))
    execution.wait(timeout=120)
    assert execution.outputs["o0"] == worker
    assert len(traces(file)) == 1


def test_registering_the_same_again_is_nothing_new():
    first = flyte_jupyter.register(flows.greeting)
    second = flyte_jupyter.register(flows.greeting)
    assert first.version == second.version
    assert second.already
