"""Speak HTTP to a control plane, over its Unix socket or over TCP."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import urlsplit

from flyte_jupyter.supervisor.errors import ControlPlaneUnreachable

Body = bytes | BinaryIO
"""What a request sends: in memory, or a file from where it stands, a part at a time."""
_PART = 256 * 1024
_MICRO = 1_000_000
HOST = "flyte-jupyter"
"""What clients of the Unix socket send as ``Host``."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a control plane answers: ``unix:///path/to/socket`` or ``http://host:port``."""

    url: str
    token: str = field(default="", repr=False)

    @property
    def socket_path(self) -> str | None:
        """The Unix socket's path, or None for TCP."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None

    @property
    def host(self) -> str:
        """The value of the ``Host`` header of requests to it."""
        return HOST if self.socket_path else urlsplit(self.url).netloc


def is_address(url: str) -> bool:
    """Whether a text can be an endpoint: ``unix:///path``, ``http://host:port`` or ``https://host:port``."""
    if url.startswith("unix://"):
        return url.startswith("unix:///") and len(url) > len("unix:///")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - asks, so that a port that is no number shows here
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")


def is_port(text: str) -> bool:
    """Whether a text is the number of a TCP port; sockets take a larger one for another."""
    return text.isascii() and text.isdecimal() and len(text) <= len("65535") and int(text) < 1 << 16


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(HOST, timeout=timeout, blocksize=_PART)
        self._path, self._patience = path, timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With a timeout Python's sockets don't block, and such a one is refused at once when many others stand in
        # the queue before it. The kernel waits for a place, this long.
        patience = struct.pack("@ll", *divmod(max(1, int(self._patience * _MICRO)), _MICRO))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self.sock.connect(self._path)
        self.sock.settimeout(self._patience)


def connect(endpoint: Endpoint, timeout: float = 60.0) -> http.client.HTTPConnection:
    """An unopened connection to the control plane, for those who send many requests."""
    if endpoint.socket_path:
        return _UnixConnection(endpoint.socket_path, timeout)
    parts = urlsplit(endpoint.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout, blocksize=_PART)


def headers_for(endpoint: Endpoint, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of a request: the caller's, and the token when there is one."""
    token = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    return {**token, **(headers or {})}


def request(
    endpoint: Endpoint,
    method: str,
    path: str,
    *,
    body: Body = b"",
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Response:
    """Send one request on a connection of its own.

    Raises:
        ControlPlaneUnreachable: nobody answers, or not within `timeout` seconds.
    """
    connection = connect(endpoint, timeout)
    try:
        connection.request(method, path, body=body or None, headers=headers_for(endpoint, headers))
        answer = connection.getresponse()
        return Response(answer.status, dict(answer.getheaders()), answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise ControlPlaneUnreachable(
            f"no control plane answers at {endpoint.url} ({error or type(error).__name__}): "
            "see `flyte-jupyter status`, and its log if it was running"
        ) from error
    finally:
        connection.close()
