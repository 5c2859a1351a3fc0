"""Parts of the machinery are killed or stopped in the middle of a run, and the run ends as it should."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import flows
import pytest
import warm_flows
from processes import alive, eventually

import flyte_jupyter
from flyte_jupyter.supervisor import find, find_or_start, status

pytestmark = pytest.mark.usefixtures("data_home")

STOPPED = 8.0
"""Seconds that a control plane is stopped: longer than the timeout of the task that runs meanwhile."""


def lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "trace"


@pytest.fixture
def go(tmp_path):
    return tmp_path / "go"


def kill_control_plane() -> None:
    pid = status(find())["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))


def test_a_killed_parent_of_workers_costs_an_attempt_and_not_the_run(trace, go):
    execution = flyte_jupyter.launch(flows.waiting, file=str(trace), go=str(go))
    eventually(lambda: lines(trace))
    worker = int(lines(trace)[0][-1])
    parent = parent_of(worker)
    assert b"runtime.zygote" in Path(f"/proc/{parent}/cmdline").read_bytes()
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: len(lines(trace)) == 2, what="a second attempt")
    assert not alive(worker), "two attempts at the same time"
    go.touch()
    assert execution.wait(timeout=120).phase == "SUCCEEDED"
    (node,) = execution.nodes
    first, _ = node.executions
    assert "WorkerLost" in first.closure.error.code
    assert first.closure.error.kind == first.closure.error.SYSTEM
    assert execution.outputs.o0 == int(lines(trace)[1][-1])


def test_a_stopped_control_plane_takes_no_time_from_an_attempt(trace, go):
    """F10: while it stood still no deadline passed, and what it finds afterwards counts."""
    execution = flyte_jupyter.launch(flows.hurried, file=str(trace), go=str(go))
    eventually(lambda: lines(trace))
    # It knows that the attempt runs: from there the timeout counts.
    eventually(lambda: [n.phase for n in execution.nodes] == ["RUNNING"])
    pid = status(find())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        threading.Event().wait(STOPPED)
    finally:
        os.kill(pid, signal.SIGCONT)
    # Its next turns find the deadline passed by the clock on the wall.
    assert status(find())["engine"] == "active"
    other = flyte_jupyter.launch(flows.greeting, name="Ada").wait(timeout=120)
    assert other.phase == "SUCCEEDED"
    assert [n.phase for n in execution.nodes] == ["RUNNING"]
    go.touch()
    assert execution.wait(timeout=120).phase == "SUCCEEDED"
    assert len(lines(trace)) == 1
    assert (
        "the clock stood still"
        in Path(status(find())["data_dir"], "logs/control-plane.log").read_text()
    )


def test_a_warm_parent_outlives_its_control_plane(trace, go):
    execution = flyte_jupyter.launch(warm_flows.warm, file=str(trace), go=str(go))
    eventually(lambda: lines(trace))
    worker, parent = map(int, lines(trace)[0])
    assert b"runtime.zygote" in Path(f"/proc/{parent_of(parent)}/cmdline").read_bytes(), "forked"
    kill_control_plane()
    assert alive(worker)
    find_or_start()
    go.touch()
    assert execution.wait(timeout=120).outputs.o0 == [worker, 6]
    again = flyte_jupyter.launch(warm_flows.warm, file=str(trace), go=str(go)).wait(timeout=120)
    assert again.phase == "SUCCEEDED"
    assert [int(parent) for _, parent in lines(trace)] == [parent, parent], "adopted, not made anew"


def test_cached_outputs_hold_for_one_version_wherever_the_task_is_called(trace):
    def computed(make) -> int:
        execution = flyte_jupyter.launch(make, file=str(trace), x=3).wait(timeout=120)
        assert execution.phase == "SUCCEEDED"
        return len(lines(trace))

    assert computed(flows.remembered) == 1
    assert computed(flows.memory) == 1, "a task alone or in a workflow is the same task"
    assert computed(flows.remembered_anew) == 2, "another version of the cache"
    assert computed(flows.remembered_anew) == 2
