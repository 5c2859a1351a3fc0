"""``%load_ext flyte_jupyter`` and its undoing; both may be said twice."""

from __future__ import annotations

from typing import Any

from flyte_jupyter.kernel.notebook.session import Session

ATTRIBUTE = "flyte_jupyter"


def load(shell: Any) -> None:
    """Start to record cells, and add the magics, the completions and the display of executions."""
    if isinstance(getattr(shell, ATTRIBUTE, None), Session):
        return
    session = Session(shell)
    setattr(shell, ATTRIBUTE, session)
    session.recorder.start()


def unload(shell: Any) -> None:
    """Take away what ``load`` added."""
    session = getattr(shell, ATTRIBUTE, None)
    if not isinstance(session, Session):
        return
    session.recorder.stop()
    delattr(shell, ATTRIBUTE)
