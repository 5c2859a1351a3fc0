"""Small values go from worker to worker in messages and stand in the database: whoever asks for them has them all the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import flows
import pytest
from processes import alive, eventually

import flyte_jupyter
from flyte_jupyter.idl import admin, core
from flyte_jupyter.kernel.client import Client
from flyte_jupyter.supervisor import find_or_start, status

pytestmark = pytest.mark.usefixtures("data_home")
FIRST = ["n0", "n1", "n2", "n3"]


def ended(execution) -> str:
    execution.wait(timeout=120)
    return str(getattr(execution.phase, "value", execution.phase)).upper()


def files_of_nodes(data: Path) -> list[str]:
    folder = data / "blobs" / "metadata" / "propeller"
    return sorted(p.name for p in folder.rglob("*.pb") if "/n" in str(p.relative_to(folder)))


def values(execution) -> dict[str, tuple[int, int]]:
    return {
        node.id: (node.inputs["x"], node.outputs["o0"])
        for node in execution.nodes
        if node.id in FIRST and not node.error
    }


def kill_the_plane() -> None:
    pid = status(find_or_start())["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    find_or_start()


def test_they_are_shown_downloaded_and_there_after_a_kill_without_a_file(data_home, tmp_path):
    (tmp_path / "gate").touch()
    execution = flyte_jupyter.launch(flows.handing, gate=str(tmp_path / "gate"))
    assert ended(execution) == "SUCCEEDED"
    assert execution.outputs["o0"] == 5
    assert files_of_nodes(data_home) == []
    shown = values(execution)
    assert shown == {"n0": (1, 2), "n1": (2, 3), "n2": (3, 4), "n3": (4, 5)}
    data = execution.node("n0")._data
    fetched = Client()._transport.fetch(data.outputs.url)
    assert core.LiteralMap.FromString(fetched) == data.full_outputs
    kill_the_plane()
    assert values(flyte_jupyter.execution(execution.name)) == shown


def test_a_recovery_takes_them_over(tmp_path):
    gate = tmp_path / "gate"
    execution = flyte_jupyter.launch(flows.handing, gate=str(gate))
    assert ended(execution) == "FAILED"
    kill_the_plane()
    gate.touch()
    client, run = Client(), execution._run
    request = admin.ExecutionRecoverRequest(id=run, name="recovered")
    path = "/api/v1/executions/recover"
    client._call("POST", path, admin.ExecutionCreateResponse, request)
    again = flyte_jupyter.execution("recovered")
    assert ended(again) == "SUCCEEDED"
    assert again.outputs["o0"] == 5
    assert [again.node(name).attempts for name in FIRST] == [0, 0, 1, 1]
    assert values(again) == {"n0": (1, 2), "n1": (2, 3), "n2": (3, 4), "n3": (4, 5)}
