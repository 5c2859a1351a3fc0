"""An attempt's standard output and error: a pipe that the zygote empties into the log, up to a limit."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from flyte_jupyter.kernel.runtime.notes import note

_CHUNK = 64 * 1024
# A process that escaped its group may go on writing: what is taken at the end is bounded by more than a pipe can hold.
_MOST_AT_THE_END = 2 * 1024 * 1024


class Capture:
    """The reading end of a pipe and the log that it fills. `limit` is in bytes; what comes after it is discarded."""

    def __init__(self, reader: int) -> None:
        self.reader = reader
        self._log = -1
        self._path = ""
        self._room = 0
        self._limit = 0
        os.set_blocking(reader, False)

    def aim(self, log: str, limit: int) -> None:
        """From now on append to the file `log`, which is made with the first word. Without a file the output is dropped."""
        self._close_log()
        self._limit = self._room = limit
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
        if self._room <= 0 or not self._open():
            return
        kept = data[: self._room]
        self._room -= len(kept)
        with suppress(OSError):
            _write_all(self._log, kept)
            if self._room <= 0:
                said = f"\n[the log is truncated at {self._limit} bytes; the rest is discarded]\n"
                _write_all(self._log, said.encode())

    def _open(self) -> bool:
        if self._log < 0 and self._path:
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
            with suppress(OSError):  # some file systems say only now that the disk is full
                os.close(fd)


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
