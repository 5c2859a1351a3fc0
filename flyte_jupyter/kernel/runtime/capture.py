"""An attempt's standard output and error: a pipe that the zygote empties into the log, up to a limit.

A log is only ever appended to, so that it can be followed by offset. What is longer than it may be keeps its beginning, written as it
comes, and its end, which is held here until the attempt is over.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from flyte_jupyter.kernel.runtime.notes import note

_CHUNK = 64 * 1024
# A process that escaped its group may go on writing: what is taken at the end is bounded by more than a pipe can hold.
_MOST_AT_THE_END = 2 * 1024 * 1024
# Held in memory for each attempt that prints too much. A traceback is much shorter.
_LONGEST_TAIL = 256 * 1024
_LINE_BETWEEN = 200
# In UTF-8: how long a character may be, and which bytes are not the first of one.
_LONGEST_CHARACTER = 4
_KIND, _GOES_ON = 0xC0, 0x80


class Capture:
    """The reading end of a pipe and the log that it fills. `limit` is in bytes; what does not fit in between is left out."""

    def __init__(self, reader: int) -> None:
        self.reader = reader
        self._log = -1
        self._path = ""
        self._room = 0
        self._limit = 0
        self._tail = _Tail(0)
        os.set_blocking(reader, False)

    def aim(self, log: str, limit: int) -> None:
        """From now on append to the file `log`, which is made with the first word. Without a file the output is dropped."""
        self._close_log()
        self._limit = limit
        self._path = log

    def pump(self) -> bool:
        """Take what is there, at most one chunk. False when every writer has closed the pipe."""
        try:
            data = os.read(self.reader, _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._keep(data)
        return True

    def settle(self) -> None:
        """The attempt is over: take the rest of its output and close the log."""
        taken = 0
        while taken < _MOST_AT_THE_END:
            try:
                data = os.read(self.reader, _CHUNK)
            except BlockingIOError:
                break
            if not data:
                break
            taken += len(data)
            self._keep(data)
        self._close_log()

    def close(self) -> None:
        """Close the log and the pipe."""
        self._close_log()
        os.close(self.reader)

    def _keep(self, data: bytes) -> None:
        if not self._open():
            return
        fits = _boundary(data, self._room)
        self._room = 0 if fits < len(data) else self._room - fits
        with suppress(OSError):
            _write_all(self._log, data[:fits])
            if fits < len(data) and self._tail.keep(data[fits:]):
                said = f"\n[the log has reached its limit of {self._limit} bytes; its end follows when the attempt is over"
                _write_all(self._log, said.encode())

    def _open(self) -> bool:
        if self._log < 0 and self._path:
            self._tail = _Tail(min(_LONGEST_TAIL, self._limit // 4))
            self._room = self._limit - self._tail.most - min(_LINE_BETWEEN, self._limit // 4)
            try:
                self._log = _append_to(self._path)
            except OSError as e:  # a full disk, no permission
                note(f"no log at {self._path}: {e}")
            self._path = ""
        return self._log >= 0

    def _close_log(self) -> None:
        self._path = ""
        if self._log >= 0:
            fd, self._log = self._log, -1
            with suppress(OSError):
                _write_all(fd, self._tail.ended())
            with suppress(OSError):  # some file systems say only now that the disk is full
                os.close(fd)


class _Tail:
    """The end of an output, as far as it is no longer than `most` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held = bytearray()
        self._left_out = 0
        self._full = False

    def keep(self, data: bytes) -> bool:
        """Take more of it. Whether that is the first that makes it too long."""
        self._held += data
        full, self._full = self._full, self._full or len(self._held) > self.most
        if len(self._held) > 2 * self.most:  # not for each word
            self._leave_out(len(self._held) - self.most)
        return self._full and not full

    def ended(self) -> bytes:
        """What it came to: whole, or from the beginning of a line, after what finishes the line that was begun when it became too long."""
        if not self._full:
            return bytes(self._held)
        at = _boundary(self._held, len(self._held) - self.most)
        line = self._held.find(b"\n", at) + 1
        self._leave_out(line if 0 < line < len(self._held) else at)
        return f": {self._left_out} bytes are left out here]\n".encode() + self._held

    def _leave_out(self, size: int) -> None:
        del self._held[:size]
        self._left_out += size


def _boundary(data: bytes | bytearray, at: int) -> int:
    """The place, or one shortly before it, where no character is cut in two; the length of what is not that long."""
    if at >= len(data):
        return len(data)
    for near in range(at, max(-1, at - _LONGEST_CHARACTER), -1):
        if data[near] & _KIND != _GOES_ON:
            return near
    return at


def _append_to(log: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(log, flags, 0o600)
    except FileNotFoundError:
        Path(log).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(log, flags, 0o600)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
