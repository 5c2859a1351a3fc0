"""That one process owns a data folder: its lock, its socket, its runtime file, its secret."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tornado.netutil import bind_unix_socket

LOCK = "control.lock"
SOCKET = "control.sock"
RUNTIME_FILE = "control.json"
_SECRET_BYTES = 32
_QUEUE = 2048
"""Callers whom the system keeps for us while we think; the kernel's own limit may be lower."""


class AlreadyRunning(Exception):
    """Another control plane owns this folder."""


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Own the run folder until the end of the block, or of the process.

    Raises:
        AlreadyRunning: another process does.
    """
    handle = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"Another control plane owns {run_dir}: use it, or stop it first "
                "(flyte-jupyter stop)."
            ) from error
        yield
    finally:
        os.close(handle)


def private_folder(path: Path) -> Path:
    """The folder, made if need be, that only its owner can enter.

    Raises:
        PermissionError: it belongs to somebody else.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = path.stat()
    if info.st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user (uid {info.st_uid})")
    if info.st_mode & 0o077:
        path.chmod(0o700)
    return path


def bind(run_dir: Path) -> socket.socket:
    """Listen on the folder's socket; one that a dead process left is replaced. Call only when `locked`."""
    return bind_unix_socket(str(run_dir / SOCKET), mode=0o600, backlog=_QUEUE)


def write_runtime_file(run_dir: Path, content: Mapping[str, object]) -> None:
    """Tell clients where we are: the whole file at once or not at all."""
    partial = run_dir / f"{RUNTIME_FILE}.{os.getpid()}"
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(run_dir / RUNTIME_FILE)


def can_be_found(run_dir: Path) -> bool:
    """Whether what leads clients here is still there."""
    return all((run_dir / name).exists() for name in (SOCKET, RUNTIME_FILE))


def withdraw(run_dir: Path) -> None:
    """Take back what tells clients where we are."""
    (run_dir / RUNTIME_FILE).unlink(missing_ok=True)
    (run_dir / SOCKET).unlink(missing_ok=True)


def load_secret(data_dir: Path) -> bytes:
    """The folder's secret for signatures, made at first use, by one of all processes that want it; only the owner can read it."""
    path = data_dir / "secret"
    with suppress(FileNotFoundError):
        found = path.read_bytes()
        if len(found) == _SECRET_BYTES:
            return found
        path.unlink()  # cut off by a crash while it was made: nothing was signed with it
    part = data_dir / f"secret.{secrets.token_hex(8)}"
    fresh = secrets.token_bytes(_SECRET_BYTES)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(fresh)
        path.hardlink_to(part)
    except FileExistsError:
        return path.read_bytes()
    finally:
        part.unlink(missing_ok=True)
    return fresh
