"""What runs attempts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Failure, Stage
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId


@dataclass(frozen=True, slots=True)
class AttemptSpec:
    """All an executor needs to run one attempt. Times in seconds, memory in bytes."""

    id: AttemptId
    template: core.TaskTemplate
    """As registered: command templates (``{{.input}}`` ...) are filled by the executor from the URIs below."""
    inputs: str
    output_prefix: str
    raw_output_prefix: str
    env: Mapping[str, str]
    given: bytes | None = None
    """Its inputs themselves, a serialised ``LiteralMap``, for an executor that `carries` them; else they stand at `inputs`."""
    prev_checkpoint: str = ""
    interruptible: bool = False
    """Whether it may be put on machines that can be taken away (Flyte: not for the last system attempt)."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    workflow: str = ""
    """Name of the workflow that the execution runs, for labels."""
    node: str = ""
    """The node's id as clients see it."""
    index: int | None = None
    """Of an item of an array node: which element it is for. It is in `env` too, as Flyte's tasks look for it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The executor has it (now, or since an earlier call with the same id)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The executor will never run it as asked."""

    why: Failure


class NotNow(Exception):
    """The other side is away, busy or not ready. Nothing is wrong with what it was asked: it is asked again for as long as it takes."""

    @property
    def passes(self) -> bool:
        """Whether that is certain; else it is asked again a few times, and then counts as a defect."""
        return True


@dataclass(frozen=True, slots=True)
class Waits:
    """What an attempt waits for before it can start, in its executor's words."""

    stage: Stage
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AttemptNews:
    """Unprompted news: `waits` is set while it cannot start yet, `how` when it is gone; neither: its process has started."""

    id: AttemptId
    how: Exit | None
    waits: Waits | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Every attempt that exists and is not reaped, the ended ones with how they ended, as of a moment *before* the look."""

    as_of: datetime
    queued: frozenset[AttemptId]
    running: frozenset[AttemptId]
    ended: Mapping[AttemptId, Exit]

    @property
    def all(self) -> frozenset[AttemptId]:
        """Every listed attempt, whatever its phase."""
        return self.queued | self.running | frozenset(self.ended)


Ready = Callable[[], Awaitable[None]]
"""Returns while its caller's engine may act; raises when it may not, or when that cannot be found out."""


async def unrivalled() -> None:
    """Ready, because no other engine could have taken over."""


class Executor(Protocol):
    """Runs attempts. Create-if-absent and delete-if-present by `AttemptId`; an ended attempt stays listed until reaped."""

    async def start(self, news: Callable[[AttemptNews], None], ready: Ready = unrivalled) -> None:
        """Begin; adopt what an earlier engine left running. `news` is called on the event loop's thread.

        Where executors of several engines reach the same attempts, `ready` is awaited before anything is changed: a timer that
        is due when an engine has stood still must do nothing to what is another's by then.
        """

    async def stop(self) -> None:
        """Stop watching. Running attempts go on and are adopted by the next `start`."""

    def carries(self, template: core.TaskTemplate) -> bool:
        """Whether attempts of this task are handed their inputs, and so need no file of them. The answer never changes."""

    def prepare(self, spec: AttemptSpec) -> bool:
        """Make ready what `launch` with this very object will probably be asked for, and begin nothing: it may never be.

        Returns whether it could make more of them ready. What is not launched is forgotten with a `kill`, or at the next `start`.
        """

    async def launch(self, spec: AttemptSpec) -> Accepted | Rejected:
        """Create the attempt if it is absent (a reaped or killed one may be created anew).

        Raises `NotNow` for what may pass; whatever else is raised counts as a defect and is not asked again for ever.
        """

    async def kill(self, attempt: AttemptId) -> None:
        """End the attempt and all its processes, and forget it; nothing if it is unknown."""

    async def reap(self, attempt: AttemptId) -> None:
        """Forget an ended attempt, its files under the executor's own folders apart from logs included."""

    async def listing(self) -> Listing:
        """What exists. Level-triggered truth behind `news`."""

    async def read_log(self, attempt: AttemptId, offset: int, limit: int) -> LogSlice:
        """Up to `limit` bytes of the attempt's log from byte `offset`; empty past the end or when there is none."""


@dataclass(frozen=True, slots=True)
class LogSlice:
    """A part of a log. `complete` says that the attempt is over and nothing will be added."""

    data: bytes
    offset: int
    complete: bool
