"""Remembered outputs: the catalog behind caching, with the facts that lineage needs later."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, select

from flyte_jupyter.engine.ports import CachedOutputs, CacheKey
from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.rows import MICROSECOND, moment
from flyte_jupyter.store.tables import artifacts

KEY = ("project", "domain", "task", "version", "interface", "inputs")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_lookup = select(artifacts.c.outputs, artifacts.c.source, artifacts.c.created_at).where(
    *(artifacts.c[name] == bindparam(name) for name in KEY)
)
_remember = dialect.upsert(artifacts, KEY)


class Artifacts:
    """Implements `flyte_jupyter.engine.ports.Catalog`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def lookup(self, key: CacheKey) -> CachedOutputs | None:
        """What is remembered under this key."""

        def find(connection: Connection) -> CachedOutputs | None:
            row = connection.execute(_lookup, asdict(key)).one_or_none()
            if row is None:
                return None
            return CachedOutputs(row.outputs, row.source, _EPOCH + row.created_at * MICROSECOND)

        return await self._db.read(find)

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""
        row = {
            **asdict(key),
            "outputs": value.outputs,
            "source": value.source,
            "created_at": moment(value.created_at),
        }
        await self._db.write(lambda transaction: transaction.connection.execute(_remember, row))
