"""What stands in a zygote's folder beside its records: what it is, who it is, and what it last said."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flyte_jupyter.engine.adapters.local import processes

_ABOUT, _PID, _LOG = "zygote.json", "pid", "zygote.log"
_PAUSE = 0.02
_LOOKS = 500
_ROOM = 64 * 1024
"""More than a zygote writes when it starts, in bytes."""


def describe(folder: Path, about: Mapping[str, object]) -> None:
    """Write down what it will be. Raises `OSError`."""
    _write(folder / _ABOUT, json.dumps(about))


def description(folder: Path) -> dict[str, Any]:
    """What it was to be. Raises `OSError` or `ValueError`."""
    about = json.loads((folder / _ABOUT).read_bytes())
    if not isinstance(about, dict):
        raise ValueError(f"{folder / _ABOUT} is no description")  # noqa: TRY004  # the file's fault, as where it is no JSON
    return about


def note(folder: Path, pid: int, identity: str) -> None:
    """Write down which process it is, as warm ones have it noted by the one they come from. Raises `OSError`."""
    if identity and _noted(folder) != (pid, identity):
        _write(folder / _PID, f"{pid} {identity}")


async def fence(folder: Path) -> None:
    """End whoever lives here and does not answer, and wait until it is gone: what it was sent would run once it wakes.

    One that is killed does nothing more of its own, even where the system takes long to remove it.
    """
    pid, identity = _noted(folder)
    processes.kill(pid, identity)
    for _ in range(_LOOKS):
        if not processes.is_same(pid, identity):
            return
        await asyncio.sleep(_PAUSE)


def discard(folder: Path) -> None:
    """Remove it, since nothing came of it. Raises `OSError` when the disk has no room: then that may have been why."""
    try:
        (folder / "room").write_bytes(bytes(_ROOM))
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def last_words(folder: Path) -> str:
    """The end of its log, in a sentence; empty when it said nothing."""
    try:
        text = (folder / _LOG).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
    return f"It said: {text.splitlines()[-1]}" if text else ""


def _noted(folder: Path) -> tuple[int, str]:
    with suppress(OSError, ValueError):
        pid, _, identity = (folder / _PID).read_text("utf-8").partition(" ")
        return int(pid), identity
    return 0, ""


def _write(path: Path, text: str) -> None:
    """In one piece: whoever reads it may come at any moment, and the disk may be full."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8")
    os.replace(part, path)  # noqa: PTH105
