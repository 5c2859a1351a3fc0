"""Every `Catalog` remembers the newest outputs by the whole key."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flyte_jupyter.engine.adapters.memory import MemoryCatalog
from flyte_jupyter.engine.ports import CachedOutputs, CacheKey

KEY = CacheKey("p", "d", "task", "1", "interface", "inputs")
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
