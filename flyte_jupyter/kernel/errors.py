"""The errors that the author's library raises, one tree."""

from __future__ import annotations


class FlyteJupyterError(Exception):
    """Root of everything that this library raises on purpose."""


class RecoverableError(FlyteJupyterError):
    """Raise this in a task for a failure that may pass by itself: the attempt counts against the task's retries.

    Any other exception ends the node at once, however many retries are left.
    """
