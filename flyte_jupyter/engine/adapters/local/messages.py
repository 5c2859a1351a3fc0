"""How the frames to zygotes and the lines of journals are written and read: JSON, by the quickest writer that takes them."""

from __future__ import annotations

import json
from typing import Any

import orjson


def written(said: object) -> bytes:
    """A value as JSON."""
    try:
        return orjson.dumps(said)
    except TypeError:
        # Text with what could not be decoded, as a path may have, or a number of more than 64 bits.
        return in_ascii(said)


def in_ascii(said: object) -> bytes:
    """A value as JSON of plain ASCII, which no zygote makes longer when it passes it on."""
    return json.dumps(said, separators=(",", ":")).encode()


def read(text: bytes) -> Any:
    """A value from its JSON. Raises `ValueError`."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)  # which takes what `in_ascii` has written
