"""Frames on a zygote's socket: a 4-byte big-endian length, then UTF-8 JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

Message = dict[str, Any]

_LENGTH = struct.Struct(">I")
MOST_BYTES = 64 * 1024 * 1024
# Made once: the functions of `json` make an encoder for each message, and look for its encoding.
_text = json.JSONEncoder(separators=(",", ":")).encode
_value = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


class BadFrame(Exception):
    """The peer sent something that is no frame: the connection cannot go on."""


def encode(message: Mapping[str, Any] | str) -> bytes:
    """One message as a frame; what is text is JSON already."""
    body = (message if isinstance(message, str) else _text(message)).encode()
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes. Raises `BadFrame`."""
        held = self._held
        if held:
            held += data
            # What is long comes in many pieces: they are put together once.
            if len(held) < _LENGTH.size or len(held) < _end(held, 0):
                return
            data = bytes(held)
            held.clear()
        at, size = 0, len(data)
        while size - at >= _LENGTH.size and (end := _end(data, at)) <= size:
            body, at = data[at + _LENGTH.size : end], end
            yield _parsed(body)
        if at < size:
            held += data[at:]


def _end(data: bytes | bytearray, at: int) -> int:
    """Where the frame ends that begins there. Raises `BadFrame`."""
    (length,) = _LENGTH.unpack_from(data, at)
    if length > MOST_BYTES:
        raise BadFrame(f"a frame of {length} bytes; at most {MOST_BYTES} are allowed")
    end: int = at + _LENGTH.size + length
    return end


def _parsed(body: bytes) -> Message:
    try:
        text = body.decode().strip()
        message, end = _value(text, 0)
        if end < len(text):
            raise BadFrame("a frame with something after its JSON")
    except (ValueError, StopIteration) as e:
        raise BadFrame(f"a frame that is not JSON: {e}") from e
    if not isinstance(message, dict):
        raise BadFrame("a frame that is not a JSON object")
    return message
