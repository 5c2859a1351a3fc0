"""What the use cases work with: the store, the blobs, the clock and the limits of this installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.engine.ports import Blobs
from flyte_jupyter.idl import core
from flyte_jupyter.server.admin.qualities import QualitySettings
from flyte_jupyter.server.admin.signing import Signer
from flyte_jupyter.store.artifacts import Artifacts
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.names import Names
from flyte_jupyter.store.projects import Projects
from flyte_jupyter.store.signals import SqlSignals
from flyte_jupyter.store.specs import Specs


@dataclass(frozen=True, slots=True)
class Platform:
    """Handed to every use case at wiring."""

    specs: Specs
    names: Names
    executions: Executions
    projects: Projects
    signals: SqlSignals
    artifacts: Artifacts
    blobs: Blobs
    md5_of: Callable[[str], bytes | None]
    """The MD5 of the blob of a key; None when there is none. Reads all of it: call it in a thread."""
    signer: Signer
    refusal: Callable[[core.TaskTemplate], str | None]
    """Why the executor could never run a task, with the remedy; None when it can."""
    now: Callable[[], datetime]
    """The time in UTC."""
    new_name: Callable[[], str]
    """A fresh execution name: a letter and 19 random letters and digits."""
    upload_expiry: timedelta
    """Longest validity of a signed URL."""
    inline_data: int
    """Bytes of inputs or outputs above which they are named by URL."""
    max_listing: int
    """Most items on one page."""
    max_parallelism: int
    """For executions and launch plans that do not say; 0 means unlimited."""
    max_nesting: int
    """How deep executions may start executions; 0 means unlimited."""
    quality: QualitySettings
    """How long attempts may stay queued."""
    execution_timeout: timedelta | None
    """How long an execution may take in all; None: for ever."""

    def timestamp(self) -> Timestamp:
        """`now` as a protobuf message."""
        stamp = Timestamp()
        stamp.FromDatetime(self.now())
        return stamp
