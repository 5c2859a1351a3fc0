"""What an attempt leaves in a worker that serves the next one too: put back where it can be, and where not the worker has to go."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the functions of `signal` look up a member of an enumeration for each handler
import operator
import os
import signal
import sys
import threading
from contextlib import suppress

# Not those for real time: nobody uses them, and each is asked for after every attempt.
_FIRST_REAL_TIME = getattr(signal, "SIGRTMIN", signal.NSIG)
_SIGNALS = [int(n) for n in sorted(signal.valid_signals()) if n < _FIRST_REAL_TIME]
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_NO_TIMERS = [(0.0, 0.0)] * len(_TIMERS)
# Started by whoever reads an object store, this runtime included; it does nothing by itself.
_HARMLESS = {"fsspecIO"}


class Before:
    """How a worker is before its first attempt."""

    def __init__(self) -> None:
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self._handlers = _handlers()

    def restore(self) -> bool:
        """Be so again. False when that is not possible, or when a timer was still to go off: what else it meant to do is not known."""
        # First: a signal that nobody handles any more would end the worker.
        idle = [_signal.setitimer(timer, 0) for timer in _TIMERS] == _NO_TIMERS
        os.umask(self._mask)
        return self._restore_streams() and self._restore_handlers() and idle

    def _flush(self) -> None:
        """Have what was printed on the streams of then in the log of this attempt."""
        for stream in self._streams[1:]:
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()

    def _restore_streams(self) -> bool:
        stdin, stdout, stderr = self._streams
        if not (sys.stdin is stdin and sys.stdout is stdout and sys.stderr is stderr):
            sys.stdin, sys.stdout, sys.stderr = self._streams
            self._flush()
        try:
            for stream in self._streams:
                if stream and stream.closed:
                    return False
        except ValueError:  # detached from what is below it
            return False
        return True

    def _restore_handlers(self) -> bool:
        found = _handlers()
        # Not by what they are equal to, which is the user's to say.
        if all(map(operator.is_, found, self._handlers)):
            return True
        changed = [n for n in range(len(_SIGNALS)) if found[n] is not self._handlers[n]]
        for at in changed:
            if self._handlers[at] is None or found[at] is None:
                return False  # not Python's: it cannot be put back
            with suppress(OSError, ValueError):
                signal.signal(_SIGNALS[at], self._handlers[at])  # type: ignore[arg-type]
        return True


def threads_left() -> bool:
    """Whether threads of the attempt still run."""
    if threading.active_count() == 1:
        return False
    main = threading.main_thread()
    return any(t is not main and t.name not in _HARMLESS for t in threading.enumerate())


def _handlers() -> list[object]:
    return [_signal.getsignal(number) for number in _SIGNALS]
