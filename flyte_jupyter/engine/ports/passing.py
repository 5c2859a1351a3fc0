"""Which failures of the world pass by themselves, and what is said of those that do not."""

from __future__ import annotations

import errno

from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.ports.blobs import BlobFailure
from flyte_jupyter.engine.ports.executor import NotNow
from flyte_jupyter.engine.ports.runs import StoreBusy, StoreFull

_SHORT_OF = (
    *(errno.ENOSPC, errno.EDQUOT, errno.ENOMEM),
    *(errno.EMFILE, errno.ENFILE, errno.EAGAIN),
)


def passes(error: BaseException) -> bool:
    """Whether the world is away, busy or full: nothing is wrong with what it was asked, and it is asked again for as long as it takes."""
    if isinstance(error, NotNow | BlobFailure):
        return error.passes
    short = isinstance(error, OSError) and error.errno in _SHORT_OF
    return short or isinstance(error, StoreFull | StoreBusy | ConnectionError | TimeoutError)


def defect(what: str, error: Exception, times: int) -> Failure:
    """The failure of what was tried so often in vain, by a fault of our own."""
    message = (
        f"{what}: {error!r}. It was tried {times} times; the log of the control plane, or of the engine apart from it, "
        "tells of each. If it stays so, report it."
    )
    return Failure("SystemError", message, Blame.SYSTEM, retryable=True)
