"""Executions with a thousand children of each kind are aborted: nothing of them is left, and what has begun ends as aborted."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from fault_planes import NODE, TASK, WORKFLOW, Plane, done, plane, workers
from processes import alive, eventually

MANY = 1000
ABORTED = WORKFLOW.ABORTED


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with plane(tmp_path_factory.mktemp("aborts")) as made:
        yield made


def ended_processes(street: Plane, trace: Path) -> None:
    """All that ever worked for it is gone within the grace of 30 s, and nothing begins any more."""

    def quiet() -> bool:
        begun = [pid for pids in workers(trace).values() for pid in pids]
        return not street.status()["active_runs"] and not any(alive(pid) for pid in begun)

    assert workers(trace)
    eventually(quiet, within=30, what="no process of them")
    after_something_else(street, trace)
    counted = done(trace)
    assert quiet()
    after_something_else(street, trace)
    assert done(trace) == counted


def after_something_else(street: Plane, trace: Path) -> None:
    """Something launched later gets its turn: whatever had waited before it is no longer there."""
    street.succeeded(street.start("chosen", file=f"{trace}.after", name="after", x=0))


def test_a_map_of_a_thousand_items_and_a_graph_inside(street, tmp_path):
    trace = tmp_path / "trace"
    name = street.start(
        "holding", file=str(trace), items=MANY, nodes=50, spec={"max_parallelism": 2 * MANY}
    )
    eventually(lambda: len(done(trace)) >= 10, what="ten that run")
    assert street.abort(name) == 200
    assert street.ended(name).closure.phase == ABORTED
    ended_processes(street, trace)
    # Once more is refused or does nothing, as Flyte's clients expect of what is over.
    before = street.execution(name)
    assert street.abort(name) in (200, 400, 409)
    assert street.execution(name) == before
    nodes = street.nodes(name)
    assert {nodes[n].closure.phase for n in nodes if not n.startswith("n0")} <= {
        NODE.ABORTED,
        NODE.SUCCEEDED,
    }
    (array,) = (node for node in nodes.values() if node.metadata.is_array)
    assert array.closure.phase == NODE.ABORTED
    phases = Counter(item.phase for item in street.items(name, array.id.node_id).values())
    assert set(phases) == {TASK.ABORTED}, phases


@pytest.mark.timeout(300)
def test_a_thousand_child_executions(street, tmp_path):
    trace = tmp_path / "trace"
    before = len(street.phases())
    name = street.start("parents", file=str(trace), n=MANY, spec={"max_parallelism": 2 * MANY})
    eventually(lambda: len(street.phases()) == before + 1 + MANY, within=180, what="all children")
    eventually(lambda: len(done(trace)) >= 10, what="ten that run")
    assert street.abort(name) == 200
    assert street.ended(name).closure.phase == ABORTED
    eventually(lambda: street.phases().count(ABORTED) >= 1 + MANY, within=60, what="all aborted")
    ended_processes(street, trace)
    # Aborted while its children are being made: none is made later.
    count = len(street.phases())
    name = street.start("parents", file=str(trace), n=MANY, spec={"max_parallelism": 2 * MANY})
    eventually(lambda: len(street.phases()) > count + 10, what="the first children")
    assert street.abort(name) == 200
    assert street.ended(name).closure.phase == ABORTED
    ended_processes(street, trace)
    eventually(
        lambda: street.status()["active_runs"] == 0, within=60, what="nothing that is active"
    )
    assert set(street.phases()) == {ABORTED, WORKFLOW.SUCCEEDED}


def test_an_abort_between_two_attempts(street, tmp_path):
    """Killed in its back-off: the second attempt never comes."""
    trace = tmp_path / "trace"
    name = street.start("holding", file=str(trace), items=2, nodes=2)
    eventually(lambda: len(done(trace)) == 4)
    for pids in workers(trace).values():
        os.kill(pids[0], signal.SIGKILL)
    assert street.abort(name) == 200
    assert street.ended(name).closure.phase == ABORTED
    ended_processes(street, trace)
