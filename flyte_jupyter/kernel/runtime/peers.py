"""A zygote's connections. Nothing here ever waits: a control plane that is stopped must not stop its attempts."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flyte_jupyter.kernel.runtime import frames


class Peer:
    """One non-blocking connection with what is still to be sent."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._decoder = frames.Decoder()
        self._unsent = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether something is left to be sent."""
        return bool(self._unsent)

    def receive(self) -> Iterator[frames.Message]:
        """The messages that have arrived. Raises `ConnectionError` at the end, `frames.BadFrame` for nonsense."""
        try:
            data = self.socket.recv(256 * 1024)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("closed by the peer")
        yield from self._decoder.feed(data)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send now what can be sent now. A broken connection shows when it is read."""
        self._unsent += frames.encode(message)
        self.flush()

    def flush(self) -> None:
        """Send more of what is left."""
        try:
            while self._unsent:
                sent = self.socket.send(self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()


def bound(path: Path) -> socket.socket:
    """A listening socket that only its owner can reach."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(16)
    return listener
