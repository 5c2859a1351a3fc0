"""Frames on a zygote's socket: a 4-byte big-endian length, then UTF-8 JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

Message = dict[str, Any]

_LENGTH = struct.Struct(">I")
MOST_BYTES = 64 * 1024 * 1024


class BadFrame(Exception):
    """The peer sent something that is no frame: the connection cannot go on."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One message as a frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes. Raises `BadFrame`."""
        self._held += data
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > MOST_BYTES:
                raise BadFrame(f"a frame of {length} bytes; at most {MOST_BYTES} are allowed")
            end = _LENGTH.size + length
            if len(self._held) < end:
                return
            body = bytes(self._held[_LENGTH.size : end])
            del self._held[:end]
            yield _parsed(body)


def _parsed(body: bytes) -> Message:
    try:
        message = json.loads(body)
    except ValueError as e:
        raise BadFrame(f"a frame that is not JSON: {e}") from e
    if not isinstance(message, dict):
        raise BadFrame("a frame that is not a JSON object")
    return message
