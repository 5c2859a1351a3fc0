"""What the executor keeps of an attempt while its pod exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes.api import Json
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.pods.naming import PRIMARY
from flyte_jupyter.engine.ports import Waits
from flyte_jupyter.idl.ids import AttemptId


class Is(StrEnum):
    """How far an attempt has come."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Entry:
    """An attempt whose pod was made here, or was found."""

    id: AttemptId
    key: Key
    uid: str
    container: str
    """The container whose log is the attempt's."""
    is_: Is = Is.PENDING
    how: Exit | None = None
    told: Waits | None = None
    """What was last said that it waits for."""
    teller: asyncio.TimerHandle | None = None
    asker: asyncio.Task[None] | None = None
    """Whoever asks why it still waits for that."""
    began: bool = False
    """Whether its container ever ran, so that there is a log."""
    chores: set[asyncio.Task[None]] = field(default_factory=set)
    """What is under way for it: its log being kept."""
    later: Callable[[], Coroutine[Any, Any, None]] | None = None
    """A chore that has not begun."""
    alarm: asyncio.TimerHandle | None = None
    """When it will."""

    def hush(self) -> None:
        """Say nothing more of what it waits for, ask nothing, and begin nothing."""
        for each in (self.teller, self.asker, self.alarm):
            if each is not None:
                each.cancel()
        self.teller = self.asker = self.alarm = self.later = None

    def put_off(self, chore: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
        """Do this so much later, or as soon as somebody waits for it."""
        self.later = chore
        self.alarm = asyncio.get_running_loop().call_later(seconds, self.begin)

    def begin(self) -> None:
        """Do now what was put off."""
        chore, alarm = self.later, self.alarm
        self.later = self.alarm = None
        if alarm is not None:
            alarm.cancel()
        if chore is not None:
            task = asyncio.create_task(chore())
            self.chores.add(task)
            task.add_done_callback(self.chores.discard)


def container_of(pod: Json) -> str:
    """The container that the attempt is about: the one that the annotation names, else the first."""
    named = (pod["metadata"].get("annotations") or {}).get(PRIMARY)
    if named:
        return str(named)
    containers = (pod.get("spec") or {}).get("containers") or [{}]
    return str(containers[0].get("name", ""))
