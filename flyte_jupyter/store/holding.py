"""Whose a database file is: one process's alone, or shared by several that know of one another."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack
from pathlib import Path

from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.store import dialect
from flyte_jupyter.store.errors import DatabaseBusy

_PATIENCE = 10.0
"""Seconds to wait for another process that is opening or closing the same file."""
_LOOK = 0.02


class Holding:
    """This process's right to a file, from when it is taken until `let_go`.

    ``<file>.lock`` is held exclusively by who is alone, and in common by those who share. ``<file>.door`` is held by those who share
    only while they come and go, so that each knows for certain whether it is the first, or the last.
    """

    def __init__(self, path: Path, *, shared: bool) -> None:
        """Take it. Raises `DatabaseBusy` when others have the file in the other way, `DatabaseReadOnly`, `StoreFull`."""
        self._path = path
        self._shared = shared
        with ExitStack() as held:
            self._lock = _opened(path, "lock", held)
            self._door = _opened(path, "door", held) if shared else None
            try:
                self._take()
            except OSError as error:
                raise of_file(error, path) from error
            self._held = held.pop_all()

    def _take(self) -> None:
        if self._door is not None and not _waited_for(self._door):
            raise DatabaseBusy(
                f"{self._path} is being opened by another process, which does not come to an end: try again, or stop that one",
                self._path,
            )
        self.alone = _got(self._lock, fcntl.LOCK_EX)
        """Whether nobody else has the file now: what must not be seen half done may be done."""
        if not self.alone and not (self._shared and _got(self._lock, fcntl.LOCK_SH)):
            raise self._refusal()

    def join(self) -> None:
        """Whoever shares may come in from now on. Raises `DatabaseBusy` in the moment in which another takes it for itself."""
        if self._door is None:
            return
        if self.alone and not _got(self._lock, fcntl.LOCK_SH):
            raise self._refusal()
        self.alone = False
        fcntl.flock(self._door, fcntl.LOCK_UN)

    def leave(self) -> bool:
        """Get ready to let go: whether nobody else has the file, who would have to be asked whether it is whole."""
        if self._door is not None and not self.alone:
            self.alone = _waited_for(self._door) and _got(self._lock, fcntl.LOCK_EX)
        return self.alone

    def let_go(self) -> None:
        """Others may have it. To be called once nothing of it is open any more."""
        self._held.close()

    def _refusal(self) -> DatabaseBusy:
        if self._shared:
            return DatabaseBusy(
                f"{self._path} is in use by a control plane that has it for itself: stop that one, or serve without an engine"
                " (flyte-jupyter serve --no-engine), so that engines may work beside it",
                self._path,
            )
        if _got(self._lock, fcntl.LOCK_SH):
            return DatabaseBusy(
                f"{self._path} is shared by another control plane, or engines, that run apart: serve without an engine too"
                " (flyte-jupyter serve --no-engine), stop them, or set FLYTE_JUPYTER_DATA_DIR to another folder",
                self._path,
            )
        return DatabaseBusy(
            f"{self._path} is in use by another control plane: use that one, stop it, or set FLYTE_JUPYTER_DATA_DIR"
            " to another folder",
            self._path,
        )


def _opened(path: Path, kind: str, held: ExitStack) -> int:
    try:
        descriptor = os.open(f"{path}.{kind}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise of_file(error, path) from error
    held.callback(os.close, descriptor)
    return descriptor


def _got(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _waited_for(door: int) -> bool:
    until = time.monotonic() + _PATIENCE
    while not _got(door, fcntl.LOCK_EX):
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK)
    return True


def of_file(error: OSError, path: Path) -> Exception:
    """The store's own error for one of the system's about the file or its folder."""
    if isinstance(error, PermissionError) or error.errno in (30, 1):
        return dialect.read_only(path, error.strerror or str(error))
    return StoreFull(
        f"{path} could not be opened for writing ({error}): free some space and start again"
    )
