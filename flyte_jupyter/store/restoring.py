"""Copies of the database file, and the command that puts one back."""

from __future__ import annotations

import os
import shlex
import shutil
from datetime import timedelta
from pathlib import Path

SMALL = 64 * 1024 * 1024
"""Bytes. A file up to this size is copied whenever it has changed, a larger one once in `COPY_AFTER`."""
COPY_AFTER = timedelta(days=1)


def backup_path(path: Path) -> Path:
    """Where the regular copy of the database stands."""
    return path.with_name(f"{path.name}.backup")


def restore_command(path: Path) -> str:
    """What to type to have a working database again: the copy put back or, without one, the damaged file put aside."""
    name = shlex.quote(str(path))
    copies = [c for c in path.parent.glob(f"{path.name}.b*") if not c.name.endswith(".part")]
    side = f"rm -f {name}-wal {name}-shm {name}.mark"
    if copies:
        newest = max(copies, key=lambda copy: copy.stat().st_mtime)
        return f"to go back to the last copy: cp -p {shlex.quote(str(newest))} {name} && {side}"
    return f"there is no copy; to begin anew and keep the file: mv {name} {name}.damaged; {side}"


def copy_aside(path: Path, target: Path) -> None:
    """Copy a database that nobody writes and whose write-ahead log is empty, so that `target` is whole or absent."""
    part = target.with_name(f"{target.name}.part")
    try:
        shutil.copy2(path, part)
        with part.open("rb") as copied:
            os.fsync(copied.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def copy_is_due(path: Path) -> bool:
    """Whether the regular copy is missing, or no longer recent enough."""
    target, now = backup_path(path), path.stat()
    if not target.exists():
        return True
    # A copy keeps the modification time of what it was copied from.
    behind = now.st_mtime - target.stat().st_mtime
    return behind > 0 and (now.st_size <= SMALL or behind >= COPY_AFTER.total_seconds())


def back_up(path: Path) -> None:
    """Keep a copy of a database known to be whole, unless the one there is recent enough."""
    if copy_is_due(path):
        copy_aside(path, backup_path(path))
