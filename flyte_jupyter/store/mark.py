"""The mark beside a database file: how many commits the file must know of, and whether it was closed as it should be.

Its first line is a number. The second is ``clean <size> <mtime>`` while the file is closed. While it is in use, or if its users were
killed, it is ``open <boot> <file>``: since which start of the machine, and which file it is, that a copy of it may be known.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.store import dialect

_DIGITS = 20
_MOST = 200
"""Bytes; a mark has fewer."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def line(commits: int) -> bytes:
    """The first line."""
    return f"{commits:0{_DIGITS}d}\n".encode()


def refuse_lost(path: Path, commits: int) -> None:
    """Raise `DatabaseDamaged` when the mark knows of commits that the file has lost. Not while others write."""
    beside = _beside(path)
    try:
        with beside.open("rb") as mark:
            said = mark.read(_DIGITS)
    except FileNotFoundError:
        return
    if said.isdigit() and int(said) > commits:
        lost = int(said) - commits
        raise dialect.damaged(
            path,
            f"its last {lost} commits are gone: its write-ahead log was cut or removed",
            f"to go on without them: rm {shlex.quote(str(beside))}",
        )


def open_for(path: Path, commits: int) -> int:
    """Open the mark for writing, and write that the file has seen these commits and is open."""
    beside = _beside(path)
    descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        start = line(commits) + _open(path)
        os.pwrite(descriptor, start, 0)
        os.ftruncate(descriptor, len(start))
    except OSError as error:
        os.close(descriptor)
        raise StoreFull(
            f"{beside} could not be written ({error}): free some space and start again"
        ) from error
    return descriptor


class CleanEnd:
    """Notes that a file was closed, once its use has `begun`, unless others go on with it: `last` says so."""

    def __init__(self, path: Path, last: Callable[[], bool]) -> None:
        self._path = path
        self._last = last
        self.begun = False

    def note(self) -> None:
        """To be called when nothing has the file open any more, and before its lock is let go."""
        if not self.begun or not self._last():
            return
        # Without the note the next start looks more closely, and that is all.
        with suppress(OSError), _beside(self._path).open("r+b") as beside:
            beside.seek(_DIGITS + 1)
            beside.truncate()
            beside.write(_clean(self._path))


def closed_cleanly(path: Path) -> bool:
    """Whether the file is, to all appearances, as the program left it when it last closed it."""
    try:
        if Path(f"{path}-wal").exists() and Path(f"{path}-wal").stat().st_size:
            return False
        return _second_line(path) == _clean(path)
    except OSError:
        return False


def only_killed(path: Path) -> bool:
    """Whether all that can have befallen the file is that its processes were killed.

    What a process has written the machine still has, as long as it has not been started anew since.
    """
    try:
        return _second_line(path) == _open(path) != b""
    except OSError:
        return False


def _second_line(path: Path) -> bytes:
    with _beside(path).open("rb") as beside:
        return beside.read(_MOST)[_DIGITS + 1 :]


def _clean(path: Path) -> bytes:
    now = path.stat()
    return f"clean {now.st_size} {now.st_mtime_ns}\n".encode()


def _open(path: Path) -> bytes:
    """Empty where the machine does not say which start of it this is."""
    try:
        boot, now = _BOOT.read_text("ascii").strip(), path.stat()
    except OSError:
        return b""
    return f"open {boot} {now.st_dev}:{now.st_ino}\n".encode()


def _beside(path: Path) -> Path:
    return Path(f"{path}.mark")
