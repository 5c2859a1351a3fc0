"""The Jupyter server's line to its control plane: found or started when needed, and again when it is gone.

One WebSocket is held open as long as the Jupyter server lives. It tells the control plane that somebody is there, and
its end is how we learn, without polling, that the control plane ended and a new one is wanted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.netutil import DefaultLoopResolver, Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

from flyte_jupyter.supervisor import (
    ControlPlaneUnreachable,
    Endpoint,
    SupervisorError,
    find_or_start,
)
from flyte_jupyter.supervisor.endpoint import headers_for

LARGEST_BODY = 1 << 30
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
REQUEST_SECONDS = 120.0


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
        self._client: SimpleAsyncHTTPClient | None = None
        self._finding: asyncio.Task[Endpoint] | None = None
        self._watching: asyncio.Task[None] | None = None

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
        if self._client is not None:
            self._client.close()

    async def endpoint(self) -> Endpoint:
        """Where the control plane is now; starts one if need be. Many callers share one search."""
        if self._endpoint is not None:
            return self._endpoint
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(asyncio.to_thread(find_or_start))
        self._endpoint = await asyncio.shield(self._finding)
        return self._endpoint

    async def fetch(
        self, method: str, path: str, *, body: bytes | None, headers: dict[str, str]
    ) -> HTTPResponse:
        """Pass one request on; once more to a new control plane if the old one is gone.

        Raises:
            SupervisorError: there is none, and none could be started.
        """
        endpoint = await self.endpoint()
        try:
            return await self._fetch(endpoint, method, path, body, headers)
        except (ConnectionRefusedError, FileNotFoundError):
            self._forget(endpoint)
            try:
                return await self._fetch(await self.endpoint(), method, path, body, headers)
            except OSError as error:
                raise ControlPlaneUnreachable(
                    f"the control plane does not answer: {error}"
                ) from error
        except OSError as error:
            self._forget(endpoint)
            raise ControlPlaneUnreachable(
                f"the control plane went away in the middle of a request ({error}): try again"
            ) from error

    async def connect(self, path: str) -> WebSocketClientConnection:
        """Open a WebSocket to the control plane."""
        endpoint = await self.endpoint()
        try:
            return await self._connect(endpoint, path)
        except OSError:
            self._forget(endpoint)
            return await self._connect(await self.endpoint(), path)

    def _forget(self, endpoint: Endpoint) -> None:
        if self._endpoint is endpoint:
            self._endpoint = None
            if self._client is not None:
                self._client.close()
                self._client = None

    async def _fetch(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> HTTPResponse:
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(
                force_instance=True,
                max_clients=64,
                resolver=_resolver(endpoint),
                max_body_size=LARGEST_BODY,
            )
        request = HTTPRequest(
            _base(endpoint) + path,
            method=method,
            body=body,
            headers=HTTPHeaders(headers_for(endpoint, headers)),
            allow_nonstandard_methods=True,
            follow_redirects=False,
            decompress_response=False,
            request_timeout=REQUEST_SECONDS,
        )
        return await self._client.fetch(request, raise_error=False)

    async def _connect(self, endpoint: Endpoint, path: str) -> WebSocketClientConnection:
        base = "ws" + _base(endpoint).removeprefix("http")
        request = HTTPRequest(
            base + path, headers=HTTPHeaders(headers_for(endpoint)), connect_timeout=10
        )
        return await websocket_connect(request, resolver=_resolver(endpoint), ping_interval=30)

    async def _watch(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                line = await self.connect("/x/v1/events")
            except (SupervisorError, OSError) as error:
                self._log.warning("flyte-jupyter: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            while await line.read_message() is not None:
                pass
            self._log.info("flyte-jupyter: the control plane ended; looking for it again")
            if self._endpoint is not None:
                self._forget(self._endpoint)


def _base(endpoint: Endpoint) -> str:
    return f"http://{endpoint.host}" if endpoint.socket_path else endpoint.url.rstrip("/")


def _resolver(endpoint: Endpoint) -> Any:
    if endpoint.socket_path is None:
        return None
    return UnixResolver(path=endpoint.socket_path, host=endpoint.host)
