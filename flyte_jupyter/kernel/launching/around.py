"""The notebook around whoever launches, where there is one."""

from __future__ import annotations

import sys
from typing import Any


def shell_around() -> Any:
    """IPython's shell, None outside of one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def session_around() -> Any:
    """What ``%load_ext flyte_jupyter`` made, None before it."""
    return getattr(shell_around(), "flyte_jupyter", None)


def tell_notebook(execution: Any) -> None:
    """This is its latest execution now: ``%flyte abort`` must not reach for one before it."""
    session = session_around()
    if session is not None:
        session.latest = execution
