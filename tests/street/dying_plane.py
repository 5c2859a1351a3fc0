"""A control plane that ends itself, as ``kill -9`` would, at one chosen call to the world: ``DIES_AT=commit:before:3``.

Run as a program with the arguments of ``python -m flyte_jupyter.server``. It says that it got there by making the file ``DIED``.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.local.executor import LocalExecutor
from flyte_jupyter.server.admin.children import ChildExecutions
from flyte_jupyter.server.app import main
from flyte_jupyter.store.artifacts import Artifacts
from flyte_jupyter.store.runs import SqlRuns

CALLS = {
    "commit": (SqlRuns, "commit"),
    "settle": (SqlRuns, "settle"),
    "launch": (LocalExecutor, "launch"),
    "reap": (LocalExecutor, "reap"),
    "kill": (LocalExecutor, "kill"),
    "put": (FolderBlobs, "put"),
    "get": (FolderBlobs, "get"),
    "names": (FolderBlobs, "names"),
    "lookup": (Artifacts, "lookup"),
    "reserve": (Artifacts, "reserve"),
    "remember": (Artifacts, "remember"),
    "release": (Artifacts, "release"),
    "child": (ChildExecutions, "launch"),
    "terminate": (ChildExecutions, "terminate"),
    "result": (ChildExecutions, "result"),
}
BEFORE, AFTER = "before", "after"


def die() -> None:
    Path(os.environ["DIED"]).touch()
    os.kill(os.getpid(), signal.SIGKILL)


def fused(call: Callable[..., Awaitable[Any]], side: str, number: int) -> Any:
    """The call, of which the `number`-th is the last thing that this process does, or nearly does."""
    left = number

    @functools.wraps(call)
    async def through(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and side == BEFORE:
            die()
        last = left == 0
        answer = await call(*args, **kwargs)
        if last:
            die()
        return answer

    return through


if __name__ == "__main__":
    name, side, number = os.environ["DIES_AT"].split(":")
    of, method = CALLS[name]
    setattr(of, method, fused(getattr(of, method), side, int(number)))
    sys.exit(main())
