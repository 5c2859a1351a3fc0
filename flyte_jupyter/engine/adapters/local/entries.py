"""What the local executor keeps in mind about each attempt, and how it is set up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from flyte_jupyter.engine.adapters.local.orphans import Orphan
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.adapters.local.zygotes import Zygote
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.ports import AttemptSpec


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """How attempts run here."""

    nice: int = 5
    """Added to the niceness of attempts, so that the notebook they run beside stays quick."""
    log_bytes: int = 10 * 1024 * 1024
    """What a log keeps: of a longer output the beginning and the end, with a line between them."""
    linger: float = 600.0
    """Seconds that a zygote stays when no control plane is connected and nothing runs."""
    idle_bytes: int = 512 * 1024 * 1024
    """Memory that zygotes without attempts may hold together."""
    warm_seconds: float = 60.0
    """What a warm parent may take to import its libraries; those that take longer are left to each attempt."""
    warm_bytes: int = 1536 * 1024 * 1024
    """What a warm parent may hold in memory; a library that takes more is left to each attempt."""
    memory_limit: int = 0
    """What an attempt may hold in memory when its task names no limit, in bytes; zero for no limit."""
    stopped_seconds: float = 60.0
    """How long an attempt that somebody has stopped may stand still."""
    silence_seconds: float = 60.0
    """How long a zygote that runs attempts may leave a question without an answer."""
    kill_patience: float = 10.0
    """Seconds to wait for a killed process to be gone."""


class Is(Enum):
    """Where an attempt stands with its executor."""

    QUEUED = auto()
    STARTING = auto()
    RUNNING = auto()
    ENDED = auto()


@dataclass(slots=True, eq=False)
class Entry:
    """One attempt. `killed` says that its end is nobody's news, `engine` runs its container, `anew` that its process is no fork.

    `variables` are those that its task and its execution choose, as far as a library may look at them when it is imported.
    `ahead` says that it goes, or went, to its zygote before there was a slot for it, `sent` that it is there.
    `work` is its directory, when it had one before it was accepted, and `line` what the journal is to say of it then.
    `over` is there when somebody waits for the end, and set with it.
    """

    spec: AttemptSpec
    key: str
    grant: Grant
    is_: Is = Is.QUEUED
    zygote: Zygote | None = None
    orphan: Orphan | None = None
    how: Exit | None = None
    engine: str = ""
    anew: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    killed: bool = False
    ahead: bool = False
    sent: bool = False
    work: str = ""
    line: bytes = b""
    over: asyncio.Event | None = None
