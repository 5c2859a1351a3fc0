"""The Jupyter server's line to its control plane: found or started when needed, and again when it is gone.

One WebSocket is held open as long as the Jupyter server lives. It tells the control plane that somebody is there, and
its end is how we learn, without polling, that the control plane ended and a new one is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.netutil import DefaultLoopResolver, Resolver
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from flyte_jupyter.server.exchange import CONNECT_SECONDS, Collected, Exchange, connect
from flyte_jupyter.supervisor import (
    ControlPlaneUnreachable,
    Endpoint,
    StartFailed,
    SupervisorError,
    find_or_start,
)
from flyte_jupyter.supervisor.endpoint import headers_for

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
STEADY_SECONDS = 10.0
"""A line that lasted this long was a good one: its end is no reason to wait before the next."""
LARGEST_FRAME = 256 * 1024 * 1024
"""The snapshot of a large execution is one frame."""
FAREWELL_SECONDS = 2.0


class UnixResolver(Resolver):
    """Resolves one host name to one Unix socket, everything else as usual."""

    def initialize(self, path: str, host: str) -> None:
        """Remember which name stands for the socket."""
        self._path, self._host = path, host
        self._others = DefaultLoopResolver()

    async def resolve(
        self, host: str, port: int, family: Any = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """The socket's address for its name."""
        if host == self._host:
            return [(socket.AF_UNIX, self._path)]
        found: list[tuple[int, Any]] = await self._others.resolve(host, port, family)
        return found


class Upstream:
    """Requests and WebSockets to the control plane, whichever process it is at the moment."""

    def __init__(
        self, log: logging.Logger | logging.LoggerAdapter[Any], *, autostart: bool = True
    ) -> None:
        self._log = log
        self._autostart = autostart
        self._endpoint: Endpoint | None = None
        self._finding: asyncio.Task[Endpoint] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._lines: set[WebSocketClientConnection] = set()

    @property
    def known(self) -> bool:
        """Whether a control plane has been found: asking it something starts none."""
        return self._endpoint is not None

    def start(self) -> None:
        """Begin to keep a control plane alive, in the background."""
        if self._autostart and self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Let go of it. It stops by itself when nobody is left and nothing runs."""
        for task in (self._watching, self._finding):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        lines = tuple(self._lines)
        for line in lines:
            self.hang_up(line)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await asyncio.gather(*(_ended(line) for line in lines), return_exceptions=True)

    async def endpoint(self) -> Endpoint:
        """Where the control plane is now; starts one if need be. Many callers share one search.

        Raises:
            SupervisorError: there is none, and none could be started.
        """
        if self._endpoint is not None:
            return self._endpoint
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(asyncio.to_thread(find_or_start))
        try:
            self._endpoint = await asyncio.shield(self._finding)
        except OSError as error:
            raise StartFailed(
                f"the control plane could not be started: {error}. Mend that, or set FLYTE_JUPYTER_DATA_DIR"
            ) from error
        return self._endpoint

    async def open(self, method: str, target: str, headers: dict[str, str]) -> Exchange:
        """Begin to pass one request on; to a new control plane if the old one is gone.

        Raises:
            SupervisorError: there is none, and none could be started.
        """
        endpoint = await self.endpoint()
        try:
            stream = await connect(endpoint)
        except OSError:
            self._forget(endpoint)
            endpoint = await self.endpoint()
            try:
                stream = await connect(endpoint)
            except OSError as error:
                raise _silent(endpoint, error) from error
        exchange = Exchange(stream)
        wanted = HTTPHeaders(headers_for(endpoint, headers))
        wanted["Host"] = endpoint.host
        wanted["Connection"] = "close"
        prefix = "" if endpoint.socket_path else urlsplit(endpoint.url).path.rstrip("/")
        try:
            await exchange.begin(method, prefix + target, wanted)
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def ask(self, target: str) -> Collected:
        """Read something small. Raises `SupervisorError`."""
        exchange = await self.open("GET", target, {})
        try:
            said = Collected()
            await exchange.answer(said)
            return said
        finally:
            exchange.close()

    async def connect(self, path: str) -> WebSocketClientConnection:
        """Open a WebSocket to the control plane; `hang_up` ends it.

        Raises:
            SupervisorError: there is none, and none could be started.
        """
        endpoint = await self.endpoint()
        try:
            line = await self._connect(endpoint, path)
        except (OSError, HTTPClientError, WebSocketError):
            self._forget(endpoint)
            endpoint = await self.endpoint()
            try:
                line = await self._connect(endpoint, path)
            except (OSError, HTTPClientError, WebSocketError) as error:
                raise _silent(endpoint, error) from error
        self._lines.add(line)
        return line

    def hang_up(self, line: WebSocketClientConnection) -> None:
        """End a WebSocket."""
        self._lines.discard(line)
        line.close()

    def _forget(self, endpoint: Endpoint) -> None:
        if self._endpoint is endpoint:
            self._endpoint = None

    async def _connect(self, endpoint: Endpoint, path: str) -> WebSocketClientConnection:
        base = f"http://{endpoint.host}" if endpoint.socket_path else endpoint.url.rstrip("/")
        request = HTTPRequest(
            "ws" + base.removeprefix("http") + path,
            headers=HTTPHeaders(headers_for(endpoint)),
            connect_timeout=CONNECT_SECONDS,
        )
        return await websocket_connect(
            request,
            resolver=_resolver(endpoint),
            ping_interval=30,
            max_message_size=LARGEST_FRAME,
        )

    async def _watch(self) -> None:
        pause, said = FIRST_PAUSE, ""
        loop = asyncio.get_running_loop()
        while True:
            try:
                line = await self.connect("/x/v1/events")
            except SupervisorError as error:
                if str(error) != said:  # once, and not again with each attempt
                    said = str(error)
                    self._log.warning("flyte-jupyter: %s", said)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            said, since, endpoint = "", loop.time(), self._endpoint
            try:
                await _ended(line)
            finally:
                self.hang_up(line)
            self._log.info("flyte-jupyter: the control plane ended; looking for it again")
            if endpoint is not None:
                self._forget(endpoint)
            if loop.time() - since > STEADY_SECONDS:
                pause = FIRST_PAUSE
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)


async def _ended(line: WebSocketClientConnection) -> None:
    while await line.read_message() is not None:
        pass


def _silent(endpoint: Endpoint, error: Exception) -> ControlPlaneUnreachable:
    return ControlPlaneUnreachable(
        f"the control plane at {endpoint.url} does not answer ({error or type(error).__name__}): "
        "`flyte-jupyter doctor` looks for the reason"
    )


def _resolver(endpoint: Endpoint) -> Any:
    if endpoint.socket_path is None:
        return None
    return UnixResolver(path=endpoint.socket_path, host=endpoint.host)
