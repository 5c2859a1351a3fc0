"""The failures that the executor names itself. Pure but for one look at a file."""

from __future__ import annotations

import os

from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.ports import AttemptSpec, Rejected

# Nothing is wrong with the task: the machine had no room for one more process, a folder was in the way, or the attempt's own
# had gone (somebody clears up temporary files) before its process could be made.
_PASSING = frozenset({"NoProcess", "UnsafeFolder", "BadLaunch"})


def rejected(code: str, message: str) -> Rejected:
    """The task can never run here as it is."""
    return Rejected(Failure(code, message))


def system_failure(code: str, message: str) -> Failure:
    """It was not the task's fault, and another time it may work."""
    return Failure(code, message, Blame.SYSTEM, retryable=True)


def refused(code: str, message: str) -> Failure:
    """What a zygote, or the attempt to start one, said."""
    return system_failure(code, message) if code in _PASSING else Failure(code, message)


def unusable(spec: AttemptSpec, interpreter: str) -> Rejected | None:
    """Why this Python cannot run the task; None when it is there."""
    # One look, since every launch waits for it: a folder of that name fails by name too when it is run.
    if os.access(interpreter, os.X_OK):
        return None
    message = (
        f"{task_of(spec)} was registered from the Python {interpreter}, which is no longer there. "
        "Register the workflow again from an environment that exists."
    )
    return rejected("InterpreterMissing", message)


def task_of(spec: AttemptSpec) -> str:
    """How messages name the attempt's task."""
    return f"Task {spec.template.id.name or spec.template.type or 'without a name'}"
