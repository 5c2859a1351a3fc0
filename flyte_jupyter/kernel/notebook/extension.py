"""``%load_ext flyte_jupyter`` and its undoing; both may be said twice."""

from __future__ import annotations

from typing import Any

from flyte_jupyter.kernel.notebook.completion import matcher_for
from flyte_jupyter.kernel.notebook.display import Displays
from flyte_jupyter.kernel.notebook.magics import FlyteMagics
from flyte_jupyter.kernel.notebook.session import Session

ATTRIBUTE = "flyte_jupyter"


class _Loaded(Session):
    """The session with the parts that unloading must take away again."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._displays = Displays(self)
        self._matcher = matcher_for(self)

    def start(self) -> None:
        self.recorder.start()
        self._displays.start()
        self.shell.register_magics(FlyteMagics(self.shell, self))
        self.shell.Completer.custom_matchers.append(self._matcher)

    def stop(self) -> None:
        self.recorder.stop()
        self._displays.stop()
        self.shell.Completer.custom_matchers.remove(self._matcher)
        for kind, names in FlyteMagics.magics.items():
            for name in names:
                self.shell.magics_manager.magics[kind].pop(name, None)


def load(shell: Any) -> None:
    """Start to record cells, and add the magics, the completions and the display of executions."""
    if getattr(shell, ATTRIBUTE, None) is not None:
        return
    session = _Loaded(shell)
    setattr(shell, ATTRIBUTE, session)
    session.start()


def unload(shell: Any) -> None:
    """Take away what ``load`` added."""
    session = getattr(shell, ATTRIBUTE, None)
    if isinstance(session, _Loaded):
        session.stop()
        delattr(shell, ATTRIBUTE)
