"""One request to the control plane and its answer, passed on as they come.

Neither body is ever held whole: each part is sent when the side that takes it has taken the one before, so a large upload or
download costs the Jupyter server a buffer and not its memory. Each exchange has a connection of its own, which on a
Unix socket costs next to nothing and leaves no state between two callers.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Protocol
from urllib.parse import urlsplit

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient

from flyte_jupyter.supervisor import ControlPlaneUnreachable, Endpoint

CONNECT_SECONDS = 10.0
QUEUE_PAUSE = 0.02
"""Between two looks whether a full queue of callers has a place again."""
ANSWER_SECONDS = 120.0
"""How long the control plane may think before its answer begins."""
PART = 256 * 1024
NO_LIMIT = 1 << 62
"""The size of an answer is the control plane's affair."""
FINAL = 200
"""Statuses below are not answers yet."""


class Receiver(Protocol):
    """Where an answer goes."""

    def begin(self, status: int, headers: HTTPHeaders) -> None:
        """The answer begins."""

    async def receive(self, part: bytes) -> None:
        """A part of its body. Raises `StreamClosedError` when nobody wants more of it."""


class Collected:
    """A receiver for answers that are known to be small."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""

    def begin(self, status: int, headers: HTTPHeaders) -> None:
        """Remember the status."""
        del headers
        self.status = status

    async def receive(self, part: bytes) -> None:
        """Add a part."""
        self.body += part


class Exchange:
    """Made by `begin`; then `send` the body's parts, `answer`, and `close` in any case."""

    def __init__(self, stream: IOStream) -> None:
        parameters = HTTP1ConnectionParameters(
            no_keep_alive=True,
            chunk_size=PART,
            max_body_size=NO_LIMIT,
            header_timeout=ANSWER_SECONDS,
        )
        self._line = HTTP1Connection(stream, is_client=True, params=parameters)

    async def begin(self, method: str, target: str, headers: HTTPHeaders) -> None:
        """Send the request's head. Raises `ControlPlaneUnreachable`."""
        try:
            await self._line.write_headers(RequestStartLine(method, target, "HTTP/1.1"), headers)
        except StreamClosedError as error:
            raise _gone() from error

    async def send(self, part: bytes) -> None:
        """Send a part of the body. Raises `ControlPlaneUnreachable`."""
        try:
            await self._line.write(part)
        except (StreamClosedError, HTTPOutputError) as error:
            raise _gone() from error

    async def answer(self, receiver: Receiver) -> None:
        """End the request and pass the answer on to the receiver.

        Raises:
            ControlPlaneUnreachable: the answer did not come, or not to its end.
        """
        passing = _Passing(receiver, self)
        try:
            self._line.finish()
            await self._line.read_response(passing)
        except (StreamClosedError, HTTPInputError, HTTPOutputError) as error:
            raise _gone() from error
        if not passing.complete:
            raise _gone()

    def close(self) -> None:
        """Hang up, also in the middle."""
        self._line.close()


class _Passing(HTTPMessageDelegate):
    def __init__(self, receiver: Receiver, exchange: Exchange) -> None:
        self._receiver, self._exchange = receiver, exchange
        self.complete = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        if start_line.code >= FINAL:
            self._receiver.begin(start_line.code, headers)

    async def data_received(self, chunk: bytes) -> None:
        try:
            await self._receiver.receive(chunk)
        except StreamClosedError:
            self._exchange.close()

    def finish(self) -> None:
        self.complete = True


async def connect(endpoint: Endpoint) -> IOStream:
    """A stream to the control plane. Raises OSError."""
    if endpoint.socket_path is not None:
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        plug.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await _plug_in(plug, endpoint.socket_path)
        except BaseException:
            plug.close()
            raise
        return IOStream(plug)
    parts = urlsplit(endpoint.url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    return await TCPClient().connect(
        parts.hostname or "127.0.0.1",
        parts.port or (443 if secure else 80),
        ssl_options=secure,
        timeout=CONNECT_SECONDS,
    )


async def _plug_in(plug: socket.socket, path: str) -> None:
    """Connect, as soon as there is a place in the listener's queue: asyncio takes the want of one for a connection."""
    while True:
        try:
            plug.connect(path)
        except BlockingIOError:
            await asyncio.sleep(QUEUE_PAUSE)
        else:
            return


def _gone() -> ControlPlaneUnreachable:
    return ControlPlaneUnreachable(
        "the control plane went away in the middle of a request: look whether it took effect, and try again "
        "(a new control plane starts by itself; `flyte-jupyter status` tells)"
    )
