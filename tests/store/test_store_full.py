"""A full disk: those who write are told, nothing is half written, and it goes on when there is space."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from store_world import NOW, commit_of, new_execution, run

from flyte_jupyter.engine.core.state import Succeeded
from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.runs import SqlRuns


def pages(db: Database, most: int):
    return db.write(
        lambda transaction: transaction.connection.exec_driver_sql(
            f"PRAGMA max_page_count={most}"
        ).scalar()
    )


def large(text: str) -> dict:
    return {(f"n{number}",): Succeeded(text * 1000) for number in range(200)}


def test_a_full_file_changes_nothing_and_recovers(path):
    async def story():
        db = Database.open(path)
        runs, executions = SqlRuns(db), Executions(db)
        await executions.create(new_execution())
        lease = await runs.acquire("me", timedelta(seconds=30), NOW)
        used = await db.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        await pages(db, used + 10)
        for _ in range(3):
            with pytest.raises(StoreFull, match="free some space"):
                await runs.commit(commit_of(run(), 0, lease.epoch, nodes=large("x")))
        stored = await runs.load(run())
        assert (stored.version, len(stored.state.nodes), list(stored.owed)) == (0, 0, [])
        await pages(db, 1_000_000)
        await runs.commit(commit_of(run(), 0, lease.epoch, nodes=large("x")))
        assert len((await runs.load(run())).state.nodes) == 200
        await db.close()

    asyncio.run(story())


def test_those_who_share_a_commit_with_one_too_large_are_told_too(path):
    async def story():
        db = Database.open(path)
        runs, executions = SqlRuns(db), Executions(db)
        for name in ("a", "b"):
            await executions.create(new_execution(name))
        lease = await runs.acquire("me", timedelta(seconds=30), NOW)
        used = await db.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        await pages(db, used + 10)
        small = commit_of(run("a"), 0, lease.epoch)
        results = await asyncio.gather(
            runs.commit(small),
            runs.commit(commit_of(run("b"), 0, lease.epoch, nodes=large("x"))),
            return_exceptions=True,
        )
        assert isinstance(results[1], StoreFull)
        # Written or refused, the small one was told the truth.
        told = not isinstance(results[0], Exception)
        assert (await runs.load(run("a"))).version == int(told)
        await pages(db, 1_000_000)
        if not told:
            assert (await runs.commit(small)).version == 1
        await db.close()

    asyncio.run(story())


FILL_A_LIMITED_FILE = """
import asyncio, resource, sys
from pathlib import Path
from store_world import new_execution, run
from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions


async def main():
    db = Database.open(Path(sys.argv[1]))
    executions = Executions(db)
    written = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
    try:
        while written < 10_000:
            await executions.create(new_execution(f"r{written}", weight=20_000))
            written += 1
    except StoreFull:
        pass
    else:
        sys.exit("never full")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for number in range(written + 1):
        try:
            await executions.get(run(f"r{number}"))
        except Exception:
            assert number == written
    await executions.create(new_execution(f"r{written}", weight=20_000))
    assert await executions.active() == written + 1
    await db.close()
    print("recovered")


asyncio.run(main())
"""


def test_a_disk_that_takes_no_more_bytes_is_full(path):
    done = subprocess.run(
        [sys.executable, "-c", FILL_A_LIMITED_FILE, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.stdout == "recovered\n", done.stderr


def test_no_space_to_begin_is_said_in_one_line(path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from flyte_jupyter.store.database import Database\n"
        "from flyte_jupyter.engine.ports import StoreFull\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: Database.open(Path(sys.argv[1]))\n"
        "except StoreFull as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert str(path) in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
    # Nothing half made is taken for a database afterwards.
    asyncio.run(Database.open(path).close())
