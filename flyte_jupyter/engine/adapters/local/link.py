"""The control plane's end of a zygote's socket."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Message = dict[str, Any]

PROTOCOL = 1
_LENGTH = struct.Struct(">I")
_MOST_BYTES = 64 * 1024 * 1024
_PATIENCE = 30.0


class LinkFailed(Exception):
    """Nobody useful answers at this socket."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a zygote says of itself, and the attempts it knows, as they travel."""

    pid: int
    identity: str
    environment: str
    attempts: tuple[Message, ...]


class Link:
    """A connection to one zygote. Sending never waits; what comes in goes to a callback on the event loop's thread."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, socket: Path) -> tuple[Link, Hello]:
        """Connect and exchange greetings. Raises `LinkFailed`."""
        try:
            async with asyncio.timeout(_PATIENCE):
                link = cls(*await asyncio.open_unix_connection(str(socket)))
                return link, await link._greet()
        except (OSError, TimeoutError, EOFError, ValueError, KeyError) as e:
            raise LinkFailed(f"no zygote answers at {socket}: {type(e).__name__}: {e}") from e

    async def _greet(self) -> Hello:
        try:
            self.send({"op": "hello", "protocol": PROTOCOL})
            answer = await self._receive()
            if answer["protocol"] != PROTOCOL:
                raise ValueError(f"it speaks protocol {answer['protocol']}, not {PROTOCOL}")  # noqa: TRY301  # closed below like the rest
            return Hello(
                pid=answer["pid"],
                identity=answer.get("identity", ""),
                environment=answer["environment"],
                attempts=tuple(answer["attempts"]),
            )
        except BaseException:
            self._writer.close()
            raise

    def listen(self, heard: Callable[[Message], None], lost: Callable[[], None]) -> None:
        """Begin to pass messages on; `lost` is called once when the zygote is gone, not after `close`."""
        self._listening = asyncio.get_running_loop().create_task(self._listen(heard, lost))

    async def _listen(self, heard: Callable[[Message], None], lost: Callable[[], None]) -> None:
        try:
            while True:
                heard(await self._receive())
        except (OSError, EOFError, ValueError):
            self._writer.close()
            lost()

    async def _receive(self) -> Message:
        (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        if length > _MOST_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        message: Message = json.loads(await self._reader.readexactly(length))
        return message

    def send(self, message: Mapping[str, Any]) -> None:
        """Send; when the zygote is gone, `lost` tells."""
        body = json.dumps(message, separators=(",", ":")).encode()
        if not self._writer.is_closing():
            self._writer.write(_LENGTH.pack(len(body)) + body)

    async def close(self) -> None:
        """Leave the zygote to itself."""
        if self._listening:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
