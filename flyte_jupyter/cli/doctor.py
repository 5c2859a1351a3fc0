"""``flyte-jupyter doctor``: the things that go wrong on a new machine, each with its remedy."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from flyte_jupyter.supervisor import SupervisorError, find, places, status

SERVER_MODULES = ("sqlalchemy", "alembic", "tornado", "jupyter_server")
LEAST_FREE = 1 << 30


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
    where = places()
    yield Finding(not where.notice, f"data folder {where.data}", where.notice)
    existing = next(folder for folder in (where.data, *where.data.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= LEAST_FREE
    yield Finding(
        enough,
        f"{free / (1 << 30):.1f} GiB free there",
        "" if enough else "make room, or set FLYTE_JUPYTER_DATA_DIR",
    )
    yield _control_plane()


def _platform() -> Finding:
    system = platform.system()
    good = system in ("Linux", "Darwin")
    return Finding(
        good,
        f"Python {platform.python_version()} on {system} ({sys.executable})",
        "" if good else "flyte-jupyter runs on Linux and macOS; on Windows, use it inside WSL",
    )


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
