"""What zygotes that are gone have left word of: the attempts in their records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_JOURNAL = "records/journal"


@dataclass(frozen=True, slots=True)
class Orphan:
    """The record of an attempt whose zygote is gone; `exit` as it travels, None when it had not ended."""

    folder: Path
    key: str
    pid: int
    identity: str
    exit: Mapping[str, Any] | None


def records_in(folder: Path) -> Iterator[Orphan]:
    """The attempts' records in a zygote's folder; a line that is none is passed over."""
    found: dict[str, Orphan] = {}
    try:
        lines = (folder / _JOURNAL).read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            said = json.loads(line)
            key = said["key"]
            if said.get("gone"):
                found.pop(key, None)
            else:
                pid = int(said["pid"])
                found[key] = Orphan(folder, key, pid, str(said["identity"]), said["exit"])
    yield from found.values()


def forget_record(orphan: Orphan) -> None:
    """Remove the record of an attempt whose zygote is gone."""
    with suppress(OSError), (orphan.folder / _JOURNAL).open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"key": orphan.key, "gone": True}) + "\n")
