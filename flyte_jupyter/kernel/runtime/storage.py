"""Bytes by URI, for a task: local files at once, an S3 store by obstore where that is plain, everything else through fsspec."""

from __future__ import annotations

import os
from pathlib import Path

_PIECE = 64 * 1024


def local_path(uri: str) -> Path | None:
    """The file that a ``file:`` URI or a plain path names; None for anything else. As in fsspec, nothing is unquoted."""
    name = local_name(uri)
    return None if name is None else Path(name)


def local_name(uri: str) -> str | None:
    """The same as text: each attempt asks several times."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    return None if "://" in uri else uri


def join(prefix: str, name: str) -> str:
    """The URI of `name` below `prefix`."""
    return f"{prefix.rstrip('/')}/{name}"


def read(uri: str) -> bytes:
    """The whole content. Raises `OSError` (or what the file system behind fsspec raises)."""
    name = local_name(uri)
    if name is not None:
        return _read_local(name)
    # Imported here, because local attempts need none of it.
    from flyte_jupyter.kernel.runtime import object_store

    found = object_store.read(uri)
    if found is not None:
        return found
    import fsspec

    with fsspec.open(uri, "rb") as file:
        data: bytes = file.read()
    return data


def write(uri: str, data: bytes) -> None:
    """Put `data` at `uri` so that a reader sees all of it or nothing."""
    path = local_name(uri)
    if path is None:
        from flyte_jupyter.kernel.runtime import object_store

        if object_store.write(uri, data):
            return
        import fsspec

        # An object store shows an object only when it is whole.
        with fsspec.open(uri, "wb") as file:
            file.write(data)
        return
    folder, slash, name = path.rpartition("/")
    part = f"{folder}{slash}.{name}.{os.getpid()}.part"
    if folder:
        _have_folder(folder)
    try:
        _write_new(part, data)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise
    os.replace(part, path)  # noqa: PTH105  # every attempt waits for this


# Every attempt waits for these: no more calls into the system than it takes.


def _read_local(name: str) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while data := os.read(fd, _PIECE):
            pieces.append(data)
    finally:
        os.close(fd)
    return b"".join(pieces)


def _have_folder(folder: str) -> None:
    """Made first and not when it is missed: an attempt's outputs are what its folder is made for."""
    try:
        os.mkdir(folder)  # noqa: PTH102
    except OSError:
        if not os.path.isdir(folder):  # noqa: PTH112
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103


def _write_new(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)
