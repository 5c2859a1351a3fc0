"""int, float, str, bool, None, datetime and timedelta."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import Unfit, shown
from flyte_jupyter.kernel.types.registry import Converter, TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_INT64 = 2**63
_FIRST_SECOND = -62_135_596_800
"""0001-01-01, the first moment that a protobuf Timestamp can say."""
_LONGEST_DURATION = timedelta(seconds=315_576_000_000)
"""10,000 years, the longest protobuf Duration."""


@dataclass(frozen=True)
class Simple:
    """A converter made of three functions and a simple type."""

    name: str
    literal_type: core.LiteralType = field(repr=False)
    check: Callable[[Any], Any]
    to_literal: Callable[[Any], core.Literal]
    from_literal: Callable[[core.Literal], Any]

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """The literal of a value."""
        del storage
        return self.to_literal(self.check(value))

    def decode(self, literal: core.Literal, storage: Storage) -> Any:
        """The value of a literal."""
        del storage
        return self.from_literal(literal)


class Primitives:
    """The family of Flyte's simple types."""

    def __init__(self) -> None:
        self._by_type: dict[Any, Converter] = {
            int: _simple("int", core.SimpleType.INTEGER, check_int, _of_int),
            float: _simple("float", core.SimpleType.FLOAT, check_float, _of_float),
            str: _simple("str", core.SimpleType.STRING, check_str, _of_str),
            bool: _simple("bool", core.SimpleType.BOOLEAN, check_bool, _of_bool),
            datetime: _simple("datetime", core.SimpleType.DATETIME, check_datetime, _of_datetime),
            timedelta: _simple("timedelta", core.SimpleType.DURATION, check_timedelta, _of_delta),
            NoneType: _simple("None", core.SimpleType.NONE, check_none, _of_none),
        }
        self._by_simple = {
            converter.literal_type.simple: python_type
            for python_type, converter in self._by_type.items()
        }

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter of a simple type."""
        del registry
        return self._by_type.get(python_type)

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """Int for INTEGER, and so on."""
        del registry
        if literal_type.WhichOneof("type") != "simple":
            return None
        return self._by_simple.get(literal_type.simple)


def check_int(value: Any) -> int:
    """An integer of at most 64 bits; a bool is none."""
    if type(value) is not int:
        value = _without_numpy(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit("int", shown(value))
        value = int(value)
    if not -_INT64 <= value < _INT64:
        raise Unfit("int of at most 64 bits", shown(value), "Pass it as str")
    return int(value)


def check_float(value: Any) -> float:
    """A float, or an integer that a float can hold exactly."""
    if type(value) is float:
        return value
    value = _without_numpy(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("float", shown(value))
    try:
        exact = float(value)
    except OverflowError:
        raise Unfit("float", shown(value), "It is too large for a float") from None
    if isinstance(value, int) and exact != value:
        raise Unfit("float", shown(value), "A float cannot hold all its digits; say float(...)")
    return exact


def check_str(value: Any) -> str:
    """Text that is valid Unicode."""
    if not isinstance(value, str):
        raise Unfit("str", shown(value))
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unfit("str", shown(value), "It holds lone surrogates, which are no text") from None
    return str(value)


def check_bool(value: Any) -> bool:
    """True or False, nothing that merely counts as such."""
    value = _without_numpy(value)
    if not isinstance(value, bool):
        raise Unfit("bool", shown(value))
    return value


def check_none(value: Any) -> None:
    """Nothing but None."""
    if value is not None:
        raise Unfit("None", shown(value))


def check_datetime(value: Any) -> datetime:
    """A moment with a time zone; it arrives in UTC."""
    if not isinstance(value, datetime):
        raise Unfit("datetime", shown(value))
    if value.utcoffset() is None:
        raise Unfit(
            "datetime with a time zone",
            shown(value),
            "Say which zone it is in: value.replace(tzinfo=timezone.utc)",
        )
    if getattr(value, "nanosecond", 0):
        raise Unfit("datetime of whole microseconds", shown(value), "Round it: value.floor('us')")
    since = value - _EPOCH
    if since // _SECOND < _FIRST_SECOND or since > _LAST_MOMENT:
        raise Unfit("datetime between the years 1 and 9999 in UTC", shown(value))
    return _EPOCH + timedelta(
        days=since.days, seconds=since.seconds, microseconds=since.microseconds
    )


_LAST_MOMENT = datetime.max.replace(tzinfo=UTC) - _EPOCH


def check_timedelta(value: Any) -> timedelta:
    """A duration of at most 10,000 years."""
    if not isinstance(value, timedelta):
        raise Unfit("timedelta", shown(value))
    if abs(value) > _LONGEST_DURATION:
        raise Unfit("timedelta of at most 10,000 years", shown(value))
    if getattr(value, "nanoseconds", 0):
        raise Unfit("timedelta of whole microseconds", shown(value), "Round it: value.floor('us')")
    return timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)


def _without_numpy(value: Any) -> Any:
    """The Python scalar of a numpy scalar; anything else as it is. Never imports numpy."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return value
    return value.item()


def _scalar(**primitive: Any) -> core.Literal:
    return core.Literal(scalar=core.Scalar(primitive=core.Primitive(**primitive)))


def _simple(
    name: str,
    simple: core.SimpleType,
    check: Callable[[Any], Any],
    ways: tuple[Callable[[Any], core.Literal], Callable[[core.Literal], Any]],
) -> Simple:
    return Simple(name, core.LiteralType(simple=simple), check, *ways)


def _reader(name: str, **kinds: Callable[[core.Primitive], Any]) -> Callable[[core.Literal], Any]:
    """A function that reads the primitives named by `kinds` and refuses any other literal."""

    def read(literal: core.Literal) -> Any:
        primitive = literal.scalar.primitive
        take = kinds.get(primitive.WhichOneof("value") or "")
        if take is None:
            raise Unfit(name, literal_kind(literal))
        return take(primitive)

    return read


def literal_kind(literal: core.Literal) -> str:
    """A word for what a literal holds: ``integer``, ``collection``, ``none_type``."""
    kind = literal.WhichOneof("value")
    if kind != "scalar":
        return kind or "an empty literal"
    inner = literal.scalar.WhichOneof("value")
    if inner != "primitive":
        return inner or "an empty scalar"
    return literal.scalar.primitive.WhichOneof("value") or "an empty primitive"


def _datetime_literal(value: datetime) -> core.Literal:
    since = value - _EPOCH
    literal = _scalar()
    stamp = literal.scalar.primitive.datetime
    stamp.seconds = since.days * 86_400 + since.seconds
    stamp.nanos = since.microseconds * 1_000
    literal.scalar.primitive.datetime.SetInParent()
    return literal


def _read_datetime(primitive: core.Primitive) -> datetime:
    stamp = primitive.datetime
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1_000)


def _duration_literal(value: timedelta) -> core.Literal:
    # A protobuf Duration wants seconds and nanos of one sign; Python's microseconds are never negative.
    size = abs(value)
    sign = -1 if value < timedelta(0) else 1
    literal = _scalar()
    duration = literal.scalar.primitive.duration
    duration.seconds = sign * (size.days * 86_400 + size.seconds)
    duration.nanos = sign * size.microseconds * 1_000
    literal.scalar.primitive.duration.SetInParent()
    return literal


def _read_duration(primitive: core.Primitive) -> timedelta:
    duration = primitive.duration
    return timedelta(seconds=duration.seconds, microseconds=int(duration.nanos / 1_000))


def _read_none(literal: core.Literal) -> None:
    if literal.scalar.WhichOneof("value") != "none_type":
        raise Unfit("None", literal_kind(literal))


_of_int = (
    lambda value: _scalar(integer=value),
    _reader("int", integer=lambda primitive: primitive.integer),
)
_of_float = (
    lambda value: _scalar(float_value=value),
    _reader(
        "float",
        float_value=lambda primitive: primitive.float_value,
        integer=lambda primitive: check_float(primitive.integer),
    ),
)
_of_str = (
    lambda value: _scalar(string_value=value),
    _reader("str", string_value=lambda primitive: primitive.string_value),
)
_of_bool = (
    lambda value: _scalar(boolean=value),
    _reader("bool", boolean=lambda primitive: primitive.boolean),
)
_of_datetime = (_datetime_literal, _reader("datetime", datetime=_read_datetime))
_of_delta = (_duration_literal, _reader("timedelta", duration=_read_duration))
_of_none = (
    lambda _value: core.Literal(scalar=core.Scalar(none_type=core.Void())),
    _read_none,
)
