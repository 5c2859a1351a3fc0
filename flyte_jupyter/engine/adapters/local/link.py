"""The control plane's end of a zygote's socket."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_jupyter.engine.adapters.local import messages

Message = dict[str, Any]

PROTOCOL = 1
_LENGTH = struct.Struct(">I")
_MOST_BYTES = 64 * 1024 * 1024
# Variables and what goes with them travel apart, and then together from a zygote to its worker.
_MOST_SENT = _MOST_BYTES // 2 - 4096
# So many bytes of ASCII one byte can become in JSON, as zygotes write it.
_WORST = 6
_PATIENCE = 30.0
_POST_SECONDS = 0.02
_MOST_ENVIRONMENTS = 64


class LinkFailed(Exception):
    """Nobody useful answers at this socket."""


class TooLong(Exception):
    """A message that no zygote would read: it would close the connection, which all its attempts have in common."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a zygote says of itself, and the attempts it knows, as they travel."""

    pid: int
    identity: str
    environment: str
    attempts: tuple[Message, ...]
    waits: bool = False
    """Whether it takes variables by number, and attempts ahead of their slots; one of an older release does not."""
    hands: bool = False
    """Whether it hands attempts their inputs; for one of an older release they have to be in a file."""
    holds: bool = False
    """Whether it takes attempts that may never begin."""
    secrets: bool = False
    """Whether its attempts read their secrets; those of an older release would run without."""


class Link(asyncio.Protocol):
    """A connection to one zygote. Sending never waits; what comes in goes to a callback as soon as it is read."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._held = bytearray()
        self._posted = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._first: asyncio.Future[Message] = loop.create_future()
        self._closed: asyncio.Future[None] = loop.create_future()
        self._early: list[Message] = []
        self._heard: Callable[[Message], None] = self._greeted
        self._lost: Callable[[], None] = lambda: None
        self._environments: dict[int, tuple[int, Mapping[str, str]]] = {}

    @classmethod
    async def open(cls, socket: Path) -> tuple[Link, Hello]:
        """Connect and exchange greetings. Raises `LinkFailed`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE):
                _, link = await loop.create_unix_connection(cls, str(socket))
                return link, await link._greet()  # noqa: SLF001  # its own class
        except (OSError, TimeoutError, EOFError, ValueError, KeyError) as e:
            raise LinkFailed(f"no zygote answers at {socket}: {type(e).__name__}: {e}") from e

    async def _greet(self) -> Hello:
        try:
            self.send({"op": "hello", "protocol": PROTOCOL})
            answer = await self._first
            if answer["protocol"] != PROTOCOL:
                raise ValueError(f"it speaks protocol {answer['protocol']}, not {PROTOCOL}")  # noqa: TRY301  # closed below like the rest
            return Hello(
                pid=answer["pid"],
                identity=answer.get("identity", ""),
                environment=answer["environment"],
                attempts=tuple(answer["attempts"]),
                waits=answer.get("waits", False),
                hands=answer.get("hands", False),
                holds=answer.get("holds", False),
                secrets=answer.get("secrets", False),
            )
        except BaseException:
            self._drop()
            raise

    def _greeted(self, message: Message) -> None:
        # A zygote of an older release may tell of an end before it has answered.
        if self._first.done() or message.get("op") != "hello":
            self._early.append(message)
        else:
            self._first.set_result(message)

    def listen(self, heard: Callable[[Message], None], lost: Callable[[], None]) -> None:
        """Begin to pass messages on; `lost` is called once when the zygote is gone, not after `close`."""
        self._heard = heard
        early, self._early = self._early, []
        for message in early:
            heard(message)
        if self._closed.done():
            # From the loop: whoever listens has not finished saying so.
            asyncio.get_running_loop().call_soon(lost)
        else:
            self._lost = lost

    def send(self, message: Mapping[str, Any]) -> None:
        """Send, with what else is sent before the loop comes round; when the zygote is gone, `lost` tells. Raises `TooLong`."""
        self._put(message)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def send_now(self, message: Mapping[str, Any]) -> None:
        """Send without waiting for what else may come. Raises `TooLong`."""
        self._put(message)
        self._flush()

    def environment(self, variables: Mapping[str, str]) -> int:
        """The number under which the zygote knows these variables, which are sent once and must never change. Raises `TooLong`."""
        known = self._environments.get(id(variables))
        if known is not None:
            return known[0]
        number, oldest = len(self._environments) + 1, None
        if number > _MOST_ENVIRONMENTS:
            # The oldest number is given anew: attempts that were sent with it have what it meant then.
            oldest = next(iter(self._environments))
            number = self._environments[oldest][0]
        self._put({"op": "env", "number": number, "env": variables})
        if oldest is not None:
            del self._environments[oldest]
        # Held here, so that no others can have their place in memory.
        self._environments[id(variables)] = number, variables
        return number

    def post(self, message: Mapping[str, Any]) -> None:
        """Send within some milliseconds, with what is sent until then: nobody waits for it, and it wakes nobody by itself."""
        self._put(message)
        if self._timer is None and not self._due:
            self._timer = asyncio.get_running_loop().call_later(_POST_SECONDS, self._flush)

    def _put(self, message: Mapping[str, Any]) -> None:
        body = messages.written(message)
        if len(body) > _MOST_SENT // _WORST:
            body = messages.in_ascii(message)
            if len(body) > _MOST_SENT:
                raise TooLong(f"{len(body) >> 20} MiB, of which {_MOST_SENT >> 20} are possible")
        self._posted += _LENGTH.pack(len(body)) + body

    def _flush(self) -> None:
        self._due = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._posted and self._transport and not self._transport.is_closing():
            self._transport.write(bytes(self._posted))
        self._posted.clear()

    async def close(self) -> None:
        """Leave the zygote to itself."""
        self._flush()
        self._lost = lambda: None
        self._heard = lambda _: None
        self._drop()
        await self._closed

    def _drop(self) -> None:
        if self._transport:
            self._transport.close()

    # -- what asyncio calls --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A part of the stream: pass on the messages that it completes."""
        try:
            if self._held:
                self._held += data
                if _end_of(self._held, 0) is None:
                    return  # what is long comes in many pieces, which are put together once
                data = bytes(self._held)
                self._held.clear()
            at = 0
            while (end := _end_of(data, at)) is not None:
                message: Message = messages.read(data[at + _LENGTH.size : end])
                at = end
                self._heard(message)
            if at < len(data):
                self._held += data[at:]
        except ValueError:
            self._drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """The zygote is gone, or this end was closed."""
        if not self._first.done():
            self._first.set_exception(exc or EOFError("it closed the connection"))
            # Nobody waits for it when the greeting was given up.
            self._first.exception()
        self._closed.set_result(None)
        lost, self._lost = self._lost, lambda: None
        lost()


def _end_of(data: bytes | bytearray, at: int) -> int | None:
    """Where the frame ends that begins there; None when it is not all there. Raises `ValueError`."""
    if len(data) - at < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(data, at)
    if length > _MOST_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    end: int = at + _LENGTH.size + length
    return end if end <= len(data) else None
