"""The engine's end of a worker: frames over a program that the API server runs in the pod."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import struct
from collections.abc import Callable
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes.api import Duplex, Json, Unreachable

log = logging.getLogger(__name__)

_LENGTH = struct.Struct(">I")
_MOST_BYTES = 64 * 1024 * 1024


class WorkerLink:
    """A connection to one worker. What it says goes to `heard`; its end, whoever's fault, to `lost`, once."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._heard: Callable[[Json], None] = lambda _: None
        self._lost: Callable[[], None] = lambda: None
        self._held = bytearray()
        self._logs: dict[tuple[str, int], asyncio.Future[bytes]] = {}
        self._task: asyncio.Task[None] | None = None

    async def greet(self, seconds: float) -> tuple[Json, Json]:
        """The worker's inventory, and its zygote's greeting. Raises `Unreachable`."""
        try:
            async with asyncio.timeout(seconds):
                await self.send({"op": "hello", "protocol": 1})
                inventory = await self._next()
                hello = await self._next()
        except (TimeoutError, KeyError, ValueError) as error:
            raise Unreachable(f"a worker does not answer: {error or 'too late'}") from error
        return inventory["attempts"], hello

    def listen(self, heard: Callable[[Json], None], lost: Callable[[], None]) -> None:
        """Pass on what comes from now on."""
        self._heard, self._lost = heard, lost
        self._task = asyncio.create_task(self._pump())

    async def send(self, message: Json) -> None:
        """Send. Raises `Unreachable`."""
        body = json.dumps(message, separators=(",", ":")).encode()
        await self._duplex.send(_LENGTH.pack(len(body)) + body)

    async def log(self, key: str, offset: int, limit: int, seconds: float) -> bytes:
        """A part of an attempt's log. Raises `Unreachable`."""
        answer = self._logs.setdefault((key, offset), asyncio.get_running_loop().create_future())
        try:
            await self.send({"op": "log", "key": key, "offset": offset, "limit": limit})
            async with asyncio.timeout(seconds):
                return await asyncio.shield(answer)
        except TimeoutError as error:
            raise Unreachable("a worker does not tell its log") from error
        finally:
            self._logs.pop((key, offset), None)

    async def close(self) -> None:
        """Hang up."""
        self._lost = lambda: None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._duplex.close()

    async def _pump(self) -> None:
        try:
            while True:
                message = await self._next()
                if message.get("op") == "log":
                    self._told(message)
                else:
                    self._heard(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing more is heard of this worker
            if not isinstance(error, Unreachable):
                log.warning("a worker is no longer understood: %r", error)
            lost, self._lost = self._lost, lambda: None
            lost()

    def _told(self, message: Json) -> None:
        answer = self._logs.get((message["key"], message["offset"]))
        if answer is not None and not answer.done():
            answer.set_result(base64.b64decode(message["data"]))

    async def _next(self) -> Json:
        while True:
            if len(self._held) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._held)
                if length > _MOST_BYTES:
                    raise ValueError(f"a frame of {length} bytes")
                end = _LENGTH.size + length
                if len(self._held) >= end:
                    message: Any = json.loads(bytes(self._held[_LENGTH.size : end]))
                    del self._held[:end]
                    if not isinstance(message, dict):
                        raise ValueError("a frame that is no message")
                    return message
            self._held += await self._duplex.receive()
