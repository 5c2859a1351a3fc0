"""The catalog beyond its port: what would hit, what is remembered of whom, what is forgotten on request; whose outputs were taken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from store_world import NOW, commit_of, later, new_execution, run

from flyte_jupyter.engine.core.state import Scope, Succeeded
from flyte_jupyter.engine.ports import CachedOutputs, CacheKey, Reservation
from flyte_jupyter.store.artifacts import Artifacts
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.lineage import Lineage
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.runs import SqlRuns

ALL = Query(limit=100)
KEY = CacheKey("flytesnacks", "development", "t", "1", "interface", "inputs")
TTL = timedelta(seconds=30)


@pytest.fixture
def play(path):
    def tell(story):
        async def told():
            db = Database.open(path)
            try:
                async with asyncio.timeout(60):
                    await story(Artifacts(db))
            finally:
                await db.close()

        asyncio.run(told())

    return tell


def remembered(name: str, at=NOW, **more) -> CachedOutputs:
    return CachedOutputs(f"file:///{name}", f"{run(name)}/n0/0", at, **more)


def test_what_would_hit_is_told_of_many_keys_at_once(play):
    async def story(catalog):
        other, absent = replace(KEY, inputs="other"), replace(KEY, inputs="absent")
        first, second = remembered("a", digest="sha", size=12), remembered("b", later(10))
        await catalog.remember(KEY, first)
        await catalog.remember(other, second)
        assert await catalog.hits([KEY, absent, other]) == {KEY: first, other: second}
        assert await catalog.hits([KEY, other], newer_than=later(5)) == {other: second}
        assert await catalog.lookup(KEY, newer_than=NOW) == first
        assert await catalog.lookup(KEY, newer_than=later(1)) is None

    play(story)


def test_what_is_forgotten_is_what_was_named(play):
    async def story(catalog):
        keys = {
            "a": KEY,
            "b": replace(KEY, version="2"),
            "a-": replace(KEY, inputs="x"),
            "c": replace(KEY, task="u"),
        }

        async def left():
            return {k.value.outputs for k in (await catalog.list(*WHERE, ALL)).items}

        async def fill():
            for name, key in keys.items():
                await catalog.remember(key, remembered(name))

        await fill()
        mine = (await catalog.of_execution(run("a"), ALL)).items
        assert [(one.key, one.value) for one in mine] == [(KEY, remembered("a"))]
        # An execution whose name another's begins with is another.
        assert await catalog.evict_execution(run("a")) == 1
        assert await left() == {"file:///b", "file:///a-", "file:///c"}
        assert await catalog.evict_execution(run("a")) == 0
        await fill()
        assert await catalog.evict_task(*WHERE, "t", "2") == 1
        assert await catalog.evict_task(*WHERE, "t") == 2
        assert await left() == {"file:///c"}
        await fill()
        assert await catalog.evict([KEY, replace(KEY, inputs="absent")]) == 1
        assert await catalog.lookup(KEY) is None
        assert await left() == {"file:///b", "file:///a-", "file:///c"}
        only = await catalog.list(*WHERE, Query("eq(task,u)"))
        assert [one.key.task for one in only.items] == ["u"]

    play(story)


WHERE = ("flytesnacks", "development")


def test_of_many_who_want_to_compute_the_same_one_does(play):
    async def story(catalog):
        owners = [f"p/d/e/n{number}/0" for number in range(20)]
        answers = await asyncio.gather(*(catalog.reserve(KEY, o, TTL, NOW) for o in owners))
        (held,) = set(answers)
        assert held.owner in owners
        assert held.expires == NOW + TTL
        # A heartbeat extends it, the others still wait, also for what another key's owner has.
        assert await catalog.reserve(KEY, held.owner, TTL, later(10)) == Reservation(
            held.owner, later(40)
        )
        assert (await catalog.reserve(KEY, "other", TTL, later(39))).owner == held.owner
        assert (await catalog.reserve(replace(KEY, inputs="x"), "other", TTL, NOW)).owner == "other"
        await catalog.release(KEY, "other")
        assert (await catalog.reserve(KEY, "other", TTL, later(39))).owner == held.owner
        # Its owner was not heard of for too long: another takes over, and the first one's release is late.
        assert (await catalog.reserve(KEY, "other", TTL, later(40))).owner == "other"
        await catalog.release(KEY, held.owner)
        assert (await catalog.reserve(KEY, "third", TTL, later(41))).owner == "other"
        await catalog.release(KEY, "other")
        assert (await catalog.reserve(KEY, "third", TTL, later(41))).owner == "third"

    play(story)


def test_whose_outputs_were_taken_over_is_known_from_both_sides(path):
    async def story():
        db = Database.open(path)
        executions, runs, lineage = Executions(db), SqlRuns(db), Lineage(db)
        for name in ("a", "b", "b2"):
            await executions.create(new_execution(name))
        epoch = (await runs.acquire("me", TTL, NOW)).epoch
        nodes = {
            ("n0",): Succeeded("file:///o", cached=f"{run('a')}/n0/0"),
            ("n1",): Succeeded("file:///o", recovered=f"{run('a')}/n1/2"),
            ("n2", 17): Succeeded("file:///o", cached=f"{run('b')}/n0/0"),
            ("n2-17",): Succeeded("file:///o", cached=f"{run('a')}/n9/0"),
            ("n3",): Succeeded("file:///o"),
            ("n4", 0): Scope(open=1),
        }
        await runs.commit(commit_of(run("b2"), 0, epoch, nodes=nodes))
        # Heard twice, it is still one use.
        await runs.commit(commit_of(run("b2"), 1, epoch, nodes=nodes))
        taken = [(use.node, use.source, use.how) for use in await lineage.of_consumer(run("b2"))]
        assert taken == [
            ("n0", f"{run('a')}/n0/0", "hit"),
            ("n1", f"{run('a')}/n1/2", "recovery"),
            ("n2-17", f"{run('a')}/n9/0", "hit"),
            ("n2/17", f"{run('b')}/n0/0", "hit"),
        ]
        given = await lineage.of_producer(run("a"))
        assert [(use.run, use.node) for use in given] == [
            (run("b2"), "n0"),
            (run("b2"), "n1"),
            (run("b2"), "n2-17"),
        ]
        assert [use.node for use in await lineage.of_producer(run("b"))] == ["n2/17"]
        assert await lineage.of_consumer(run("a")) == []
        await db.close()

    asyncio.run(story())
