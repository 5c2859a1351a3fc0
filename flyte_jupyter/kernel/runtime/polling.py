"""The selector of a zygote's loop, which comes round twice for each attempt."""

from __future__ import annotations

import selectors
import sys

if sys.platform == "linux":
    from select import EPOLLIN, EPOLLOUT

    class Selector(selectors.EpollSelector):
        """The standard library's, which takes longer over what the system has told than the system takes to tell it."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """What is ready, within so many seconds; None waits for ever."""
            keys = self._fd_to_key  # type: ignore[attr-defined]
            ready = []
            for fd, seen in self._selector.poll(timeout, len(keys) or 1):  # type: ignore[attr-defined]
                key = keys.get(fd)
                if key is not None:
                    # As there: an error or a hang-up is for whoever reads or writes to find.
                    reads = selectors.EVENT_READ if seen & ~EPOLLOUT else 0
                    writes = selectors.EVENT_WRITE if seen & ~EPOLLIN else 0
                    ready.append((key, (reads | writes) & key.events))
            return ready
else:
    Selector = selectors.DefaultSelector
