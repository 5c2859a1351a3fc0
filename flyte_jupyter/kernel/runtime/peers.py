"""A zygote's connections. Nothing here ever waits: a control plane that is stopped must not stop its attempts."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from flyte_jupyter.kernel.runtime import frames

_POST_SECONDS = 0.002
_MOST_AT_ONCE = 256 * 1024
# One for all, who are read one after the other: the system need not find room for each reading.
_inbox = memoryview(bytearray(_MOST_AT_ONCE))


class Peer:
    """One non-blocking connection with what is still to be sent."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._decoder = frames.Decoder()
        self._unsent = bytearray()
        self.send_at: float | None = None
        """When what was posted has to go, on the monotonic clock."""
        self.spoken = False
        """Whether it has said anything. Until then it is told nothing: an answer to its greeting comes first."""
        self.replaced = False
        """Whether another one has come after it, whose word counts from then on."""
        self.waiting = False
        """Whether something could not be sent yet."""
        self.wants_write = False
        """Whether the selector has been asked to tell when more can be sent."""

    def receive(self) -> Iterable[frames.Message]:
        """The messages that have arrived. Raises `ConnectionError` at the end, `frames.BadFrame` for nonsense."""
        try:
            size = self.socket.recv_into(_inbox)
        except BlockingIOError:
            return ()
        if not size:
            raise ConnectionResetError("closed by the peer")
        return self._decoder.feed(bytes(_inbox[:size]))

    def send(self, message: Mapping[str, Any] | str) -> None:
        """Send now what can be sent now. A broken connection shows when it is read."""
        self._unsent += frames.encode(message)
        self.flush()

    def post(self, message: Mapping[str, Any] | str) -> None:
        """Send soon, with what else is sent until then: a short attempt's start and end wake the other side once."""
        if not self._unsent:
            self.send_at = time.monotonic() + _POST_SECONDS
        self._unsent += frames.encode(message)

    def pass_all(self, message: Mapping[str, Any]) -> bool:
        """Send the whole of it at once. False when that cannot be: nobody is there, or it is too long."""
        data = frames.encode(message)
        try:
            return self.socket.send(data) == len(data)
        except OSError:
            return False

    def want_write(self, selector: selectors.BaseSelector) -> None:
        """Have the selector tell when more can be sent, if there is more. Raises `KeyError` when it does not know this one."""
        wants = self.waiting
        if wants is self.wants_write:
            return
        key = selector.get_key(self.socket)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wants else 0)
        selector.modify(self.socket, events, key.data)
        self.wants_write = wants

    def flush(self) -> None:
        """Send more of what is left."""
        self.send_at = None
        try:
            while self._unsent:
                sent = self.socket.send(self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            self.waiting = True
            return
        except OSError:
            self._unsent.clear()
        self.waiting = False


class Peers:
    """All connections of a zygote, served by its selector; `answer` gets each message and who sent it, `gone` who has left."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        answer: Callable[[Peer, frames.Message], None],
        gone: Callable[[Peer], None],
    ) -> None:
        self._selector = selector
        self._answer = answer
        self._gone = gone
        self.all: list[Peer] = []
        """Those that there are now."""
        self._listener: socket.socket | None = None

    def listen(self, listener: socket.socket) -> None:
        """Take in whoever connects."""
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, lambda _: self._accept(listener))

    @property
    def next_at(self) -> float | None:
        """When something posted has to go, on the monotonic clock; None when nothing has."""
        soonest = None
        for peer in self.all:
            at = peer.send_at
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        return soonest

    def send_due(self) -> None:
        """Send what was posted long enough ago."""
        for peer in self.all:
            if peer.send_at is not None and peer.send_at <= time.monotonic():
                peer.flush()
                peer.want_write(self._selector)

    def tell_all(self, message: Mapping[str, Any] | str) -> None:
        """Send to everybody who listens now."""
        for peer in self.all:
            if peer.spoken:
                peer.send(message)
                peer.want_write(self._selector)

    def replace(self, by: Peer) -> None:
        """From now on only this one's word counts; the others are told what happens, and may come again."""
        for peer in self.all:
            peer.replaced = peer is not by

    def post_all(self, message: Mapping[str, Any] | str) -> None:
        """Send to everybody soon."""
        for peer in self.all:
            if peer.spoken:
                peer.post(message)

    def abandon(self) -> None:
        """Close everything in a forked child, whose selector is its parent's."""
        if self._listener:
            self._listener.close()
        for peer in self.all:
            peer.socket.close()

    def _accept(self, listener: socket.socket) -> None:
        # Without room for one more file the connection waits, and so does its other end.
        with suppress(OSError):
            connection, _address = listener.accept()
            peer = Peer(connection)
            self.all.append(peer)
            hear = partial(self._converse, peer)
            self._selector.register(connection, selectors.EVENT_READ, hear)

    def _converse(self, peer: Peer, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            peer.flush()
        if events & selectors.EVENT_READ:
            try:
                for message in peer.receive():
                    peer.spoken = True
                    self._answer(peer, message)
            except (OSError, frames.BadFrame):
                self._drop(peer)
                return
        peer.want_write(self._selector)

    def _drop(self, peer: Peer) -> None:
        self._selector.unregister(peer.socket)
        peer.socket.close()
        self.all.remove(peer)
        self._gone(peer)


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
