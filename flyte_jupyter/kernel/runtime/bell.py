"""What wakes a zygote's selector when something has become of a child."""

from __future__ import annotations

import os
import selectors
import signal
from contextlib import suppress


class Bell:
    """Rung by each signal about a child, also by one that comes just before the selector waits."""

    def __init__(self) -> None:
        self._rung = True

    def hang(self, selector: selectors.BaseSelector) -> None:
        """Have the selector woken from now on."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        selector.register(reader, selectors.EVENT_READ, lambda _: self._ring(reader))

    def heard(self) -> bool:
        """Whether it has rung since this was last asked; at first it has."""
        rung, self._rung = self._rung, False
        return rung

    def _ring(self, reader: int) -> None:
        self._rung = True
        with suppress(BlockingIOError):
            os.read(reader, 4096)
