"""Small inputs and outputs that only the database has: there with their commit, and found by whoever knows their URI."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from store_world import NOW, commit_of, new_execution, run

from flyte_jupyter.engine.adapters.memory import MemoryBlobs
from flyte_jupyter.engine.ports import BlobNotFound, Stale
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.literals import StoredLiterals
from flyte_jupyter.store.runs import SqlRuns

HERE, THERE = "memory://blobs/a/inputs.pb", "memory://blobs/a/outputs.pb"


def told(path, story):
    """A story over an open database with one run, and the blobs beside it."""

    async def tell():
        db = Database.open(path)
        try:
            runs, below = SqlRuns(db), MemoryBlobs()
            epoch = (await runs.acquire("me", timedelta(seconds=30), NOW)).epoch
            await Executions(db).create(new_execution("a"))
            await story(runs, StoredLiterals(below, db), below, epoch)
        finally:
            await db.close()

    asyncio.run(tell())


def test_what_a_commit_brings_is_read_by_its_uri_and_makes_no_file(path):
    async def story(runs, blobs, below, epoch):
        await runs.commit(replace(commit_of(run("a"), 0, epoch), literals={HERE: b"small"}))
        assert await blobs.get(HERE) == b"small"
        assert await blobs.exists(HERE)
        assert not below.content
        assert await blobs.names("memory://blobs/a") == {}

    told(path, story)

    async def looked_at_again():
        db = Database.open(path)
        try:
            assert await StoredLiterals(MemoryBlobs(), db).get(HERE) == b"small"
        finally:
            await db.close()

    asyncio.run(looked_at_again())


def test_many_are_read_at_once_wherever_they_stand(path):
    async def story(runs, blobs, _below, epoch):
        kept = {f"memory://blobs/k/{at}": b"%d" % at for at in range(2_500)}
        await runs.commit(replace(commit_of(run("a"), 0, epoch), literals=kept))
        await blobs.put(HERE, b"below")
        asked = [*kept, HERE, THERE]
        assert await blobs.several(asked) == {**kept, HERE: b"below"}

    told(path, story)


def test_a_copy_is_a_file_and_a_file_counts_more(path):
    async def story(runs, blobs, below, epoch):
        await runs.commit(replace(commit_of(run("a"), 0, epoch), literals={HERE: b"small"}))
        await blobs.copy(HERE, THERE)
        assert below.content == {THERE: b"small"}
        await blobs.put(HERE, b"written")
        assert await blobs.get(HERE) == b"written"

    told(path, story)


def test_a_commit_that_fails_brings_none(path):
    async def story(runs, blobs, _below, epoch):
        late = replace(commit_of(run("a"), 7, epoch), literals={HERE: b"small"})
        with pytest.raises(Stale):
            await runs.commit(late)
        assert not await blobs.exists(HERE)
        with pytest.raises(BlobNotFound, match="nothing at"):
            await blobs.get(HERE)

    told(path, story)


def test_a_commit_that_is_made_again_brings_the_same_again(path):
    async def story(runs, blobs, _below, epoch):
        first = commit_of(run("a"), 0, epoch)
        await runs.commit(replace(first, literals={HERE: b"small"}))
        await runs.commit(replace(first, expect=first.expect + 1, literals={HERE: b"other"}))
        assert await blobs.get(HERE) == b"other"

    told(path, story)
