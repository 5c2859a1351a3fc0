"""MessagePack, as far as Flyte uses it: the encoding inside ``Scalar.binary`` literals tagged ``msgpack``.

Only None, bool, int, float, str, bytes, list (and tuple) and dict. Strict: a size that the data
cannot hold, trailing bytes, nesting deeper than `MOST_DEEP` and extension types are errors.
"""

from __future__ import annotations

import struct
from typing import Any

TAG = "msgpack"
"""The tag of a ``Scalar.binary`` that holds MessagePack (Flyte's convention)."""

MOST_DEEP = 200


class MsgpackError(ValueError):
    """The bytes are not the MessagePack that is spoken here, or the value has no such encoding."""


def packb(value: Any) -> bytes:
    """Encode a value; map entries keep their order. Raises `MsgpackError` naming what cannot be."""
    out = bytearray()
    _pack(value, out, 0)
    return bytes(out)


def unpackb(data: bytes) -> Any:
    """Decode exactly one value. Raises `MsgpackError` with the byte offset of what is wrong."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise MsgpackError(f"{len(data) - reader.at} bytes follow the value at byte {reader.at}")
    return value


def _pack(value: Any, out: bytearray, depth: int) -> None:
    if depth > MOST_DEEP:
        raise MsgpackError(f"the value is nested deeper than {MOST_DEEP}")
    match value:
        case None:
            out.append(0xC0)
        case bool():
            out.append(0xC3 if value else 0xC2)
        case int():
            _pack_int(value, out)
        case float():
            out += struct.pack(">Bd", 0xCB, value)
        case str():
            _pack_text(value.encode(), out)
        case bytes() | bytearray() | memoryview():
            raw = bytes(value)
            _pack_size(len(raw), (0xC4, 0xC5, 0xC6), out)
            out += raw
        case _:
            _pack_nested(value, out, depth)


def _pack_nested(value: Any, out: bytearray, depth: int) -> None:
    match value:
        case list() | tuple():
            _pack_short(len(value), (0x90, 0x0F, 0xDC, 0xDD), out)
            for item in value:
                _pack(item, out, depth + 1)
        case dict():
            _pack_short(len(value), (0x80, 0x0F, 0xDE, 0xDF), out)
            for key, item in value.items():
                _pack(key, out, depth + 1)
                _pack(item, out, depth + 1)
        case _:
            raise MsgpackError(f"a {type(value).__name__} has no MessagePack encoding here")


def _pack_int(value: int, out: bytearray) -> None:
    if -32 <= value < 128:  # noqa: PLR2004 - the format's own one-byte range
        out += struct.pack("b" if value < 0 else "B", value)
        return
    unsigned = (("B", 0xCC), ("H", 0xCD), ("I", 0xCE), ("Q", 0xCF))
    signed = (("b", 0xD0), ("h", 0xD1), ("i", 0xD2), ("q", 0xD3))
    for form, code in unsigned if value >= 0 else signed:
        try:
            out += struct.pack(f">B{form}", code, value)
        except struct.error:
            continue
        return
    raise MsgpackError(f"the integer {value} needs more than 64 bits")


def _pack_text(raw: bytes, out: bytearray) -> None:
    if len(raw) < 32:  # noqa: PLR2004 - the format's own short form
        out.append(0xA0 | len(raw))
    else:
        _pack_size(len(raw), (0xD9, 0xDA, 0xDB), out)
    out += raw


def _pack_short(size: int, codes: tuple[int, int, int, int], out: bytearray) -> None:
    short, most, middle, large = codes
    if size <= most:
        out.append(short | size)
    else:
        _pack_size(size, (None, middle, large), out)


def _pack_size(size: int, codes: tuple[int | None, int, int], out: bytearray) -> None:
    for code, form, bits in zip(codes, ("B", "H", "I"), (8, 16, 32), strict=True):
        if code is not None and size < 1 << bits:
            out += struct.pack(f">B{form}", code, size)
            return
    raise MsgpackError(f"{size} items are more than MessagePack can count")


_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_SIZES = {
    0xC4: (">B", "bytes"),
    0xC5: (">H", "bytes"),
    0xC6: (">I", "bytes"),
    0xD9: (">B", "text"),
    0xDA: (">H", "text"),
    0xDB: (">I", "text"),
    0xDC: (">H", "list"),
    0xDD: (">I", "list"),
    0xDE: (">H", "map"),
    0xDF: (">I", "map"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class _Reader:
    """Reads one value after another from `data`, never past its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def value(self, depth: int) -> Any:
        if depth > MOST_DEEP:
            raise MsgpackError(f"nested deeper than {MOST_DEEP} at byte {self.at}")
        start = self.at
        code = self.take(1)[0]
        if code < 0x80:  # noqa: PLR2004 - the codes of this function are the format's
            return code
        if code >= 0xE0:  # noqa: PLR2004 - see above
            return code - 0x100
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            return self.number(_NUMBERS[code])
        if code in _SIZES:
            form, what = _SIZES[code]
            return self.sized(what, self.number(form), depth)
        if code < 0x90:  # noqa: PLR2004 - see above
            return self.sized("map", code & 0x0F, depth)
        if code < 0xA0:  # noqa: PLR2004 - see above
            return self.sized("list", code & 0x0F, depth)
        if code < 0xC0:  # noqa: PLR2004 - see above
            return self.sized("text", code & 0x1F, depth)
        raise MsgpackError(f"unknown code 0x{code:02x} at byte {start}")

    def sized(self, what: str, size: int, depth: int) -> Any:
        # Every item is at least one byte: a larger size is a lie, found before memory is spent.
        if size * (2 if what == "map" else 1) > len(self.data) - self.at:
            raise MsgpackError(f"{size} items announced at byte {self.at}, the data ends before")
        if what == "bytes":
            return self.take(size)
        if what == "text":
            return self.text(size)
        if what == "list":
            return [self.value(depth + 1) for _ in range(size)]
        return {self.key(depth + 1): self.value(depth + 1) for _ in range(size)}

    def key(self, depth: int) -> Any:
        start = self.at
        key = self.value(depth)
        if isinstance(key, list | dict):
            raise MsgpackError(f"a list or a map is a map's key at byte {start}")
        return key

    def text(self, size: int) -> str:
        start = self.at
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as error:
            raise MsgpackError(f"text that is not UTF-8 at byte {start}") from error

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise MsgpackError(f"the data ends at byte {len(self.data)}, {end} were expected")
        taken = self.data[self.at : end]
        self.at = end
        return taken
