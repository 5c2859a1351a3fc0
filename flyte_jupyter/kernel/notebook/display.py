"""Showing an execution in a cell's output, and making the stored picture final once it has ended.

In JupyterLab the renderer of ``snapshot.MIME`` keeps itself up to date from the server. What is
stored in the notebook is updated by the kernel exactly once, when it learns of the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyte_jupyter.kernel.errors import FlyteJupyterError
from flyte_jupyter.kernel.notebook.session import Session
from flyte_jupyter.kernel.notebook.snapshot import MIME, Snapshot
from flyte_jupyter.kernel.notebook.snapshots import snapshot_of
from flyte_jupyter.kernel.notebook.svg import draw

_EXECUTION = ("flyte_jupyter.kernel.launching.execution", "Execution")


@dataclass(frozen=True)
class _Shown:
    execution: Any
    display_id: str


class Displays:
    """The outputs of this notebook that show executions."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shell = session.shell
        self._open: list[_Shown] = []
        self._count = 0

    def start(self) -> None:
        """Let executions show themselves when they are the last expression of a cell."""
        self._formatter.for_type_by_name(*_EXECUTION, self.show)
        self._shell.events.register("post_run_cell", self._finish)

    def stop(self) -> None:
        """Undo `start`."""
        self._formatter.pop(".".join(_EXECUTION), None)
        self._shell.events.unregister("post_run_cell", self._finish)

    def show(self, execution: Any) -> None:
        """Publish the execution as it stands, as an output that can be updated."""
        self._session.latest = execution
        self._count += 1
        shown = _Shown(execution, f"flyte-{execution.name}-{self._count}")
        if not execution.ended:
            self._open.append(shown)
        self._publish(shown, update=False)

    def _finish(self, result: Any) -> None:
        """After a cell: bring outputs of executions that ended meanwhile to their final state."""
        del result
        ended = [shown for shown in self._open if shown.execution.ended]
        self._open = [shown for shown in self._open if shown not in ended]
        if not hasattr(self._shell, "kernel"):
            return  # a terminal cannot change what it has printed
        for shown in ended:
            self._publish(shown, update=True)

    def _publish(self, shown: _Shown, *, update: bool) -> None:
        self._shell.display_pub.publish(
            _bundle_of(shown.execution),
            transient={"display_id": shown.display_id},
            update=update,
        )

    @property
    def _formatter(self) -> Any:
        return self._shell.display_formatter.ipython_display_formatter


def mime_bundle(run: Snapshot) -> dict[str, Any]:
    """The snapshot for the live renderer, as a picture, and in words."""
    return {MIME: run.as_json(), "image/svg+xml": draw(run), "text/plain": run.as_text()}


def _bundle_of(execution: Any) -> dict[str, Any]:
    try:
        return mime_bundle(snapshot_of(execution))
    except FlyteJupyterError as error:
        return {"text/plain": f"{execution!r}: {error}"}
