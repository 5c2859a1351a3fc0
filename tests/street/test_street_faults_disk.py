"""The disk fills up while items of a map and a dynamic task's graph are at work; there is room again, and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_planes import NODE, WORKFLOW, done, plane
from processes import eventually
from small_disks import fill, mounted

ROOM = "48m"


@pytest.fixture
def street(tmp_path):
    with mounted(tmp_path / "disk", ROOM) as disk, plane(disk) as made:
        yield made


def test_items_and_dynamic_graphs_wait_for_room(street, tmp_path):
    """F05: launches are refused for the reason, nothing is claimed, the database is whole, and no success is lost or repeated."""
    trace = tmp_path / "trace"
    name = street.start("holding", file=str(trace), items=4, nodes=3)
    eventually(lambda: len(done(trace)) == 7)
    ballast = fill(tmp_path / "disk")
    Path(f"{trace}.go").touch()
    # What ends now cannot leave its outputs; what would start cannot have its inputs.
    refused = street.wish("child", "refused", file=str(trace), name="never").SerializeToString()
    answer = street.call("POST", "/api/v1/executions", refused)
    assert answer.status == 507, answer.body
    assert b"free some space" in answer.body
    assert not street.status()["writable"]
    assert street.execution(name).closure.phase == WORKFLOW.RUNNING
    assert NODE.SUCCEEDED not in {
        street.phase(name, node) for node in street.nodes(name) if node in ("n1", "n3", "n4")
    }
    ballast.unlink()
    street.succeeded(name)
    assert street.outputs(name) == {"o0": 7}
    assert set(done(trace)) == {f"item.{i}" for i in range(4)} | {f"deep.{i}" for i in range(3)}
    street.succeeded(street.start("child", file=str(trace), name="later"))
    assert done(trace)["later"] == 1
    assert done(trace)["never"] == 0
    street.kill()
    street.restart()
    assert street.execution(name).closure.phase == WORKFLOW.SUCCEEDED
