"""From a zygote's words about an end to what the engine is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyte_jupyter.engine.adapters.local.refusals import system_failure, task_of
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.ports import AttemptSpec

LOST = system_failure("WorkerLost", "The parent of the attempt's process died, and it with it.")
_OUT_OF_MEMORY = "OOMKilled"  # as Flyte names it, and as there the user's to retry


def exit_of(said: Mapping[str, Any], spec: AttemptSpec) -> Exit:
    """How an attempt ended, in a zygote's words. One of an older release does not say how long it took."""
    ran = float(said.get("ran") or 0.0)
    why = _why(said, task_of(spec), ran) if "cause" in said else None
    return Exit(said["code"], said["signal"], why, ran=ran, outputs=said.get("outputs"))


def _why(said: Mapping[str, Any], task: str, ran: float) -> Failure | None:
    match said.get("cause"):
        case "outgrown":
            message = (
                f"{task} held {_mebibytes(said['held'])} of memory, and its limit is {_mebibytes(said['limit'])}: it was killed with all "
                "its processes. Let it hold less at a time, or raise the limit, for example limits=Resources(mem="
                f"'{_suggested(said['held'])}')."
            )
            return Failure(_OUT_OF_MEMORY, message, Blame.USER, retryable=True)
        case "starved":
            message = (
                f"{task} was killed by SIGKILL while the system, or the container that this runs in, was out of memory and killed "
                "processes for it. How much the task held is not known. Let fewer tasks run at a time by asking for the memory that "
                "each needs, for example requests=Resources(mem='4Gi'), or let it hold less."
            )
            return Failure(_OUT_OF_MEMORY, message, Blame.USER, retryable=True)
        case "stopped":
            message = (
                f"{task} was stopped (SIGSTOP) by somebody and not let go on in time; it was killed after {ran:.0f} seconds in all, "
                "so that it cannot speak up later, and may be tried again."
            )
            return system_failure("WorkerStopped", message)
        case _:
            return None


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _suggested(held: int) -> str:
    """Twice of what it held, which it may not have been the end of, in whole GiB if it is as much."""
    wanted = 2 * held
    return f"{-(-wanted // 2**30)}Gi" if wanted >= 2**30 else f"{-(-wanted // 2**20)}Mi"
