"""The control plane dies right before and right after every kind of call that it makes to the world."""

from __future__ import annotations

from collections import Counter

import pytest
from dying_plane import AFTER, BEFORE, CALLS
from fault_planes import done, plane, workers
from processes import alive, eventually

ABORTING = ("kill", "terminate")
ONE_A_RUN = ("lookup", "reserve", "remember", "release", "child", "result")
"""Calls that a run comes to once: a second is another run's, which may be over by then."""
POINTS = [
    f"{call}:{side}:{number}"
    for place, call in enumerate([name for name in CALLS if name not in ABORTING], 1)
    for side in (BEFORE, AFTER)
    for number in [1 if call in ONE_A_RUN else 1 + place % 3]
]
EFFECTS = Counter(
    # its remembered task, a branch's arm and a child have the tag itself for their name
    {"": 3}
    | {f".{i}": 1 for i in range(4)}
    | {f".plain.{i}": 1 for i in range(4)}
    | {f".{which}.{i}": 1 for which in ("one", "two") for i in range(2)}
)


@pytest.fixture
def street(tmp_path):
    with plane(tmp_path) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_control_plane_that_dies_at_any_call_repeats_nothing(street, tmp_path):
    """F02: attempts are found again by their names and children by theirs; no retry of the user's is used, who has none."""
    trace = tmp_path / "trace"
    street.kill()
    named = [f"r{number}" for number in range(len(POINTS))]
    for name, point in zip(named, POINTS, strict=True):
        with street.dying_at(point) as died:
            eventually(
                lambda name=name, died=died: (
                    died.exists() or street.insist("kinds", name, file=str(trace), tag=name)
                )
            )
    street.restart()
    for name in named:
        street.insist("kinds", name, file=str(trace), tag=name)
        street.succeeded(name)
        assert street.outputs(name) == {"o0": 16}
    wanted = Counter({f"{n}{what}": count for n in named for what, count in EFFECTS.items()})
    assert done(trace) == wanted


@pytest.mark.timeout(300)
@pytest.mark.parametrize("side", [BEFORE, AFTER])
def test_an_abort_outlives_a_control_plane_that_dies_in_it(street, tmp_path, side):
    """F27, on both sides of the first effects that an abort has."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    street.kill()
    begun = []
    with street.dying_at(f"kill:{side}:2"):
        eventually(lambda: street.insist("holding", "inside", file=str(inside), items=4, nodes=4))
        eventually(lambda: len(done(inside)) == 8)
        begun += [pid for pids in workers(inside).values() for pid in pids]
        assert street.abort("inside") == 200
    with street.dying_at(f"terminate:{side}:2"):
        eventually(lambda: street.insist("parents", "outside", file=str(outside), n=4))
        eventually(lambda: len(done(outside)) == 4)
        begun += [pid for pids in workers(outside).values() for pid in pids]
        assert street.abort("outside") == 200
    street.restart()
    assert len(begun) == 12
    for name in ("inside", "outside"):
        assert street.ended(name).closure.phase == street.aborted, name
    eventually(lambda: not any(alive(pid) for pid in begun), within=30, what="no process of them")
    eventually(lambda: set(street.phases()) == {street.aborted}, within=30, what="aborted children")
    assert len(street.phases()) == 6
