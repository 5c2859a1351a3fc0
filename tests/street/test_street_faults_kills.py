"""The control plane is killed again and again while a program of a thousand nodes of all kinds runs.

``FLYTE_JUPYTER_KILLS=200`` kills more often (`make soak` does).
"""

from __future__ import annotations

import os
import random
import threading

import pytest
from fault_planes import ITEM_SUCCEEDED, SUCCEEDED, Plane, done, lines, plane
from processes import eventually

KILLS = int(os.environ.get("FLYTE_JUPYTER_KILLS", "20"))
ITEMS, NODES = 300, 160
EFFECTS = (
    {f"{part}.{i}" for part in "ab" for i in range(ITEMS)}
    | {f"{part}.plain.{i}" for part in "cd" for i in range(NODES // 2)}
    | {
        f"{part}.{which}.{i}"
        for part in "cd"
        for which in ("one", "two")
        for i in range(NODES // 4)
    }
    | {"e", "f", "g"}
)
TOTAL = 2 * ITEMS + 2 * (NODES // 2 + 2 * (NODES // 4)) + 1 + 2


@pytest.fixture
def street(tmp_path):
    with plane(tmp_path) as made:
        yield made


def recorded(street: Plane, name: str) -> set[str]:
    """The effects whose nodes have succeeded by what clients are shown."""
    found = set()
    for node_id, node in street.nodes(name).items():
        unique = node.id.node_id
        if node.metadata.is_array:
            part = {"n1": "a", "n4": "b"}[node_id]
            items = street.items(name, unique).items()
            found |= {f"{part}.{i}" for i, item in items if item.phase == ITEM_SUCCEEDED}
        elif node.metadata.is_dynamic:
            part = {"n6": "c", "n7": "d"}[node_id]
            inside = street.nodes(name, unique)
            plain = {f"dn{i}": i for i in range(NODES // 2)}
            found |= {
                f"{part}.plain.{plain[spec]}"
                for spec, inner in inside.items()
                if spec in plain and inner.closure.phase == SUCCEEDED
            }
    return found


@pytest.mark.timeout(240 + 15 * KILLS)
def test_kills_lose_nothing_and_repeat_nothing_that_was_recorded(street, tmp_path):
    """F01, R1 and R2: every effect is there, at most one more a kill, and none again once its success was recorded."""
    moments = random.Random(20)
    trace = tmp_path / "trace"
    name = street.start(
        "mixed", file=str(trace), items=ITEMS, nodes=NODES, spec={"max_parallelism": 12}
    )
    seen = []
    for kill in range(KILLS):
        # Spread over the whole run: each kill waits for its share of the work, and then for a random moment.
        share = len(EFFECTS) * kill // (KILLS + 1)
        eventually(
            lambda share=share: len(lines(trace)) >= share, within=120, what=f"{share} effects"
        )
        threading.Event().wait(moments.uniform(0, 0.3))
        known = recorded(street, name)
        seen.append((known, len(lines(trace))))
        street.kill()
        street.restart()
    street.succeeded(name)
    assert street.outputs(name) == {"o0": TOTAL}
    counted = done(trace)
    assert set(counted) == EFFECTS, "something was lost"
    assert counted.total() - len(EFFECTS) <= KILLS, "more than one repeated effect a kill"
    assert len(seen[-1][0]) > len(EFFECTS) // 2, "the last kill came too early to tell anything"
    for known, length in seen:
        again = {line.split()[0] for line in lines(trace)[length:]}
        assert not known & again, "what had been recorded was done again"
