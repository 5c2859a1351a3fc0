"""Where the logs of attempts stand, and parts of them."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path

from flyte_jupyter.engine.ports import LogSlice
from flyte_jupyter.idl.ids import AttemptId, RunId
from flyte_jupyter.idl.ids import Path as NodePath

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_LONGEST = 80


def log_path(folder: Path, attempt: AttemptId) -> Path:
    """The log of an attempt, always below `folder` whatever the names in the id are."""
    return Path(log_name(folder, attempt))


def log_name(folder: Path, attempt: AttemptId) -> str:
    """The same as text: every attempt asks."""
    return f"{_of_run(folder, attempt.run)}/{_place(attempt.path)}/{attempt.attempt}.log"


@lru_cache(maxsize=256)
def _of_run(folder: Path, run: RunId) -> str:
    return str(folder.joinpath(*(_name(part) for part in (run.project, run.domain, run.name))))


def _place(path: NodePath) -> str:
    """A file name for a place in an execution; the parts of a deeper one are told apart by more than what joins them."""
    if len(path) == 1 and isinstance(path[0], str):
        return _name(path[0])
    return _told_apart("-".join(map(str, path)), json.dumps(path))


def _name(text: str) -> str:
    """A file name for any text: the text itself when it is a plain one, else one that its digest keeps apart."""
    if _SAFE.issuperset(text) and 0 < len(text) <= _LONGEST and text[0] != ".":
        return text
    return _told_apart(text, text)


def _told_apart(shown: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_plain(shown)}~{digest}"


def _plain(text: str) -> str:
    return "".join(c if c in _SAFE else "_" for c in text)[:_LONGEST].lstrip(".")


def append(path: Path, text: str) -> None:
    """Write to a log, which nobody else may read: its process has not made it yet, maybe."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def read(path: Path, offset: int, limit: int, *, complete: bool) -> LogSlice:
    """Up to `limit` bytes from byte `offset`; empty past the end or when there is no file.

    `complete` says that the attempt is over; the slice is complete only when it also reaches the end.
    """
    offset, limit = max(0, offset), max(0, limit)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset)
            data = file.read(limit)
    except FileNotFoundError:
        return LogSlice(b"", offset, complete)
    return LogSlice(data, offset, complete and offset + len(data) >= size)
