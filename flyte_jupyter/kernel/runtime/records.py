"""What a zygote remembers of its attempts on disk, for whoever comes after it or after the control plane."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: an exit status, or the number of the signal that ended it, after `ran` seconds.

    `limit` and `held` are bytes, of one that was killed for its memory.
    """

    code: int | None
    signal: int | None
    ran: float = 0.0
    cause: str = ""
    """Why it was killed, in a word of `watch`; empty when nobody here did it."""
    limit: int = 0
    held: int = 0

    @classmethod
    def of(cls, status: int) -> Ended:
        """From a status as `os.waitstatus_to_exitcode` gives it."""
        return cls(status, None) if status >= 0 else cls(None, -status)

    def wire(self) -> dict[str, Any]:
        """As it travels."""
        found = {"code": self.code, "signal": self.signal, "ran": self.ran}
        why = {"cause": self.cause, "limit": self.limit, "held": self.held}
        return found | why if self.cause else found


@dataclass(frozen=True, slots=True)
class Record:
    """One attempt. `identity` tells its process from a later one with the same number; `started` is in Unix seconds."""

    key: str
    pid: int
    identity: str
    started: float
    exit: Ended | None = None

    def over(self, ended: Ended) -> Record:
        """The record of the same attempt now that its process has ended."""
        ran = max(0.0, time.time() - self.started)
        return replace(self, exit=replace(ended, ran=round(ran, 6)))

    def wire(self) -> dict[str, Any]:
        """As it travels and as it is kept."""
        return {
            "key": self.key,
            "pid": self.pid,
            "identity": self.identity,
            "started": self.started,
            "exit": self.exit.wire() if self.exit else None,
        }


class Records:
    """A folder with one file per attempt, each replaced in one step."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder

    def keep(self, record: Record) -> None:
        """Write the record, in place of an earlier one of the same attempt. Raises `OSError`."""
        # Strings: an attempt waits for this, twice.
        path = f"{self.folder}/{record.key}.json"
        part = f"{path}.part"
        with open(part, "wb") as file:  # noqa: PTH123
            file.write(json.dumps(record.wire()).encode())
        os.replace(part, path)  # noqa: PTH105

    def forget(self, key: str) -> None:
        """Remove the record if there is one."""
        self._path(key).unlink(missing_ok=True)

    def all(self) -> Iterator[Record]:
        """The records that can be read; a damaged file is passed over."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                found = json.loads(path.read_bytes())
                ended = found.pop("exit")
                yield Record(**found, exit=Ended(**ended) if ended else None)
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def is_key(text: object) -> bool:
    """Whether this may be an attempt's key, which is a file name too: letters, digits, ``-`` and ``_``."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= 128  # noqa: PLR2004  # far below what any file system allows
        and text.isascii()
        and text.replace("-", "").replace("_", "").isalnum()
    )
