"""Whether anybody is there: what an idle control plane asks before it ends itself."""

from __future__ import annotations

from collections.abc import Callable


class Presence:
    """Open WebSockets, and when the last request was."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last = monotonic()
        self._open = 0

    def touch(self) -> None:
        """A request came."""
        self._last = self._monotonic()

    def enter(self) -> None:
        """A WebSocket was opened."""
        self._open += 1
        self.touch()

    def leave(self) -> None:
        """A WebSocket was closed."""
        self._open -= 1
        self.touch()

    def idle_seconds(self) -> float:
        """How long nobody has been there; 0 while a WebSocket is open."""
        return 0.0 if self._open else self._monotonic() - self._last
