"""Other processes that share the database file: each has a datagram socket in one folder, and a touch there means: look."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flyte_jupyter.supervisor.places import make_private, socket_folder

log = logging.getLogger(__name__)

_LONGEST_NAME = "0000000000-00000000.sock"


def folder_of(path: Path) -> Path:
    """Where the sockets of those are who share this file."""
    return socket_folder(path.with_name(f"{path.name}.neighbours"), _LONGEST_NAME)


class Neighbours:
    """Touches those who share a file, and hears their touches, on one event loop.

    A touch says nothing but that there is something to look at. One that is lost since the other's queue is full does no harm:
    the touches in that queue have not been heard yet.
    """

    def __init__(self, path: Path, heard: Callable[[], None]) -> None:
        """Listen; `heard` is called after one touch or several."""
        self._heard = heard
        self._folder = folder_of(path)
        self._own = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._due = False
        self._bind()
        self._loop.add_reader(self._socket, self._read)

    def _bind(self) -> None:
        for last in (False, True):
            try:
                make_private(self._folder)
                self._socket.bind(str(self._own))
            except FileNotFoundError:
                # The last of those before has just taken the folder away.
                if not last:
                    continue
                log.warning("news of other processes comes late: %s cannot be used", self._folder)
            except OSError as error:
                # Who shares the file looks at it now and then anyway.
                log.warning("news of other processes comes late: %s: %s", self._folder, error)
            return

    def touch(self) -> None:
        """Touch all others, once for all that asks for it in this turn of the event loop."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._send)

    def close(self) -> None:
        """Be no neighbour any more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._own.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()

    def _send(self) -> None:
        self._due = False
        with suppress(OSError):
            for name in os.listdir(self._folder):  # noqa: PTH208 - at every commit: names are all that is wanted
                if name != self._own.name:
                    self._send_to(self._folder / name)

    def _send_to(self, other: Path) -> None:
        try:
            self._socket.sendto(b"\0", str(other))
        except ConnectionRefusedError:
            # Its process is gone, and no other will ever have that name.
            other.unlink(missing_ok=True)
        except OSError:
            return

    def _read(self) -> None:
        with suppress(OSError):
            while True:
                self._socket.recv(16)
        self._heard()
