"""The folder of unpacked bundles: what is in use is held, and what was not used for longest goes when there is too much."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

MOST_CACHED = 2 * 1024**3
# Longer than anybody takes to unpack a bundle, or to remove one.
_ABANDONED_SECONDS = 3600.0
_BLOCK = 4096
PART, GONE = ".part-", ".gone-"
UNFINISHED = (PART, GONE)
# A lock ends with the process that has it, however that ends.
_held: dict[str, int] = {}


def hold(folder: Path) -> bool:
    """Keep a bundle for as long as this process lives, and note that it is used now. False when it is gone."""
    name = str(folder)
    try:
        if name not in _held:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _held[name] = fd
            # Where there are no locks there is a time of last use.
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_SH)
        os.utime(name)
    except FileNotFoundError:
        if name in _held:
            os.close(_held.pop(name))
        return False
    return True


def let_go() -> None:
    """Hold nothing any more."""
    while _held:
        os.close(_held.popitem()[1])


def prune(cache: Path, most_bytes: int) -> None:
    """Remove the bundles that nobody holds, the least recently used first, until the others fit.

    Gone too is what those left unfinished that were killed while they unpacked or removed one.
    """
    found = []
    for folder in cache.iterdir():
        with suppress(OSError):
            if not folder.name.startswith("."):
                found.append((folder.stat().st_mtime_ns, folder, _size(folder)))
            elif folder.name.startswith(UNFINISHED) and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
    total = sum(size for _, _, size in found)
    for _, folder, size in sorted(found):
        if total <= most_bytes:
            break
        if _removed(folder):
            total -= size


def _is_abandoned(folder: Path) -> bool:
    return folder.stat().st_mtime < time.time() - _ABANDONED_SECONDS


def _removed(folder: Path) -> bool:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # In one step out of sight: nobody ever sees a part of a bundle.
        grave = Path(tempfile.mkdtemp(prefix=GONE, dir=folder.parent))
        folder.rename(grave / folder.name)
    except OSError:
        return False
    finally:
        os.close(fd)
    shutil.rmtree(grave, ignore_errors=True)
    return True


def _size(folder: Path) -> int:
    """What it takes on the disk, roughly: a small file takes a block."""
    files = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return _BLOCK + sum(max(_BLOCK, path.stat().st_size) for path in files)
