"""Protobuf messages as the REST API writes and reads them: JSON with proto field names, and query strings."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.well_known import float_text, time_text, well_known

MOST_NESTING = 100
_LONG = {
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT64,
}
_FLOATS = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}
_INTEGERS = _LONG | {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32}
_TIMES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}

Json = Any
"""What `json.dumps` takes."""


def to_json(message: Message) -> Json:
    """The message as JSON data: proto names, unset fields shown (absent messages as null), 64-bit integers as text.

    Members of a oneof and optional scalars appear only when they are set, as grpc-gateway has it.
    """
    if message.DESCRIPTOR.full_name.startswith("google.protobuf."):
        return well_known(message)
    out: dict[str, Json] = {}
    for name, presence, nullable, write in _writers(message.DESCRIPTOR):
        if presence and not message.HasField(name):
            if nullable:
                out[name] = None
            continue
        out[name] = write(getattr(message, name))
    return out


def to_json_bytes(message: Message) -> bytes:
    """`to_json` as UTF-8 text, without any character that HTML gives a meaning to."""
    text = json.dumps(to_json(message), separators=(",", ":"), ensure_ascii=False)
    return escape_html(text).encode()


def escape_html(text: str) -> str:
    """JSON text that stays inert when something takes it for HTML: ``<``, ``>`` and ``&`` written as escapes."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def from_json(text: bytes, into: Message) -> None:
    """Fill a message from JSON (proto names or camelCase). Raises `InvalidArgument` on anything malformed."""
    if not text.strip():
        return
    try:
        json_format.Parse(text, into, max_recursion_depth=MOST_NESTING)
    except (json_format.ParseError, RecursionError, ValueError, TypeError) as error:
        raise InvalidArgument(
            f"The body is not a {into.DESCRIPTOR.name} in JSON: {_short(error)}"
        ) from error


def from_binary(data: bytes, into: Message) -> None:
    """Fill a message from its binary form. Raises `InvalidArgument` on anything malformed."""
    try:
        into.ParseFromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise InvalidArgument(
            f"The body is not a {into.DESCRIPTOR.name} in binary form: {_short(error)}"
        ) from error


def set_fields(into: Message, values: Mapping[str, Sequence[str]]) -> None:
    """Fill fields named by dotted paths (``sort_by.key``) from text. Raises `InvalidArgument` naming the field."""
    for path, texts in values.items():
        _set_field(into, path, texts)


def _set_field(into: Message, path: str, texts: Sequence[str]) -> None:
    *parents, last = path.split(".")
    message = into
    for name in parents:
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None or field.message_type is None or field.is_repeated:
            raise InvalidArgument(f"{into.DESCRIPTOR.name} has no field {path!r}")
        message = getattr(message, name)
    field = message.DESCRIPTOR.fields_by_name.get(last)
    if field is None:
        raise InvalidArgument(f"{into.DESCRIPTOR.name} has no field {path!r}")
    if field.message_type is not None:
        _set_message(message, field, path, texts)
        return
    try:
        converted = [_scalar(field, text) for text in texts]
        if field.is_repeated:
            getattr(message, last).extend(converted)
        else:
            setattr(message, last, converted[-1])
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidArgument(f"Bad value for {path!r}: {_short(error)}") from error


def _set_message(message: Message, field: Any, path: str, texts: Sequence[str]) -> None:
    """Well-known types (timestamps, durations, wrappers) have a text form; other messages have none."""
    if field.is_repeated or not field.message_type.full_name.startswith("google.protobuf."):
        raise InvalidArgument(f"{path!r} is a message: name the fields inside it")
    try:
        json_format.Parse(json.dumps(texts[-1]), getattr(message, field.name))
    except json_format.ParseError as error:
        raise InvalidArgument(f"Bad value for {path!r}: {_short(error)}") from error


def _scalar(field: Any, text: str) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        known = field.enum_type.values_by_name.get(text.upper())
        if known is not None:
            return known.number
        if int(text) not in field.enum_type.values_by_number:
            raise ValueError(f"{text} is no {field.enum_type.name}")
        return int(text)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        if text.lower() not in _TRUTH:
            raise ValueError(f"{text!r} is neither true nor false")
        return _TRUTH[text.lower()]
    if kind in _INTEGERS:
        return int(text)
    if kind in _FLOATS:
        return float(text)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64decode(text, validate=True)
    return text


Writer = Callable[[Any], Json]


@cache
def _writers(of: Descriptor) -> Sequence[tuple[str, bool, bool, Writer]]:
    """How each field is written: name, whether it can be absent, whether absence is null, and the conversion."""
    rows = []
    for field in of.fields:
        message = field.message_type is not None and not field.is_repeated
        nullable = message and field.containing_oneof is None
        rows.append((field.name, field.has_presence, nullable, _writer(field)))
    return tuple(rows)


def _writer(field: Any) -> Writer:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = _single(field.message_type.fields_by_name["value"])
        return lambda entries: {_key(k): value(v) for k, v in entries.items()}
    single = _single(field)
    if field.is_repeated:
        return lambda items: [single(item) for item in items]
    return single


def _single(field: Any) -> Writer:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return time_text if field.message_type.full_name in _TIMES else to_json
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        names = field.enum_type.values_by_number
        return lambda number: names[number].name if number in names else number
    if kind in _LONG:
        return str
    if kind in _FLOATS:
        return float_text
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda data: base64.b64encode(data).decode()
    return lambda value: value


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _short(error: BaseException) -> str:
    return str(error)[:500] or type(error).__name__
