"""Blobs in a dictionary."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping

from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound, BlobOutside


class MemoryBlobs:
    """Blobs in a dictionary. Set `full` to have every write fail for want of space; `literals` are what only the database has."""

    def __init__(
        self, root: str = "memory://blobs", literals: Mapping[str, bytes] | None = None
    ) -> None:
        self.root = root
        self._literals = {} if literals is None else literals
        self.content: dict[str, bytes] = {}
        self.full = False
        self._below: dict[str, dict[str, None]] = {}

    async def get(self, uri: str) -> bytes:
        """The whole content."""
        key = self._key(uri)
        found = self.content.get(key, self._literals.get(key))
        if found is None:
            raise BlobNotFound(f"there is nothing at {uri}")
        return found

    async def several(self, uris: Collection[str]) -> Mapping[str, bytes]:
        """The contents of many, as far as there are any."""
        return {uri: await self.get(uri) for uri in uris if await self.exists(uri)}

    async def put(self, uri: str, data: bytes) -> None:
        """Keep it."""
        if self.full:
            raise BlobFailure(f"cannot write {uri}: no space left", no_space=True)
        key = self._key(uri)
        self.content[key] = bytes(data)
        folder, _, name = key.rpartition("/")
        self._below.setdefault(f"{folder}/", {})[name] = None

    async def exists(self, uri: str) -> bool:
        """Whether there is content at this URI."""
        key = self._key(uri)
        return key in self.content or key in self._literals

    async def names(self, folder: str) -> Mapping[str, int]:
        """The names and sizes of what is right below a folder."""
        prefix = f"{self._key(folder)}/"
        return {name: len(self.content[prefix + name]) for name in self._below.get(prefix, ())}

    async def copy(self, source: str, target: str) -> None:
        """Put the content of `source` at `target`."""
        await self.put(target, await self.get(source))

    def _key(self, uri: str) -> str:
        scheme, _, rest = uri.partition("://")
        normal = f"{scheme}://{posixpath.normpath(rest)}"
        if not normal.startswith(f"{self.root}/"):
            raise BlobOutside(f"{uri} is not below {self.root}: it is not touched")
        return normal
