"""``flyte-jupyter doctor``: the things that go wrong on a new machine, each with its remedy."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flyte_jupyter.supervisor import Places, SupervisorError, find, places, status
from flyte_jupyter.supervisor.places import owned_by_another

SERVER_MODULES = ("sqlalchemy", "alembic", "tornado", "jupyter_server")
LEAST_FREE = 1 << 30
_OTHER_PLACE = "or set FLYTE_JUPYTER_DATA_DIR to a folder that you can write to"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    good: bool
    what: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at the platform, the packages, the data folder and the control plane, in this order."""
    yield _platform()
    missing = [name for name in SERVER_MODULES if importlib.util.find_spec(name) is None]
    yield Finding(
        not missing,
        f"packages of the control plane{': missing ' + ', '.join(missing) if missing else ''}",
        "pip install 'flyte-jupyter[lab]'" if missing else "",
    )
    yield from _folder(places())
    yield _control_plane()


def _platform() -> Finding:
    system = platform.system()
    good = system in ("Linux", "Darwin")
    return Finding(
        good,
        f"Python {platform.python_version()} on {system} ({sys.executable})",
        "" if good else "flyte-jupyter runs on Linux and macOS; on Windows, use it inside WSL",
    )


def _folder(where: Places) -> Iterator[Finding]:
    for folder in dict.fromkeys((where.data, where.run)):
        if (foreign := owned_by_another(folder)) is not None:
            remedy = f"remove it, {_OTHER_PLACE}"
            yield Finding(False, f"{folder} belongs to another user (uid {foreign})", remedy)
            return
    try:
        nearest = _nearest(where.data)
        _try_to_write(nearest, inside=nearest == where.data)
        free = shutil.disk_usage(nearest).free
    except OSError as error:
        why = f"data folder {where.data}: {error.strerror or error}"
        why += f" ({error.filename})" if error.filename not in (None, str(where.data)) else ""
        yield Finding(False, why, f"mend that, {_OTHER_PLACE}")
        return
    yield Finding(not where.notice, f"data folder {where.data}", where.notice)
    enough = free >= LEAST_FREE
    yield Finding(
        enough,
        f"{_amount(free)} free there",
        "" if enough else f"make room, {_OTHER_PLACE}",
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the one above it that exists and in which it would be made. Raises `OSError` when nobody can tell."""
    for each in (folder, *folder.parents):
        try:
            each.stat()
        except FileNotFoundError:
            continue
        return each
    return Path("/")


def _try_to_write(folder: Path, *, inside: bool) -> None:
    """Raises `OSError` when the folder takes nothing new. Only the data folder itself is really written to."""
    if not folder.is_dir():
        raise NotADirectoryError(20, "a file is in the way", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "it cannot be written to", str(folder))
    if inside:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"x")
            trial.flush()


def _amount(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= LEAST_FREE else f"{size / (1 << 20):.0f} MiB"


def _control_plane() -> Finding:
    try:
        endpoint = find()
        if endpoint is None:
            return Finding(True, "no control plane runs now; the first client starts one")
        said = status(endpoint)
    except SupervisorError as error:
        return Finding(False, "control plane", str(error))
    return Finding(
        True,
        f"control plane {said.get('version')}, process {said.get('pid')}, {said.get('active_runs')} active runs",
    )
