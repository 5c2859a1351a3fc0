"""Remembered outputs: the catalog behind caching, with the facts that lineage needs later."""

from __future__ import annotations

from flyte_jupyter.engine.ports import CachedOutputs, CacheKey
from flyte_jupyter.store.database import Database


class Artifacts:
    """The `Catalog` port over the database."""

    def __init__(self, db: Database) -> None: ...

    async def lookup(self, key: CacheKey) -> CachedOutputs | None:
        """What is remembered under this key."""
        raise NotImplementedError

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""
        raise NotImplementedError
