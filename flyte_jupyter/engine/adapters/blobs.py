"""Blobs below one root: a folder of this machine, or whatever fsspec reaches."""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound, BlobOutside, Blobs

T = TypeVar("T")
_FILE = "file://"
_AT_ONCE = 32
_LASTS = (
    *(errno.EACCES, errno.EPERM, errno.ENOSYS),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EMSGSIZE),
)
"""What stays so until somebody mends it. Of an object store EINVAL, or a refusal without a number, may be credentials that ran out."""


def blobs_at(root: str, **options: Any) -> Blobs:
    """The blobs below `root`: a path or ``file://`` URI of a folder, or a URI that fsspec knows (with its options)."""
    if "://" not in root or root.startswith(_FILE):
        return FolderBlobs(Path(root.removeprefix(_FILE)))
    return RemoteBlobs(root, **options)


class FolderBlobs:
    """Blobs in a folder. URIs are ``file:///...`` (plain absolute paths are understood too).

    Content is written beside its place and renamed. It is not forced to the disk: what matters is
    recorded in the database, and can be written again.

    A folder that was there and is not any more (removed, or no longer mounted) is a store that is away, and no empty one.
    It is looked for only when something is not found.
    """

    def __init__(self, root: Path) -> None:
        self._folder = Path(os.path.abspath(root))  # noqa: PTH100 - links in the root are the owner's choice
        self.root = f"{_FILE}{self._folder}"
        self._prefix = f"{self._folder}{os.sep}"
        self._names = count()
        self._seen = os.path.isdir(self._folder)  # noqa: PTH112 - as below
        self._mounted = self._seen and os.path.ismount(self._folder)

    async def get(self, uri: str) -> bytes:
        """The whole content."""
        path = self._path(uri)
        try:
            data = _read(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._look("read", uri)
            raise BlobNotFound(f"there is nothing at {uri}") from None
        except OSError as error:
            raise _failure("read", uri, error) from error
        self._seen = True
        return data

    async def several(self, uris: Collection[str]) -> Mapping[str, bytes]:
        """The contents of many, as far as there are any."""
        found = {}
        for uri in uris:
            with suppress(BlobNotFound):
                found[uri] = await self.get(uri)
        return found

    async def put(self, uri: str, data: bytes) -> None:
        """Write so that a reader sees the old content, or the new, never a part."""
        path = self._path(uri)
        beside = f"{path}.{os.getpid()}-{next(self._names)}.part"
        try:
            try:
                _write(path, beside, data)
            except FileNotFoundError:
                self._look("write", uri)
                _make_folder(os.path.dirname(path))  # noqa: PTH120 - see below
                _write(path, beside, data)
        except OSError as error:
            raise _failure("write", uri, error) from error
        self._seen = True

    async def exists(self, uri: str) -> bool:
        """Whether there is content at this URI."""
        found = _is_file(self._path(uri))
        if not found:
            self._look("look at", uri)
        return found

    async def names(self, folder: str) -> Mapping[str, int]:
        """The names and sizes of the files in a folder; nothing when there is no folder."""
        path = self._path(folder)
        try:
            return _sizes(path)
        except (FileNotFoundError, NotADirectoryError):
            self._look("list", folder)
            return {}
        except OSError as error:
            raise _failure("list", folder, error) from error

    async def copy(self, source: str, target: str) -> None:
        """Put the content of `source` at `target`."""
        await self.put(target, await self.get(source))

    def _look(self, verb: str, uri: str) -> None:
        """After something was not found. Raises `BlobFailure` when the folder itself has gone."""
        there = os.path.isdir(self._folder)  # noqa: PTH112 - as below
        if self._mounted:
            there = there and os.path.ismount(self._folder)
        self._seen = self._seen or there
        if self._seen and not there:
            raise BlobFailure(
                f"cannot {verb} {uri}: the folder {self._folder} was there and has gone. Mount it again, or put it back: "
                "it goes on by itself"
            )

    def _path(self, uri: str) -> str:
        """The file of a URI. Raises `BlobOutside` when it is not below the root; links below it are its owner's."""
        path = os.path.normpath(uri.removeprefix(_FILE))
        if "\0" in path or not path.startswith(self._prefix):
            raise BlobOutside(f"{uri} is not below {self.root}: it is not touched")
        return path


# Local files answer at once, so these do not go through threads; strings, because this is the busiest path.


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        data = os.read(file, size + 1)
        # A large file, or one that is no plain file, may come in parts.
        while len(data) < size and (more := os.read(file, size - len(data))):
            data += more
        return data
    finally:
        os.close(file)


def _sizes(folder: str) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _make_folder(path: str) -> None:
    """As `os.makedirs`, without looking first: mostly the last two are missing."""
    try:
        os.mkdir(path)  # noqa: PTH102
    except FileNotFoundError:
        _make_folder(os.path.dirname(path))  # noqa: PTH120
        _make_folder(path)
    except FileExistsError:
        if not os.path.isdir(path):  # noqa: PTH112
            raise


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _write(path: str, beside: str, data: bytes) -> None:
    file = os.open(beside, _NEW, 0o666)
    try:
        try:
            _write_all(file, data)
        finally:
            os.close(file)
        os.replace(beside, path)  # noqa: PTH105 - see above
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise


def _write_all(file: int, data: bytes) -> None:
    done = os.write(file, data)
    while done < len(data):
        done += os.write(file, memoryview(data)[done:])


class RemoteBlobs:
    """Blobs through fsspec (object stores, memory). Calls run in threads; a put replaces the object as a whole."""

    def __init__(self, root: str, **options: Any) -> None:
        import fsspec

        self.root = root.rstrip("/")
        # What was listed once may be stale: attempts write from elsewhere.
        kept: dict[str, Any] = {"use_listings_cache": False, **options}
        self._files = fsspec.filesystem(root.partition("://")[0], **kept)

    async def get(self, uri: str) -> bytes:
        """The whole content."""
        path = self._path(uri)
        data: bytes = await _in_thread("read", uri, lambda: self._files.cat_file(path))
        return data

    async def several(self, uris: Collection[str]) -> Mapping[str, bytes]:
        """The contents of many, as far as there are any; so many at a time."""
        found: dict[str, bytes] = {}

        async def read(uri: str) -> None:
            with suppress(BlobNotFound):
                found[uri] = await self.get(uri)

        asked = list(uris)
        for start in range(0, len(asked), _AT_ONCE):
            await asyncio.gather(*map(read, asked[start : start + _AT_ONCE]))
        return found

    async def put(self, uri: str, data: bytes) -> None:
        """Write so that a reader sees the old content, or the new, never a part."""
        path = self._path(uri)
        await _in_thread("write", uri, lambda: self._files.pipe_file(path, data))

    async def exists(self, uri: str) -> bool:
        """Whether there is content at this URI."""
        path = self._path(uri)
        return bool(await _in_thread("look at", uri, lambda: self._files.isfile(path)))

    async def names(self, folder: str) -> Mapping[str, int]:
        """The names and sizes of the objects right below a prefix; nothing when there are none."""
        path = self._path(folder)
        try:
            found = await _in_thread("list", folder, lambda: self._listed(path))
        except BlobNotFound:
            return {}
        return {
            str(entry["name"]).rpartition("/")[2]: int(entry.get("size") or 0)
            for entry in found
            if entry["type"] == "file"
        }

    def _listed(self, path: str) -> list[dict[str, Any]]:
        # What was listed once may have grown since: attempts write from elsewhere.
        self._files.invalidate_cache(path)
        listed: list[dict[str, Any]] = self._files.ls(path, detail=True)
        return listed

    async def copy(self, source: str, target: str) -> None:
        """Put the content of `source` at `target`."""
        await self.put(target, await self.get(source))

    def _path(self, uri: str) -> str:
        scheme, _, rest = uri.partition("://")
        normal = f"{scheme}://{posixpath.normpath(rest)}"
        if not normal.startswith(f"{self.root}/"):
            raise BlobOutside(f"{uri} is not below {self.root}: it is not touched")
        return normal


async def _in_thread(verb: str, uri: str, call: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(call)
    except FileNotFoundError:
        raise BlobNotFound(f"there is nothing at {uri}") from None
    except Exception as error:
        raise _failure(verb, uri, error) from error


def _failure(verb: str, uri: str, error: Exception) -> BlobFailure:
    number = getattr(error, "errno", None)
    no_space = number in (errno.ENOSPC, errno.EDQUOT)
    remedy = ": free some space, it goes on by itself" if no_space else ""
    lasts = number in _LASTS or isinstance(error, TypeError | ValueError)
    message = f"cannot {verb} {uri}: {error}{remedy}"
    return BlobFailure(message, no_space=no_space, passes=not lasts)
