"""From a module's workflow to an execution on a real control plane, and back."""

import _thread
import importlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import kernel_jobs as jobs
import pytest
from processes import eventually, stop_control_plane

import flyte_jupyter
from flyte_jupyter import task
from flyte_jupyter.idl import core
from flyte_jupyter.kernel.authoring import AuthoringError
from flyte_jupyter.kernel.client import (
    Client,
    ControlPlaneError,
    InvalidRequest,
    NotFound,
    NotNow,
    Unavailable,
    UploadStorage,
)
from flyte_jupyter.kernel.client.errors import error_of
from flyte_jupyter.kernel.launching import (
    ExecutionFailed,
    LaunchingError,
    LaunchOptions,
    NotFinished,
    WaitInterrupted,
    WaitTimeout,
)
from flyte_jupyter.kernel.types import TypeMismatch
from flyte_jupyter.kernel.types.storage import StorageError
from flyte_jupyter.supervisor import Endpoint, find, status

LONG = 120


@pytest.fixture(scope="module", autouse=True)
def control_plane(tmp_path_factory):
    """One control plane for the module; the first launch starts it."""
    data = tmp_path_factory.mktemp("home") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_JUPYTER_DATA_DIR", str(data))
        patch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
        yield data
        stop_control_plane(data)


@pytest.fixture(scope="module")
def finished():
    return flyte_jupyter.launch(jobs.pipeline, x=1).wait(LONG)


EAGER = """
from flyte_jupyter import launch, task

@task
def eager(x: int = 1) -> int:
    return x

run = launch(eager)
"""


def test_a_module_that_launches_wherever_it_is_imported_launches_once(tmp_path, monkeypatch):
    (tmp_path / "eager_jobs.py").write_text(EAGER)
    monkeypatch.syspath_prepend(tmp_path)
    run = importlib.import_module("eager_jobs").run.wait(LONG)
    assert run.phase == "FAILED"
    assert 'if __name__ == "__main__"' in run.error
    made = [each.name for each in flyte_jupyter.recent(100) if each.version == run.version]
    assert made == [run.name]


def test_inputs_may_be_given_in_order_as_to_the_function():
    assert flyte_jupyter.launch(jobs.pipeline, 1).inputs.x == 1
    with pytest.raises(AuthoringError, match="too many positional"):
        flyte_jupyter.launch(jobs.pipeline, 1, 2, 3, 4, 5)


def test_a_workflow_runs_and_gives_typed_outputs(finished):
    assert finished.phase == "SUCCEEDED"
    assert finished.error == ""
    outputs = finished.outputs
    assert list(outputs) == ["o0", "o1"]
    assert outputs.o1 == outputs["o1"] == 3
    assert Path(outputs.o0).read_text() == "3.0\n6.0\n0.5"
    assert "o1=3" in repr(outputs)
    with pytest.raises(KeyError, match="there are: o0, o1"):
        outputs["accuracy"]
    assert dict(finished.inputs) == {"x": 1, "y": 2}
    assert finished.workflow.name == "kernel_jobs.pipeline"


def test_nodes_that_came_at_one_moment_stand_as_in_the_workflow(finished):
    again = flyte_jupyter.launch(jobs.pipeline, x=1).wait(LONG)
    assert [(node.name, node.cached) for node in again.nodes] == [
        ("scale", True),
        ("scale", True),
        ("save", False),
    ]


def test_its_nodes_can_be_looked_at(finished):
    nodes = finished.nodes
    assert [node.name for node in nodes] == ["scale", "scale", "save"]
    assert {node.id for node in nodes} == {"n0", "second", "n2"}
    saved = finished.node("n2")
    assert (saved.phase, saved.attempts, saved.error) == ("SUCCEEDED", 1, "")
    assert saved.task == "kernel_jobs.save"
    assert saved.seconds > 0
    assert saved.started_at.utcoffset() is not None
    assert saved.inputs["values"] == [3.0, 6.0, 0.5]
    assert saved.outputs["o1"] == 3
    assert saved.logs() == ""
    with pytest.raises(KeyError, match="n0"):
        finished.node("n9")


def test_it_is_found_again_and_can_run_again(finished):
    assert flyte_jupyter.execution(finished.name).outputs["o1"] == 3
    assert finished.name in [each.name for each in flyte_jupyter.recent(50)]
    again = finished.relaunch()
    assert again.name != finished.name
    assert again.wait(LONG).outputs.o1 == 3
    assert [node.cached for node in again.nodes if node.name == "scale"] == [True, True]
    with pytest.raises(NotFound):
        flyte_jupyter.execution("no-such-run")


def test_registering_again_changes_nothing(finished):
    first = flyte_jupyter.register(jobs.pipeline)
    assert first.already
    assert first.version == finished.version
    assert "already" in str(first)
    alone = flyte_jupyter.register(jobs.broken)
    assert flyte_jupyter.register(jobs.broken).already
    assert alone.identifier.resource_type == core.ResourceType.TASK


def test_a_task_is_launched_by_itself(tmp_path):
    execution = flyte_jupyter.launch(jobs.save, values=[1]).wait(LONG)
    assert execution.outputs.o1 == 1


@pytest.mark.parametrize("inputs", [{"x": "1"}, {"x": 1.5}, {"x": True}])
def test_the_wrong_type_is_refused_before_anything_is_sent(inputs):
    with pytest.raises(TypeMismatch, match="workflow pipeline, parameter x: expected int"):
        flyte_jupyter.launch(jobs.pipeline, **inputs)


def test_missing_and_unknown_inputs_are_refused():
    for inputs in ({}, {"x": 1, "z": 2}):
        with pytest.raises(AuthoringError, match="workflow pipeline"):
            flyte_jupyter.launch(jobs.pipeline, **inputs)


def test_what_is_no_entity_is_refused():
    with pytest.raises(LaunchingError, match="@task or @workflow"):
        flyte_jupyter.launch(len, x=1)


@pytest.mark.parametrize("options", [None, 3, {"name": "x"}])
def test_options_that_are_none_are_refused(options):
    with pytest.raises(LaunchingError, match=r"options=LaunchOptions\(\.\.\.\)"):
        flyte_jupyter.launch(jobs.pipeline, options=options)


@pytest.mark.parametrize("count", [0, -1, 1001, 2.0, "3", True])
def test_a_count_of_executions_that_makes_no_sense_is_refused(count):
    with pytest.raises(LaunchingError, match="whole number from 1 to 1000"):
        flyte_jupyter.recent(count)


def test_an_input_called_options_is_refused():
    @task
    def choose(options: int) -> int:
        return options

    with pytest.raises(LaunchingError, match="rename it"):
        flyte_jupyter.launch(choose)


def test_a_failure_says_node_and_traceback():
    execution = flyte_jupyter.launch(jobs.failing, x=4).wait(LONG)
    assert execution.phase == "FAILED"
    with pytest.raises(ExecutionFailed) as caught:
        execution.outputs  # noqa: B018 - asking is the point
    assert (caught.value.node, caught.value.phase) == ("n0", "FAILED")
    assert "no luck with 4" in str(caught.value)
    assert "kernel_jobs.py" in str(caught.value)


def test_a_long_failure_is_told_whole():
    """A list of nodes has only the ends of it."""
    execution = flyte_jupyter.launch(jobs.wordy, x=4).wait(LONG)
    assert "no luck with 4" in execution.error
    with pytest.raises(ExecutionFailed, match="no luck with 4"):
        execution.outputs  # noqa: B018 - asking is the point
    assert "no luck with 4" in execution.node("n0").error


def test_the_node_that_failed_is_named_not_those_it_took_along(tmp_path):
    execution = flyte_jupyter.launch(jobs.one_of_two, go=str(tmp_path / "never")).wait(LONG)
    with pytest.raises(ExecutionFailed, match="no luck with 1") as caught:
        execution.outputs  # noqa: B018 - asking is the point
    assert caught.value.node == "n1"
    assert execution.node("n0").phase == "ABORTED"


def test_waiting_can_end_before_the_run_does(tmp_path):
    go = tmp_path / "go"
    execution = flyte_jupyter.launch(jobs.waiting, go=str(go))
    with pytest.raises(WaitTimeout, match=execution.name):
        execution.wait(timeout=0.05)
    with pytest.raises(NotFinished, match=r"\.wait\(\)"):
        execution.outputs  # noqa: B018 - asking is the point

    def interrupt(_):
        _thread.interrupt_main()

    # Who starts the tests in the background may have told them not to mind interrupts; a kernel does.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(WaitInterrupted, match=r"flyte_jupyter\.execution"):
            execution.wait(LONG, on_change=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not execution.done
    go.touch()
    assert execution.wait(LONG).phase == "SUCCEEDED"
    assert dict(execution.outputs) == {}


def test_a_run_can_be_aborted(tmp_path):
    execution = flyte_jupyter.launch(jobs.waiting, go=str(tmp_path / "never"))
    execution.abort("enough")
    assert execution.wait(LONG).phase == "ABORTED"
    assert "enough" in execution.error
    with pytest.raises(ExecutionFailed, match="ABORTED"):
        execution.outputs  # noqa: B018 - asking is the point
    with pytest.raises(NotNow):
        execution.abort("again")


def test_a_launch_can_be_named_and_then_happens_once():
    options = LaunchOptions(
        name="my-own-name", env={"B": "2"}, labels={"team": "a"}, max_parallelism=1
    )
    execution = flyte_jupyter.launch(jobs.pipeline, options=options, x=5)
    assert execution.name == "my-own-name"
    assert execution.wait(LONG).message.spec.labels.values["team"] == "a"
    with pytest.raises(ControlPlaneError, match="my-own-name"):
        flyte_jupyter.launch(jobs.pipeline, options=options, x=5)


def test_the_client_survives_a_restart_of_the_control_plane(finished, control_plane):
    client = finished.client
    before = status(client.endpoint)["pid"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: find() is None, what="the killed control plane is gone")
    assert client.get_execution(finished.run).id.name == finished.name
    assert status(client.endpoint)["pid"] != before


def test_a_named_endpoint_that_is_gone_says_so(tmp_path):
    client = Client(Endpoint(f"unix://{tmp_path}/nobody.sock"))
    with pytest.raises(Unavailable):
        client.list_executions("p", "d")


def test_uploads_are_the_same_for_the_same_content(tmp_path):
    client = Client()
    one = client.upload("flytesnacks", "development", b"abc", "a.bin")
    assert client.upload("flytesnacks", "development", b"abc", "a.bin") == one
    assert client.upload("flytesnacks", "development", b"abd", "a.bin") != one
    storage = UploadStorage(client, "flytesnacks", "development")
    storage.get(one, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"abc"
    assert storage.scratch() != storage.scratch()


def test_a_large_file_is_uploaded_a_part_at_a_time(tmp_path):
    """In a process of its own, whose peak of memory is that of the upload."""
    large, said = tmp_path / "large.bin", tmp_path / "said"
    with large.open("wb") as file:
        file.truncate(256 * 2**20)
    code = f"""if True:
        from pathlib import Path
        from resource import RUSAGE_SELF, getrusage
        from flyte_jupyter.kernel.client import Client, UploadStorage
        storage = UploadStorage(Client(), "flytesnacks", "development")
        small = Path({str(tmp_path / "small.bin")!r})
        small.write_bytes(b"x")
        storage.put(small, "small.bin")
        before = getrusage(RUSAGE_SELF).ru_maxrss
        uri = storage.put(Path({str(large)!r}), "large.bin")
        grown = getrusage(RUSAGE_SELF).ru_maxrss - before
        Path({str(said)!r}).write_text(f"{{grown}} {{uri}}")
    """
    subprocess.run([sys.executable, "-c", code], check=True)
    grown, uri = said.read_text().split(maxsplit=1)
    assert int(grown) < 64 * 1024
    assert Path(uri.removeprefix("file://")).stat().st_size == 256 * 2**20


def test_an_empty_file_is_uploaded_and_one_that_is_gone_is_named(tmp_path):
    storage = UploadStorage(Client(), "flytesnacks", "development")
    (tmp_path / "empty").touch()
    assert (
        Path(storage.put(tmp_path / "empty", "empty").removeprefix("file://")).read_bytes() == b""
    )
    with pytest.raises(StorageError, match="nowhere"):
        storage.put(tmp_path / "nowhere", "nowhere")


def test_a_launch_the_server_refuses_says_why():
    with pytest.raises((InvalidRequest, NotFound), match="nowhere"):
        flyte_jupyter.launch(jobs.pipeline, options=LaunchOptions(project="nowhere"), x=1)


@pytest.mark.parametrize(
    ("http", "body", "kind", "said"),
    [
        (404, b'{"code": 5, "message": "no such run"}', NotFound, "no such run"),
        (400, b'{"code": 9, "message": "it has ended"}', NotNow, "it has ended"),
        (503, b"<html>busy</html>", Unavailable, "busy"),
        (500, b"", ControlPlaneError, "answered 500 to GET /x"),
        (400, b"[1]", InvalidRequest, "answered 400"),
    ],
)
def test_answers_become_errors_of_their_kind(http, body, kind, said):
    error = error_of(http, body, "GET /x")
    assert type(error) is kind
    assert said in str(error)


def test_threads_may_share_an_execution(finished):
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(finished.outputs.o1)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert seen == [3, 3, 3, 3]
