"""Every `Catalog` remembers the newest outputs by the whole key."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flyte_jupyter.engine.adapters.memory import MemoryCatalog
from flyte_jupyter.engine.ports import CachedOutputs, CacheKey, Reservation

KEY = CacheKey("p", "d", "task", "1", "interface", "inputs")
TTL = timedelta(seconds=30)
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@asynccontextmanager
async def sqlite(tmp_path):
    from flyte_jupyter.store.artifacts import Artifacts
    from flyte_jupyter.store.database import Database

    db = Database.open(tmp_path / "flyte.db")
    try:
        yield Artifacts(db)
    finally:
        await db.close()


@asynccontextmanager
async def memory(tmp_path):
    yield MemoryCatalog()


@pytest.fixture(params=[sqlite, memory], ids=lambda adapter: adapter.__name__)
def scenario(request, tmp_path):
    """Runs a coroutine function with the catalog."""

    def play(story):
        async def told():
            async with request.param(tmp_path) as catalog:
                await story(catalog)

        asyncio.run(told())

    return play


@pytest.mark.parametrize("adapter", [sqlite, memory], ids=lambda adapter: adapter.__name__)
def test_the_newest_of_the_same_key_is_remembered(adapter, tmp_path):
    async def story():
        async with adapter(tmp_path) as catalog:
            assert await catalog.lookup(KEY) is None
            first = CachedOutputs("file:///1", "p/d/a/n0/0", AT)
            await catalog.remember(KEY, first)
            assert await catalog.lookup(KEY) == first
            second = CachedOutputs("file:///2", "p/d/b/n0/0", AT + timedelta(microseconds=1))
            await catalog.remember(KEY, second)
            assert await catalog.lookup(KEY) == second
            for field in ("project", "domain", "task", "version", "interface", "inputs"):
                assert await catalog.lookup(replace(KEY, **{field: "other"})) is None

    asyncio.run(story())


def test_what_is_too_old_is_not_found(scenario):
    async def story(catalog):
        await catalog.remember(KEY, CachedOutputs("file:///1", "p/d/a/n0/0", AT))
        second = timedelta(seconds=1)
        assert await catalog.lookup(KEY, newer_than=AT - second) is not None
        assert await catalog.lookup(KEY, newer_than=AT + second) is None

    scenario(story)


def test_a_reservation_has_one_owner_until_it_runs_out(scenario):
    async def story(catalog):
        first = await catalog.reserve(KEY, "one", TTL, AT)
        assert first == Reservation("one", AT + TTL)
        assert await catalog.reserve(KEY, "two", TTL, AT + TTL / 2) == first
        longer = await catalog.reserve(KEY, "one", TTL, AT + TTL / 2)
        assert longer == Reservation("one", AT + TTL * 1.5)
        assert (await catalog.reserve(KEY, "two", TTL, AT + TTL)).owner == "one"
        taken = await catalog.reserve(KEY, "two", TTL, AT + TTL * 1.5)
        assert taken == Reservation("two", AT + TTL * 2.5)
        assert (await catalog.reserve(KEY, "one", TTL, AT + TTL * 1.5)).owner == "two"

    scenario(story)


def test_a_reservation_is_given_back_by_its_owner_alone(scenario):
    async def story(catalog):
        await catalog.release(KEY, "nobody")
        await catalog.reserve(KEY, "one", TTL, AT)
        await catalog.release(KEY, "two")
        assert (await catalog.reserve(KEY, "two", TTL, AT)).owner == "one"
        await catalog.release(KEY, "one")
        assert (await catalog.reserve(KEY, "two", TTL, AT)).owner == "two"

    scenario(story)


def test_reservations_of_other_keys_do_not_matter(scenario):
    async def story(catalog):
        await catalog.reserve(KEY, "one", TTL, AT)
        for field in ("project", "domain", "task", "version", "interface", "inputs"):
            other = replace(KEY, **{field: "other"})
            assert (await catalog.reserve(other, field, TTL, AT)).owner == field

    scenario(story)


def test_many_who_ask_at_once_get_one_owner(scenario):
    async def story(catalog):
        names = [f"n{number}" for number in range(20)]
        given = await asyncio.gather(*(catalog.reserve(KEY, name, TTL, AT) for name in names))
        assert len({held.owner for held in given}) == 1

    scenario(story)
