"""Many who want the same at the same time: one execution of a name, one computation of a key."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fault_planes import CACHE, Plane, done, plane, workers
from flytekit_specs import DOMAIN, PROJECT
from processes import eventually

from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.digests import literals_digest
from flyte_jupyter.idl.ids import AttemptId, RunId, child_run
from flyte_jupyter.store.rows import moment

AT_ONCE = 50
HELD = timedelta(seconds=8)
"""How long the reservation of a dead owner holds: three heartbeats of 10 s, were it not for this test."""


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with plane(tmp_path_factory.mktemp("names")) as made:
        yield made


def test_of_fifty_who_create_one_name_at_once_one_does(street, tmp_path):
    """F28: the others are told that it exists; it runs once."""
    trace = tmp_path / "trace"
    message = street.wish("child", "the-same", file=str(trace), name="ran").SerializeToString()
    together = threading.Barrier(AT_ONCE)

    def create(_: int) -> int:
        together.wait()
        return street.call("POST", "/api/v1/executions", message).status

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = Counter(pool.map(create, range(AT_ONCE)))
    assert answers == {200: 1, 409: AT_ONCE - 1}
    street.succeeded("the-same")
    assert done(trace) == {"ran": 1}


def test_a_child_whose_name_a_stranger_has_taken_gets_another(street, tmp_path):
    """The stranger is neither taken for the child nor touched; the next attempt has another name."""
    trace = tmp_path / "trace"
    parent = RunId(PROJECT, DOMAIN, "parent")
    first, second = (child_run(AttemptId(parent, ("n1", 0), tries)).name for tries in (0, 1))
    assert street.insist("one_at_a_time", first, file=str(trace), name="stranger")
    eventually(lambda: done(trace)["stranger"] == 1)
    street.start("parents", called=parent.name, file=str(trace), n=1)
    eventually(lambda: done(trace)["child.0"] == 1)
    (item,) = street.items(parent.name, "n1").values()
    assert (item.external_id, item.retry_attempt) == (second, 1)
    Path(f"{trace}.go").touch()
    for name in (first, second, parent.name):
        street.succeeded(name)
    assert not street.execution(first).spec.metadata.HasField("parent_node_execution")
    assert done(trace) == {"stranger": 1, "child.0": 1}


@pytest.mark.parametrize("many", [2, 8])
def test_of_equal_computations_one_is_made(street, tmp_path, many):
    """F34: runs launched at once with the same key of a serialised task; all get what the one gave."""
    trace, tag = tmp_path / "trace", f"key-{many}"
    named = [street.start("one_at_a_time", file=str(trace), name=tag) for _ in range(many)]
    eventually(lambda: done(trace)[tag] == 1)
    Path(f"{trace}.go").touch()
    for name in named:
        street.succeeded(name)
        assert street.outputs(name) == {"o0": 1}
    assert done(trace) == {tag: 1}
    statuses = Counter(street.cache_status(name, "n0") for name in named)
    assert statuses == {CACHE.CACHE_POPULATED: 1, CACHE.CACHE_HIT: many - 1}


def test_a_killed_owner_keeps_its_reservation_while_its_attempt_lives(street, tmp_path):
    """The engine is killed while it holds one: the attempt goes on, the next engine goes on holding, nobody computes beside it."""
    trace, tag = tmp_path / "trace", "kept"
    owner = street.start("one_at_a_time", file=str(trace), name=tag)
    eventually(lambda: done(trace)[tag] == 1)
    waiting = street.start("one_at_a_time", file=str(trace), name=tag)
    street.kill()
    street.restart()
    other = street.start("one_at_a_time", file=str(trace), name=tag)
    Path(f"{trace}.go").touch()
    for name in (owner, waiting, other):
        street.succeeded(name)
    assert {tag: len(pids) for tag, pids in workers(trace).items()} == {tag: 1}


def test_the_reservation_of_an_owner_that_is_gone_is_taken_over(street, tmp_path):
    """Held by an execution that exists no more: nobody computes before it has run out, and then one does."""
    trace, tag = tmp_path / "trace", "orphaned"
    pattern = street.start("one_at_a_time", file=str(trace), name="pattern")
    eventually(lambda: done(trace)["pattern"] == 1)
    street.kill()
    expires = datetime.now(UTC) + HELD
    reserve_for_nobody(street, {"file": str(trace), "name": tag}, expires)
    street.restart()
    Path(f"{trace}.go").touch()
    named = [street.start("one_at_a_time", file=str(trace), name=tag) for _ in range(2)]
    for name in [pattern, *named]:
        street.succeeded(name)
    assert done(trace) == {"pattern": 1, tag: 1}
    (begun,) = (
        attempt.closure.started_at.ToDatetime(tzinfo=UTC)
        for name in named
        for attempt in street.attempts(name, "n0")
        if attempt.closure.HasField("started_at")
        and street.cache_status(name, "n0") == CACHE.CACHE_POPULATED
    )
    assert begun >= expires


def reserve_for_nobody(street: Plane, inputs: dict[str, str], expires: datetime) -> None:
    """Beside the one reservation that there is put another of the same task for other inputs. Nobody may have the database open."""
    given = core.LiteralMap(literals={n: literals.literal(v) for n, v in inputs.items()})
    with contextlib.closing(sqlite3.connect(street.data / "db" / "flyte.db")) as db, db:
        db.row_factory = sqlite3.Row
        (held,) = db.execute("SELECT * FROM reservations").fetchall()
        row = {
            **dict(held),
            "inputs": literals_digest(given),
            "owner": "flytesnacks/development/gone/n0",
            "expires": moment(expires),
        }
        marks = ", ".join(f":{name}" for name in row)
        db.execute(f"INSERT INTO reservations ({', '.join(row)}) VALUES ({marks})", row)
