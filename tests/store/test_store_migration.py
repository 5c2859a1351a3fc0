"""A database that an earlier version of the program wrote is brought up to date with everything in it.

``first_schema.sql`` is the dump of a file that the code of the first schema made: two executions, one of them under way, the other asked to
end, and a remembered output.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from store_world import NOW, commit_of, later, node_event, run

from flyte_jupyter.engine.core.actions import Launch
from flyte_jupyter.engine.core.observations import AbortRequested, Started
from flyte_jupyter.engine.core.state import Blocked, Running, RunPhase, Tries
from flyte_jupyter.engine.ports import CacheKey
from flyte_jupyter.idl import admin, core
from flyte_jupyter.store import opening
from flyte_jupyter.store.artifacts import Artifacts
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import DatabaseError
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.feed import Feed
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.runs import SqlRuns

DUMP = Path(__file__).with_name("first_schema.sql")
ALL = Query(limit=100)


@pytest.fixture
def older(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.executescript(DUMP.read_text())
    return path


def schema(file: Path) -> dict[str, set[str]]:
    """Tables with their columns, types, defaults apart; and the names of indexes."""
    with closing(sqlite3.connect(file)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        of = {"index": {name for kind, name in names if kind == "index"}}
        for kind, name in names:
            if kind == "table":
                columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
                of[name] = {f"{c[1]} {c[2]} {c[3]} {c[5]}" for c in columns}
    return of


def test_an_older_file_keeps_every_row_and_goes_on(older):
    async def story():
        db = Database.open(older)
        executions, runs = Executions(db), SqlRuns(db)
        stored = await runs.load(run())
        assert (stored.version, stored.closure, stored.env) == (1, b"compiled", {"A": "b"})
        assert stored.state.summary.phase is RunPhase.RUNNING
        assert stored.state.nodes == {
            ("n0",): Running(Tries(1, 1), "d", NOW, later(60)),
            ("n1",): Blocked(1),
        }
        assert [owed.action for owed in stored.owed] == [Launch(("n1",), 0)]
        assert stored.recovers is None
        assert stored.spec.metadata.principal == "ann"
        other = await runs.load(run("b"))
        assert [seen for _, seen in other.inbox] == [Started(), AbortRequested("enough", "ann")]
        assert await executions.parent(run()) is None
        assert await executions.node_path(run(), "n0") == ("n0",)
        (task,) = (await executions.task_executions(run(), "n0", ALL)).items
        assert task.closure.phase == core.TaskExecution.RUNNING
        key = CacheKey("flytesnacks", "development", "t", "1", "i", "x")
        value = await Artifacts(db).lookup(key)
        assert (value.outputs, value.created_at) == ("file:///o", NOW)
        cursor = await Feed(db).latest()
        epoch = (await runs.acquire("me", timedelta(seconds=30), later(100))).epoch
        done = [node_event(run(), "n0", "SUCCEEDED", later(5))]
        await runs.commit(commit_of(run(), 1, epoch, events=done, settled=[stored.owed[0].id]))
        (node,) = (await executions.node_executions(run(), ALL)).items
        assert node.input_uri == "file:///in"
        assert node.closure.phase == core.NodeExecution.SUCCEEDED
        assert len(await Feed(db).since(cursor)) == 1
        await db.close()

    asyncio.run(story())


def test_executions_of_an_older_file_are_found_by_their_labels_and_tags(older):
    with closing(sqlite3.connect(older)) as labelled, labelled:
        (body,) = labelled.execute("SELECT body FROM executions WHERE name = 'b'").fetchone()
        execution = admin.Execution.FromString(body)
        execution.spec.labels.values["team"] = "red"
        execution.spec.tags.append("nightly")
        changed = (execution.SerializeToString(),)
        labelled.execute("UPDATE executions SET body = ? WHERE name = 'b'", changed)

    async def story():
        db = Database.open(older)
        for filters in (
            "eq(execution_tag.key,team)+eq(execution_tag.value,red)",
            "eq(execution_tag.key,nightly)",
        ):
            listed = await Executions(db).list("flytesnacks", "development", Query(filters))
            assert [each.id.name for each in listed.items] == ["b"]
        await db.close()

    asyncio.run(story())


def test_an_older_file_is_copied_aside_and_becomes_what_a_new_one_is(older, tmp_path):
    asyncio.run(Database.open(older).close())
    fresh = tmp_path / "fresh" / "flyte.db"
    asyncio.run(Database.open(fresh).close())
    assert schema(older) == schema(fresh)
    copy = Path(f"{older}.before-{opening.HEAD}")
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert kept.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_who_may_not_change_an_older_file_is_told_what_to_do(older):
    with pytest.raises(DatabaseError, match="start a control plane"):
        Database.open(older, readonly=True)
    asyncio.run(Database.open(older).close())
    asyncio.run(Database.open(older, readonly=True).close())


def test_a_migration_that_cannot_be_finished_changes_nothing(older):
    with closing(sqlite3.connect(older)) as broken:
        # Something of ours that a later version adds stands there already.
        broken.execute("CREATE TABLE uses (x)")
    with pytest.raises(Exception, match="uses"):
        Database.open(older)
    with closing(sqlite3.connect(older)) as kept:
        kept.execute("DROP TABLE uses")
        columns = {c[1] for c in kept.execute("PRAGMA table_info(runs)")}
        assert "parent_id" not in columns
        assert kept.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    test_an_older_file_keeps_every_row_and_goes_on(older)
