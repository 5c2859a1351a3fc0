"""What is around whoever launches: a notebook, or an attempt that imports the code of its task."""

from __future__ import annotations

import sys
from typing import Any

from flyte_jupyter.kernel.context import current_context
from flyte_jupyter.kernel.launching.errors import LaunchingError


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


def check_not_imported(what: str) -> None:
    """Refuse a module that launches wherever it is imported: each attempt would launch the next, without end."""
    context = current_context()
    if context.importing:
        raise LaunchingError(
            f"{what} is launched by a module that an attempt of {context.execution} imports: each attempt would launch "
            'it again, without end. Put the call below `if __name__ == "__main__":`, or into another module'
        )
