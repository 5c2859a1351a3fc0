"""Files and folders between local disk and URIs, through fsspec."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.runtime import storage
from flyte_jupyter.kernel.types import storage as types_storage

_FILE = {"chunksize": 8 * 2**20, "max_concurrency": 4}
"""How a file is carried, where its file system can be told: a side-car has little memory, and left to itself S3's takes a gigabyte."""
_FOLDER = {"max_concurrency": 1, "batch_size": 8}


def fetch(uri: str, local: Path) -> None:
    """Copy the file, or the folder, that a URI names to a local path. Raises `StorageError`."""
    types_storage.fetch(uri, local, as_file=_FILE, as_folder=_FOLDER)


def store(local: Path, uri: str) -> str:
    """Copy a file, or a folder with all that is in it, to a URI, which is returned. Raises what the file system raises."""
    put, root = _reach(uri)
    if not local.is_dir():
        put(str(local), root)
        return uri
    for parent, folders, files in os.walk(local):
        folders.sort()
        for name in sorted(files):
            inside = Path(parent, name)
            # No part of a URI: a name may have in it what a URI may not.
            put(str(inside), storage.join(root, inside.relative_to(local).as_posix()))
    return uri


def _reach(uri: str) -> tuple[Callable[[str, str], object], str]:
    """What copies a local file to a path beside, or below, a URI's; and the path of that."""
    beside = storage.local_path(uri)
    if beside is not None:
        return _copy, str(beside)
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(uri)
    how = types_storage.known_to(filesystem.put_file, _FILE)
    return partial(filesystem.put_file, **how), path


def _copy(local: str, path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(local, path)


def loaded(literals: core.LiteralMap) -> core.LiteralMap:
    """The literals with those that stand elsewhere for their size put back in their places."""
    whole = core.LiteralMap()
    for name, literal in literals.literals.items():
        found = literal
        if literal.HasField("offloaded_metadata"):
            found = core.Literal.FromString(storage.read(literal.offloaded_metadata.uri))
        whole.literals[name].CopyFrom(found)
    return whole
