"""What a zygote remembers of its attempts on disk, for whoever comes after it or after the control plane."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOURNAL = "journal"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_MOST_BYTES = 1024 * 1024
_text = json.JSONEncoder().encode
_quoted = json.encoder.encode_basestring_ascii


@dataclass(slots=True)
class Ended:
    """How a process ended: an exit status, or the number of the signal that ended it, after `ran` seconds.

    `limit` and `held` are bytes, of one that was killed for its memory; `outputs` are those that it handed back, in base64.
    """

    code: int | None
    signal: int | None
    ran: float = 0.0
    cause: str = ""
    """Why it was killed, in a word of `watch`; empty when nobody here did it."""
    limit: int = 0
    held: int = 0
    outputs: str | None = None

    @classmethod
    def of(cls, status: int) -> Ended:
        """From a status as `os.waitstatus_to_exitcode` gives it."""
        return cls(status, None) if status >= 0 else cls(None, -status)

    @classmethod
    def heard(cls, message: Mapping[str, Any]) -> Ended:
        """From what a worker says of an attempt. Raises `KeyError`, `TypeError` or `ValueError`."""
        outputs = message.get("outputs")
        return cls(int(message["code"]), None, outputs=None if outputs is None else str(outputs))

    def wire(self) -> dict[str, Any]:
        """As it travels."""
        found: dict[str, Any] = {"code": self.code, "signal": self.signal, "ran": self.ran}
        if self.outputs is not None:
            found["outputs"] = self.outputs
        why = {"cause": self.cause, "limit": self.limit, "held": self.held}
        return found | why if self.cause else found

    def text(self) -> str:
        """The same in JSON, most often by hand, which takes a third of the time."""
        if self.code is None or self.cause:
            return _text(self.wire())
        handed = "" if self.outputs is None else f', "outputs": {_quoted(self.outputs)}'
        return f'{{"code": {self.code}, "signal": null, "ran": {self.ran}{handed}}}'


@dataclass(slots=True)
class Record:
    """One attempt. `identity` tells its process from a later one with the same number; `started` is in Unix seconds."""

    key: str
    pid: int
    identity: str
    started: float
    exit: Ended | None = None
    how: str = "null"
    """`exit` in JSON."""

    def end(self, ended: Ended) -> None:
        """Its process has ended."""
        ended.ran = int(max(0.0, time.time() - self.started) * 1e6) / 1e6
        self.exit, self.how = ended, ended.text()

    def farewell(self, following: str = "") -> str:
        """The ``ended`` message of one that is over, in JSON; `following` is the attempt that its slot goes to."""
        text = f'{{"op":"ended","key":"{self.key}","pid":{self.pid}'
        if following:
            text += f',"next":"{following}"'
        return f"{text},{self.how[1:]}"

    def line(self) -> str:
        """As it is kept: what `wire` gives, in JSON. A key needs no quoting, since it is one (`is_key`)."""
        who = f'"key": "{self.key}", "pid": {self.pid}, "identity": {_quoted(self.identity)}'
        return f'{{{who}, "started": {self.started!r}, "exit": {self.how}}}'

    def wire(self) -> dict[str, Any]:
        """As it travels."""
        return {
            "key": self.key,
            "pid": self.pid,
            "identity": self.identity,
            "started": self.started,
            "exit": self.exit.wire() if self.exit else None,
        }


class Records:
    """A journal in a folder: a line for each start, end and farewell of an attempt, of which the last one of a key counts.

    A line that was cut short is passed over by readers, and the next one begins anew. Starts and farewells wait for an end, or for
    `flush`: they are told to nobody, and cost most of what it takes to write them by being written one by one.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._path = str(folder / JOURNAL)
        self._live: dict[str, Record] = {}
        self._fd = -1
        self._size = 0
        self._torn = False
        self._lines: list[str] = []

    def keep(self, record: Record) -> None:
        """Keep the record, in place of an earlier one of the same attempt; on disk, as far as the disk takes it, if that is over."""
        self._live[record.key] = record
        self._lines.append(record.line())
        if record.exit is not None:
            self.flush()

    def forget(self, key: str) -> None:
        """There is no such attempt any more."""
        if self._live.pop(key, None) is not None:
            self._lines.append(f'{{"key": "{key}", "gone": true}}')

    def flush(self) -> None:
        """Have on disk what the disk takes of what is kept and forgotten."""
        if not self._lines:
            return
        lines, self._lines = "\n".join(self._lines), []
        try:
            self._append(lines)
            if self._size > _MOST_BYTES:
                self._write_anew()
        except OSError:  # a full disk costs no attempt
            return

    def _append(self, lines: str) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, _FLAGS, 0o600)
        data = f"\n{lines}\n".encode() if self._torn else f"{lines}\n".encode()
        self._torn = True
        if os.write(self._fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False
        self._size += len(data)

    def _write_anew(self) -> None:
        """Leave out what is over."""
        lines = [record.line() + "\n" for record in self._live.values()]
        part = f"{self._path}.part"
        with open(part, "w", encoding="utf-8") as file:  # noqa: PTH123  # as above
            file.writelines(lines)
        os.replace(part, self._path)  # noqa: PTH105
        os.close(self._fd)
        self._fd, self._size = -1, 0


class Attempts:
    """The attempts that a zygote knows. A full disk costs none of them: only their adoption, should the zygote die then."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[str, Record] = {}

    def get(self, key: str) -> Record | None:
        """One of them."""
        return self._known.get(key)

    def begin(self, key: str, pid: int, identity: str) -> None:
        """An attempt begins in this process."""
        record = self._known[key] = Record(key, pid, identity, time.time())
        self._records.keep(record)

    def end(self, key: str, ended: Ended) -> Record | None:
        """An attempt is over. Its record, on disk by then; None when there is no such attempt."""
        record = self._known.get(key)
        if record is not None:
            record.end(ended)
            self._records.keep(record)
        return record

    def forget(self, key: str) -> None:
        """Whoever is interested knows how it ended; nothing while it goes on."""
        record = self._known.get(key)
        if record and record.exit is not None:
            del self._known[key]
            self._records.forget(key)

    def wire(self) -> list[dict[str, Any]]:
        """All of them, as they travel."""
        return [record.wire() for record in self._known.values()]


def is_key(text: object) -> bool:
    """Whether this may be an attempt's key, which is a file name too: letters, digits, ``-`` and ``_``."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= 128  # noqa: PLR2004  # far below what any file system allows
        and text.isascii()
        and text.replace("-", "").replace("_", "").isalnum()
    )
