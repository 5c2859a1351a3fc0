"""Which engines of a data folder live: each has a locked file of its name, and a lock ends with its process."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

_FOLDER = "engines"
_KEPT = 3600.0
"""Seconds for which the file of an engine is kept once it was found dead: its lease has run out long before."""


def new_holder() -> str:
    """A name to take the lease by, no other engine's."""
    return f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"


def named(holder: str, data_dir: Path) -> Path:
    """The file of the engine that takes the lease by this name."""
    return data_dir / "db" / _FOLDER / holder


def is_dead(holder: str, data_dir: Path) -> bool:
    """Whether that engine is known to be dead. One that stands still lives; of one without a file nobody knows."""
    try:
        descriptor = os.open(named(holder, data_dir), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _clear(mark: Path) -> None:
    """Note in a dead engine's file that it was found dead, and remove it long after that was noted."""
    # Another engine that starts right now may be first; a full disk is no reason not to start.
    with suppress(OSError):
        found = mark.stat()
        if not found.st_size:
            with mark.open("r+") as file:
                file.write("found dead")
        elif time.time() - found.st_mtime > _KEPT:
            mark.unlink()


class LivingEngine:
    """This process's engine as the others know it, from now until `leave` or the end of the process."""

    def __init__(self, data_dir: Path) -> None:
        self.holder = new_holder()
        self._file = named(self.holder, data_dir)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        for other in self._file.parent.iterdir():
            if is_dead(other.name, data_dir):
                _clear(other)

    def leave(self) -> None:
        """It has given its lease back, and is no more."""
        self._file.unlink(missing_ok=True)
        os.close(self._descriptor)
