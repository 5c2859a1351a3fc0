"""Workers, kernels and Jupyter servers die, and the runs go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from fault_planes import TASK, done, plane, workers
from processes import alive, eventually, run_jupyter
from test_street_kernels import CELLS, Kernel

import flyte_jupyter
from flyte_jupyter.idl import core
from flyte_jupyter.supervisor import find_or_start


@pytest.fixture
def street(tmp_path):
    with plane(tmp_path) as made:
        yield made


def test_killed_workers_of_items_and_of_nested_nodes_are_replaced_and_their_neighbours_go_on(
    street, tmp_path
):
    """F04: the system's failure, although no task here has a retry of its own to lose."""
    trace = tmp_path / "trace"
    name = street.start("holding", file=str(trace), items=4, nodes=3)
    eventually(lambda: len(done(trace)) == 7)
    begun = workers(trace)
    for what in ("item.1", "deep.2"):
        os.kill(begun[what][0], signal.SIGKILL)
    eventually(lambda: done(trace).total() == 9, what="two new workers")
    assert not any(alive(begun[what][0]) for what in ("item.1", "deep.2"))
    Path(f"{trace}.go").touch()
    street.succeeded(name)
    assert street.outputs(name) == {"o0": 7}
    assert {what: len(pids) for what, pids in workers(trace).items() if len(pids) > 1} == {
        "item.1": 2,
        "deep.2": 2,
    }
    nodes = street.nodes(name)
    (array,) = (node.id.node_id for node in nodes.values() if node.metadata.is_array)
    tries = {index: item.retry_attempt for index, item in street.items(name, array).items()}
    assert tries == {0: 0, 1: 1, 2: 0, 3: 0}
    (graph,) = (node.id.node_id for node in nodes.values() if node.metadata.is_dynamic)
    failures = [
        attempt.closure.error
        for inner in street.nodes(name, graph).values()
        for held in street.nodes(name, inner.id.node_id).values()
        for attempt in street.attempts(name, held.id.node_id)
        if attempt.closure.phase == TASK.RETRYABLE_FAILED
    ]
    assert [failure.kind for failure in failures] == [core.ExecutionError.SYSTEM]


def test_a_run_outlives_the_kernel_that_launched_it(data_home, tmp_path):
    """F03: nothing of a run is in a kernel. Another process finds it, with all that happened meanwhile."""
    go = tmp_path / "go"
    kernel = Kernel(tmp_path / "kernel")
    try:
        kernel.client.wait_for_ready(timeout=60)
        assert kernel.run(CELLS) == ""
        name = kernel.run(f"print(launch(study, number=21, go={str(go)!r}).name)").strip()
        run = flyte_jupyter.execution(name)
        eventually(lambda: [node.phase for node in run.nodes] == ["RUNNING"])
        os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
    finally:
        kernel.end()
    go.touch()
    assert run.wait(timeout=120).outputs.o0 == 42
    assert [node.attempts for node in run.nodes] == [1]


def test_a_run_outlives_the_jupyter_server_it_was_seen_through(data_home, tmp_path):
    """F03: the next server shows what happened while none was there."""
    import flows

    trace, go = tmp_path / "trace", tmp_path / "go"
    find_or_start()
    run = flyte_jupyter.launch(flows.two_steps, file=str(trace), go=str(go))
    eventually(trace.exists)
    path = f"flyte-jupyter/api/v1/executions/{run.project}/{run.domain}/{run.name}"
    with run_jupyter(tmp_path / "one") as first:
        seen = first.request("GET", path)
        assert seen.json()["closure"]["phase"] == "RUNNING", seen.body
        first.process.kill()
        first.process.wait(60)
        go.touch()
        assert run.wait(timeout=120).phase == "SUCCEEDED"
        with run_jupyter(tmp_path / "two") as second:
            assert second.request("GET", path).json()["closure"]["phase"] == "SUCCEEDED"
