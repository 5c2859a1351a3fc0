"""Where converters put data that is too large for a literal."""

from __future__ import annotations

import inspect
import posixpath
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from flyte_jupyter.kernel.errors import RecoverableError

_WEB = "http://", "https://"
_AS_IT_LIKES: Mapping[str, int] = MappingProxyType({})


class StorageError(RecoverableError):
    """Data could not be written to, or read from, the place a URI names. Another attempt may fare better."""


class Storage(Protocol):
    """Somewhere to put files, each under a new URI, and to get them back from."""

    def put(self, local: Path, name: str) -> str:
        """Copy a file there and return its URI; its last part is `name`.

        Raises:
            StorageError: it could not be written.
        """
        ...

    def get(self, uri: str, local: Path) -> None:
        """Copy the file that a URI names to a local path.

        Raises:
            StorageError: it could not be read.
        """
        ...

    def scratch(self) -> Path:
        """A new empty local folder, for files on their way."""
        ...


class PrefixStorage:
    """Storage below one URI prefix, through fsspec: what a running task writes to.

    Files get names of their own below the prefix, so attempts never overwrite each other.
    """

    def __init__(self, prefix: str, working_folder: Path) -> None:
        self._prefix = prefix.rstrip("/")
        self._working_folder = working_folder

    def put(self, local: Path, name: str) -> str:
        """Copy a file below the prefix and return its URI."""
        uri = f"{self._prefix}/{uuid.uuid4().hex}/{posixpath.basename(name) or 'file'}"
        try:
            _write(local, uri)
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(f"could not write {local} to {uri}: {error}") from error
        return uri

    def get(self, uri: str, local: Path) -> None:
        """Copy the file that a URI names to a local path."""
        fetch(uri, local)

    def scratch(self) -> Path:
        """A new folder below the working folder."""
        folder = self._working_folder / ".flyte" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder


def fetch(
    uri: str,
    local: Path,
    *,
    as_file: Mapping[str, int] = _AS_IT_LIKES,
    as_folder: Mapping[str, int] = _AS_IT_LIKES,
) -> None:
    """Copy the file that a URI names to a local path; with these options of fsspec's, as far as its file system knows them.

    Raises:
        StorageError: it could not be read.
    """
    try:
        _read(uri, local, as_file, as_folder)
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(f"could not read {uri}: {error}") from error


def _write(local: Path, uri: str) -> None:
    beside = _local_path(uri)
    if beside is not None:
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local, beside)
        return
    filesystem, path = _filesystem(uri)
    filesystem.makedirs(posixpath.dirname(path), exist_ok=True)
    filesystem.put_file(str(local), path)


def known_to(function: Callable[..., object], options: Mapping[str, int]) -> dict[str, int]:
    """Those of the options that a method of a file system has: each release and each store has others."""
    names = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in names}


def _read(uri: str, local: Path, as_file: Mapping[str, int], as_folder: Mapping[str, int]) -> None:
    # flytekit stores a table as a folder of parts, so a folder is read too.
    beside = _local_path(uri)
    if beside is not None and beside.is_dir():
        shutil.copytree(beside, local)
    elif beside is not None:
        shutil.copyfile(beside, local)
    else:
        filesystem, path = _filesystem(uri)
        # On the web whatever has a link in it would pass for a folder, and is read whole to see that.
        if not uri.startswith(_WEB) and filesystem.isdir(path):
            how = known_to(filesystem.get_file, as_folder)
            if filesystem.async_impl and "batch_size" in as_folder:
                how["batch_size"] = as_folder["batch_size"]
            filesystem.get(path, str(local), recursive=True, **how)
        else:
            filesystem.get_file(path, str(local), **known_to(filesystem.get_file, as_file))


def _local_path(uri: str) -> Path | None:
    """The path of a ``file:`` URI, nothing unquoted, as fsspec has it: loading fsspec costs more than the copy."""
    if uri.startswith("file://"):
        return Path(uri.removeprefix("file://"))
    return None if "://" in uri else Path(uri)


def _filesystem(uri: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise StorageError(f"no way to reach {uri}: {error}") from error
    return filesystem, path
