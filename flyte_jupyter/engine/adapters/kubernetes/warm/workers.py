"""Worker pods and their connections, as the engine keeps them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from flyte_jupyter.engine.adapters.kubernetes.api import Json, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.adapters.kubernetes.warm.kinds import Kind, attempt_from
from flyte_jupyter.engine.adapters.kubernetes.warm.link import WorkerLink
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.engine.pods.naming import pod_name
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl.ids import AttemptId

NOBODY_FREE = "waits for a worker pod that is free"
"""Why an attempt waits of which nothing else is known."""


class At(StrEnum):
    """How far an attempt has come."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Turn:
    """An attempt that is, or waits to be, served by a worker."""

    id: AttemptId
    spec: AttemptSpec | None = None
    """Until it was sent to a worker."""
    told: Json = field(default_factory=dict)
    worker: Worker | None = None
    at: At = At.QUEUED
    waited: bool = False
    """Whether it was told last that it waits for a worker."""
    how: Exit | None = None
    killed: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    chore: asyncio.Task[None] | None = None
    """Its log being kept."""

    @property
    def key(self) -> str:
        """What workers know it by."""
        return pod_name(self.id)


@dataclass(slots=True, eq=False)
class Worker:
    """A worker pod."""

    key: Key
    uid: str
    kind: str
    container: str
    link: WorkerLink | None = None
    turn: Turn | None = None
    """The attempt that it serves now."""
    joining: bool = False
    leaving: bool = False
    idle_timer: asyncio.TimerHandle | None = None

    @property
    def free(self) -> bool:
        """Whether it can take an attempt."""
        return self.link is not None and self.turn is None and not self.leaving

    async def say(self, message: Json) -> None:
        """Send to it. Raises `Unreachable`."""
        if self.link is None:
            raise Unreachable("the worker is not connected")
        await self.link.send(message)


@dataclass(slots=True)
class Pool:
    """Workers of one kind, and the attempts that wait for one."""

    kind: Kind | None = None
    """None while only workers of an earlier engine are known."""
    workers: dict[Key, Worker] = field(default_factory=dict)
    queue: deque[Turn] = field(default_factory=deque)
    making: int = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing in it, nor about to be."""
        return not (self.workers or self.queue or self.making)


class Desk(Protocol):
    """Who keeps the attempts' turns."""

    def turn(self, key: str) -> Turn | None:
        """The attempt that workers know by this key."""

    def begin(self, turn: Turn) -> None:
        """Its process has started."""

    def waits(self, turn: Turn, reason: str) -> None:
        """It waits for a worker, and why there is none."""

    def taken(self, turn: Turn) -> None:
        """A worker is about to get it."""

    def finish(self, turn: Turn, how: Exit) -> None:
        """It is over."""

    def adopt(self, worker: Worker, attempt: AttemptId, how: Exit | None) -> None:
        """A worker has this attempt since an earlier engine, or connection; `how` it ended, if it did."""


def lost(why: str) -> Exit:
    """How an attempt ended whose worker is gone."""
    return Exit(why=Failure("WorkerLost", why, Blame.SYSTEM, retryable=True))


def exit_of(said: Json) -> Exit:
    """How an attempt ended, in its worker's words (``docs/protocol.md``, section 4)."""
    ran = float(said.get("ran") or 0.0)
    if said.get("cause") in ("outgrown", "starved"):
        text = (
            "the attempt outgrew the memory of its worker pod and was killed; ask for more memory"
        )
        return Exit(why=Failure("OOMKilled", text, retryable=True), ran=ran)
    return Exit(said.get("code"), said.get("signal"), ran=ran)


def known_attempts(inventory: Json, hello: Json) -> list[tuple[AttemptId, Exit | None]]:
    """The attempts that a worker has, and how the ended ones ended."""
    found = []
    for one in hello.get("attempts", ()):
        attempt = attempt_from(inventory.get(one["key"]))
        if attempt is not None:
            found.append((attempt, exit_of(one["exit"]) if one.get("exit") else None))
    return found
