"""Bytes by URI."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol


class Blobs(Protocol):
    """Bytes by URI below one root. Raises `BlobNotFound`, `BlobOutside` and `BlobFailure` (which says no space, no permission, ...)."""

    root: str

    async def get(self, uri: str) -> bytes:
        """The whole content."""

    async def several(self, uris: Collection[str]) -> Mapping[str, bytes]:
        """The contents of many, by URI, as far as there are any: what has to be read from afar is read at once."""

    async def put(self, uri: str, data: bytes) -> None:
        """Write so that a reader sees the old content, or the new, never a part."""

    async def exists(self, uri: str) -> bool:
        """Whether there is content at this URI."""

    async def names(self, folder: str) -> Mapping[str, int]:
        """The names of the contents right below a folder, each with its size in bytes; nothing when there is no folder."""

    async def copy(self, source: str, target: str) -> None:
        """Put the content of `source` at `target`."""


class BlobNotFound(Exception):
    """There is nothing at this URI."""


class BlobFailure(Exception):
    """The blob store could not do it: it is full (`no_space`), or away, which `passes`, or the request is at fault."""

    def __init__(self, message: str, *, no_space: bool = False, passes: bool = True) -> None:
        super().__init__(message)
        self.no_space = no_space
        self.passes = passes


class BlobOutside(BlobFailure):
    """The URI does not lie below the root: it is not touched, and asking again would not change that."""

    def __init__(self, message: str) -> None:
        super().__init__(message, passes=False)
