"""Files and folders between local disk and URIs, through fsspec."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.runtime import storage
from flyte_jupyter.kernel.types.storage import fetch

__all__ = ["fetch", "loaded", "store"]


def store(local: Path, uri: str) -> str:
    """Copy a file, or a folder with all that is in it, to a URI, which is returned. Raises what the file system raises."""
    if not local.is_dir():
        _store_file(local, uri)
        return uri
    for parent, folders, files in os.walk(local):
        folders.sort()
        for name in sorted(files):
            inside = Path(parent, name)
            _store_file(inside, storage.join(uri, inside.relative_to(local).as_posix()))
    return uri


def _store_file(local: Path, uri: str) -> None:
    beside = storage.local_path(uri)
    if beside is not None:
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local, beside)
        return
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(uri)
    filesystem.put_file(str(local), path)


def loaded(literals: core.LiteralMap) -> core.LiteralMap:
    """The literals with those that stand elsewhere for their size put back in their places."""
    whole = core.LiteralMap()
    for name, literal in literals.literals.items():
        found = literal
        if literal.HasField("offloaded_metadata"):
            found = core.Literal.FromString(storage.read(literal.offloaded_metadata.uri))
        whole.literals[name].CopyFrom(found)
    return whole
