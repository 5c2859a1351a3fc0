"""Protobuf's own types in JSON, whatever is in them: what one client stored must not keep others from reading a list."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Seconds of the years 1 and 9999: texts of times go no further."""
_LONGEST = 315_576_000_000
"""Seconds: ten thousand years, and so long is the longest duration that has a text."""
_MOST_NANOS = 999_999_999


def time_text(message: Any) -> str:
    """A timestamp or duration as text; one that has no text, as binary messages may hold it, as the nearest that has one."""
    try:
        text: str = message.ToJsonString()
    except ValueError:
        text = _nearest(message).ToJsonString()
    return text


def float_text(number: float) -> float | str:
    """A number as JSON takes it: what is not finite is a text."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def well_known(message: Message) -> Any:
    """A structure, a time or a wrapper as the value that it stands for."""
    match message:
        case Struct():
            return {name: well_known(value) for name, value in message.fields.items()}
        case ListValue():
            return [well_known(value) for value in message.values]
        case Value():
            return _value(message)
        case Timestamp() | Duration():
            return time_text(message)
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    match kind:
        case None | "null_value":
            return None
        case "number_value":
            return float_text(value.number_value)
        case "struct_value" | "list_value":
            return well_known(getattr(value, kind))
    return getattr(value, kind)


def _nearest(message: Timestamp | Duration) -> Timestamp | Duration:
    if isinstance(message, Timestamp):
        return Timestamp(
            seconds=min(max(message.seconds, _FIRST), _LAST),
            nanos=min(max(message.nanos, 0), _MOST_NANOS),
        )
    seconds = min(max(message.seconds, -_LONGEST), _LONGEST)
    least = -_MOST_NANOS if seconds <= 0 else 0
    most = _MOST_NANOS if seconds >= 0 else 0
    return Duration(seconds=seconds, nanos=min(max(message.nanos, least), most))
