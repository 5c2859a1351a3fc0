"""A disk that fills up in the middle of a run: nothing is lost, nothing is claimed, and it goes on when there is room."""

from __future__ import annotations

import flows
import pytest
from processes import eventually, stop_control_plane
from small_disks import fill, mounted

import flyte_jupyter
from flyte_jupyter.kernel.client.errors import ResourcesExhausted
from flyte_jupyter.supervisor import find, status


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A small file system for the data folder."""
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(tmp_path / "disk" / "data"))
    monkeypatch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
    with mounted(tmp_path / "disk") as disk:
        yield disk
        stop_control_plane(disk / "data")


def test_a_disk_that_fills_up_stops_the_run_and_room_lets_it_go_on(small_disk, tmp_path):
    trace, go = tmp_path / "trace", tmp_path / "go"
    execution = flyte_jupyter.launch(flows.two_steps, file=str(trace), go=str(go))
    eventually(trace.exists, what="the first step")
    ballast = fill(small_disk)
    go.touch()
    # Launches are refused for the reason, and nothing else of them is left.
    for _ in range(2):
        with pytest.raises(ResourcesExhausted, match=r"disk is full.*free some space"):
            flyte_jupyter.launch(flows.greeting, name="Ada")
    said = status(find())
    assert not said["writable"]
    assert any("free some" in notice for notice in said["notices"])
    assert not execution.done
    assert [node.attempts for node in execution.nodes] == [1, 0]
    ballast.unlink()
    execution.wait(timeout=120)
    # What the first step had computed was kept: neither step ran twice.
    assert execution.phase == "SUCCEEDED"
    assert [node.attempts for node in execution.nodes] == [1, 1]
    first, second = trace.read_text().splitlines()
    assert first.split() == ["waiting", str(execution.outputs.o0)]
    assert second.startswith("ran")
    assert flyte_jupyter.launch(flows.greeting, name="Ada").wait(timeout=120).outputs.o0
    assert len(flyte_jupyter.recent()) == 2
