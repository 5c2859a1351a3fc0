"""Which failures of the world pass by themselves."""

from __future__ import annotations

import errno

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
