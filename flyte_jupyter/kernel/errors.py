"""The errors that the author's library raises, one tree."""

from __future__ import annotations

import sys
import traceback
from types import FrameType, TracebackType

_OWN_FOLDER = __file__.rpartition("/")[0].rpartition("/")[0] + "/"


class FlyteJupyterError(Exception):
    """Root of everything that this library raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the author's own lines and the message, without this library's insides."""
        shell = sys.modules["IPython"].get_ipython()
        trace = _without_own(self.__traceback__)
        if shell is None:
            return traceback.format_exception(type(self), self, trace)
        shown: list[str] = shell.InteractiveTB.structured_traceback(type(self), self, trace)
        return shown


def _without_own(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of this library."""
    frames = []
    while trace is not None:
        if not _is_own(trace.tb_frame):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for each in reversed(frames):
        kept = TracebackType(kept, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return kept


def _is_own(frame: FrameType) -> bool:
    file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__", ""))
    # The methods that dataclasses make are in no file, only in a module.
    made = file == "<string>" and module.startswith("flyte_jupyter.")
    return made or file.startswith(_OWN_FOLDER)


class RecoverableError(FlyteJupyterError):
    """Raise this in a task for a failure that may pass by itself: the attempt counts against the task's retries.

    Any other exception ends the node at once, however many retries are left.
    """
