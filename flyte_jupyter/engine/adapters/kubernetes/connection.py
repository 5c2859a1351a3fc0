"""The connection to a real API server, with the official client's credentials, TLS and connection pool.

Its typed objects are left out: they cost milliseconds a pod. Needs the ``kubernetes`` extra.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from flyte_jupyter.engine.adapters.kubernetes.api import Answer, Call, Refused, Silent, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.credentials import Credentials, read_credentials
from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings
from flyte_jupyter.engine.ports import Clock

log = logging.getLogger(__name__)

_FIRST_BAD = 300
_STDIN, _STDOUT = b"\x00", b"\x01"
_MOST_INPUT = 32 * 1024
_HEARTBEAT = 20.0
_UNKNOWN = 401
_BEARER = "BearerToken"
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_NO_LIMIT = 0
"""Connections: their users have bounds of their own."""


async def connect(settings: ConnectionSettings, clock: Clock) -> KubernetesConnection:
    """Read the configuration. Nothing is sent yet. Raises `NoCluster`."""
    credentials = await read_credentials(settings, clock)
    made = credentials.configuration
    made.retries = None
    # Asked here, once: left to the client, two threads would look for proxies and for ~/.netrc at every request.
    made.proxy = made.proxy or _proxy(made.host)
    made.client_session_kwargs = {"trust_env": False}
    return KubernetesConnection(credentials)


def _proxy(server: str) -> str | None:
    """The proxy that the environment names for this server (``HTTPS_PROXY``, ``NO_PROXY``, ...)."""
    parts = urlsplit(server)
    if proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


class KubernetesConnection:
    """A `Transport` over the official client's asyncio connections."""

    def __init__(self, credentials: Credentials) -> None:
        from kubernetes.aio import client

        self._credentials = credentials
        self._client = client.ApiClient(configuration=credentials.configuration)
        # Who follows keeps a connection for as long as it follows: among the others, no request would get one any more.
        self._streams = client.ApiClient(configuration=credentials.configuration)
        self._streams.rest_client.maxsize = _NO_LIMIT
        self._certificate = credentials.certificate
        self._retired: list[Any] = []
        """Sessions whose connections are known by an earlier certificate, with what is still under way on them."""

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._client.configuration.host)

    async def call(self, call: Call) -> Answer:
        """Ask and wait for the whole answer, whatever its status."""
        from aiohttp import ClientError

        try:
            answer = await self._send(self._client, call, _within(call.seconds))
            body = await answer.read()
        except (ClientError, OSError, TimeoutError) as error:
            raise _unreachable(call, error) from error
        return Answer(answer.status, body, answer.headers.get("Retry-After", ""))

    async def stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Pieces of an answer as they come."""
        from aiohttp import ClientError, ClientTimeout

        patience = ClientTimeout(total=None, sock_connect=30.0, sock_read=call.seconds)
        answer = None
        try:
            answer = await self._send(self._streams, call, patience)
            if answer.status >= _FIRST_BAD:
                body = await answer.read()
                retry_after = answer.headers.get("Retry-After", "")
                raise Refused(call, Answer(answer.status, body, retry_after))
            while piece := await answer.content.readany():
                yield piece
        except TimeoutError as error:
            raise Silent(f"{call.path}: nothing came for {call.seconds:g} s") from error
        except (ClientError, OSError) as error:
            raise _unreachable(call, error) from error
        finally:
            if answer is not None:
                _hang_up(answer)

    async def execute(self, call: Call, command: Sequence[str]) -> PodProgram:
        """Run a program in a container, over a WebSocket."""
        from aiohttp import ClientError, WSServerHandshakeError

        try:
            known = await self._credentials.current()
            try:
                return PodProgram(call, await self._open(call, command))
            except WSServerHandshakeError as error:
                if error.status != _UNKNOWN or not await self._credentials.replaced(known):
                    raise
            return PodProgram(call, await self._open(call, command))
        except WSServerHandshakeError as error:
            raise Refused(call, Answer(error.status, error.message.encode())) from error
        except (ClientError, OSError, TimeoutError) as error:
            raise _unreachable(call, error) from error

    async def _open(self, call: Call, command: Sequence[str]) -> Any:
        from aiohttp import ClientWSTimeout

        await self._certify()
        headers, words = await self._words(call)
        headers |= {"Accept": "*/*"}
        words += [("command", word) for word in command]
        host = self._client.configuration.host.replace("http", "ws", 1)
        async with asyncio.timeout(call.seconds):
            return await _session_of(self._streams).ws_connect(
                f"{host}{call.path}?{urlencode(words)}",
                headers=headers,
                **_way(self._client.configuration),
                protocols=("v4.channel.k8s.io",),
                heartbeat=_HEARTBEAT,
                max_msg_size=0,
                timeout=ClientWSTimeout(ws_close=1.0),
            )

    async def close(self) -> None:
        """Close all connections, without waiting for the server's good-bye."""
        await self._credentials.close()
        for client in (self._client, self._streams):
            await _hang_up_all(client.rest_client.pool_manager)
            await client.close()  # type: ignore[no-untyped-call]
        for session in self._retired:
            await _hang_up_all(session)
            await session.close()
        await asyncio.sleep(0)  # the loop lets go of aborted connections in its next round

    async def _words(self, call: Call) -> tuple[dict[str, str], list[tuple[str, str]]]:
        """Headers and query of a request, with who we are."""
        from kubernetes.aio.config import ConfigException

        headers = {"Accept": "application/json", "Content-Type": call.content_type}
        headers["User-Agent"] = "flyte-jupyter"
        try:
            known = (await self._client.configuration.auth_settings()).get(_BEARER)
        except (ConfigException, OSError) as error:  # a pod's token is just being replaced
            raise _unreachable(call, error) from error
        if known is not None and known["value"]:
            # A token's file may end in a newline, which no header may.
            headers[known["key"]] = known["value"].strip()
        return headers, list(call.query.items())

    async def _send(self, client: Any, call: Call, patience: Any) -> Any:
        """Send, and once more where the server does not know us, and we have other credentials by then."""
        known = await self._credentials.current()
        answer = await self._send_once(client, call, patience)
        if answer.status != _UNKNOWN or not await self._credentials.replaced(known):
            return answer
        await answer.read()
        return await self._send_once(client, call, patience)

    async def _certify(self) -> None:
        """With another certificate come other connections: who we are is settled when one is made."""
        if self._certificate == self._credentials.certificate:
            return
        self._certificate = self._credentials.certificate
        retired, self._retired = self._retired, []
        for client in (self._client, self._streams):
            rest, made = client.rest_client, client.configuration
            rest.ssl_context.load_cert_chain(made.cert_file, made.key_file)
            if rest.pool_manager is not None:
                self._retired.append(rest.pool_manager)
                rest.pool_manager = None
        for session in retired:
            await session.close()

    async def _send_once(self, client: Any, call: Call, patience: Any) -> Any:
        await self._certify()
        headers, words = await self._words(call)
        made = client.configuration
        url = made.host + call.path
        if words:
            url += "?" + urlencode(words)
        return await _session_of(client).request(
            call.method,
            url,
            data=None if call.body is None else _as_json(call.body),
            headers=headers,
            timeout=patience,
            **_way(made),
        )


class PodProgram:
    """A `Duplex`: a program in a container, over a WebSocket whose messages begin with the number of a stream."""

    def __init__(self, call: Call, socket: Any) -> None:
        self._call = call
        self._socket = socket

    async def send(self, data: bytes) -> None:
        """To its standard input."""
        from aiohttp import ClientError

        try:
            for at in range(0, len(data), _MOST_INPUT):
                await self._socket.send_bytes(_STDIN + data[at : at + _MOST_INPUT])
        except (ClientError, OSError) as error:
            raise _unreachable(self._call, error) from error

    async def receive(self) -> bytes:
        """From its standard output; what it says on the other stream is only logged."""
        while True:
            message = await self._socket.receive()
            data = message.data
            if not isinstance(data, bytes):
                raise Unreachable(f"{self._call.path}: the program has ended")
            if data[:1] == _STDOUT and len(data) > 1:
                return data[1:]
            if len(data) > 1:
                log.info("%s: %s", self._call.path, data[1:].decode(errors="replace").strip())

    async def close(self) -> None:
        """Hang up."""
        await self._socket.close()


def _session_of(client: Any) -> Any:
    """The client's session with its connections: its own way to it does and looks up much for each request."""
    rest = client.rest_client
    if rest.pool_manager is None:
        rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 - as its own WsApiClient does
    return rest.pool_manager


def _way(made: Any) -> dict[str, Any]:
    """How any request gets to the server: through which proxy, and by which name it must know itself."""
    return {
        "proxy": made.proxy or None,
        "proxy_headers": made.proxy_headers or None,
        "server_hostname": made.tls_server_name or None,
    }


@lru_cache
def _within(seconds: float) -> Any:
    from aiohttp import ClientTimeout

    return ClientTimeout(total=seconds)


def _as_json(body: object) -> bytes:
    return _ENCODER.encode(body).encode()


async def _hang_up_all(session: Any) -> None:
    """Close a session's connections without waiting for the server's good-bye."""
    if session is not None and session.connector is not None:
        await session.connector.close(abort_ssl=True)


def _hang_up(response: Any) -> None:
    """A stream is never read to its end; a polite end of its TLS would keep the connection for half a minute."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _unreachable(call: Call, error: BaseException) -> Unreachable:
    return Unreachable(f"{call.method} {call.path}: {error or type(error).__name__}")
