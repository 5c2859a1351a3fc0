"""Small literal maps that stand in the database instead of in files, read by the URIs that they are known by."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, bindparam, select

from flyte_jupyter.engine.ports import BlobNotFound, Blobs
from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.tables import literals

_body = select(literals.c.body).where(literals.c.uri == bindparam("uri"))
_several = select(literals.c.uri, literals.c.body).where(dialect.among(literals.c.uri, "uris"))
_AT_ONCE = 1000
_keep = dialect.Prepared(dialect.upsert(literals, ["uri"]))


def keep(connection: Connection, found: Mapping[str, bytes]) -> None:
    """Write those that a commit brings."""
    if found:
        _keep.run_many(connection, ({"uri": uri, "body": body} for uri, body in found.items()))


class StoredLiterals:
    """Implements `flyte_jupyter.engine.ports.Blobs`: what is `below`, and the small literal maps that only the database has.

    Whatever is written goes below, and what stands there counts more. Folders show what stands below alone.
    """

    def __init__(self, below: Blobs, db: Database) -> None:
        self.root = below.root
        self._below = below
        self._db = db

    async def get(self, uri: str) -> bytes:
        """The whole content."""
        try:
            return await self._below.get(uri)
        except BlobNotFound:
            body = await self._body(uri)
            if body is None:
                raise
            return body

    async def several(self, uris: Collection[str]) -> Mapping[str, bytes]:
        """The contents of many, as far as there are any. The database is asked first, at once: what it has is the same below."""
        asked, found = list(uris), dict[str, bytes]()
        for start in range(0, len(asked), _AT_ONCE):
            found |= await self._bodies(asked[start : start + _AT_ONCE])
        return {**found, **await self._below.several([uri for uri in asked if uri not in found])}

    async def put(self, uri: str, data: bytes) -> None:
        """Write so that a reader sees the old content, or the new, never a part."""
        await self._below.put(uri, data)

    async def exists(self, uri: str) -> bool:
        """Whether there is content at this URI."""
        return await self._below.exists(uri) or await self._body(uri) is not None

    async def names(self, folder: str) -> Mapping[str, int]:
        """The names and sizes of the files in a folder."""
        return await self._below.names(folder)

    async def copy(self, source: str, target: str) -> None:
        """Put the content of `source` at `target`."""
        await self._below.put(target, await self.get(source))

    async def _bodies(self, uris: Sequence[str]) -> dict[str, bytes]:
        rows = await self._db.read(lambda c: c.execute(_several, {"uris": json.dumps(uris)}).all())
        return {uri: bytes(body) for uri, body in rows}

    async def _body(self, uri: str) -> bytes | None:
        found = await self._db.read(lambda c: c.execute(_body, {"uri": uri}).scalar())
        return None if found is None else bytes(found)
