"""Literals as plain data, the content of ``inputs.json``, and back by their type. Pure."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from flyte_jupyter.idl import core, literals, msgpack, types
from flyte_jupyter.kernel.runtime.copilot import texts

NAMED_REALS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
"""What JSON has no numbers for, as protobuf's JSON writes it."""
_T = TypeVar("_T")
TABLES = ("structured_dataset_type", "schema")


class BadValue(Exception):
    """What a container wrote is not of the type of its output. The message says where and why."""


Keep = Callable[[str, core.LiteralType], core.Literal]
"""Makes a literal of a file or folder that plain data names: path inside the outputs, type."""


def plain(literal: core.Literal) -> Any:
    """A literal as JSON has it. Files and tables are their URI, times and durations text, bytes base64."""
    match literal.WhichOneof("value"):
        case "collection":
            return [plain(item) for item in literal.collection.literals]
        case "map":
            return {key: plain(item) for key, item in sorted(literal.map.literals.items())}
        case "scalar":
            return _plain_scalar(literal.scalar)
        case which:
            raise BadValue(f"a literal with {which or 'no value'} has no plain value")


def _plain_scalar(scalar: core.Scalar) -> Any:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _plain_primitive(scalar.primitive)
        case "union":
            return plain(scalar.union.value)
        case "binary" if scalar.binary.tag != msgpack.TAG:
            return base64.b64encode(scalar.binary.value).decode()
        case _:
            return jsonable(literals.value(core.Literal(scalar=scalar)))


def _plain_primitive(primitive: core.Primitive) -> Any:
    match primitive.WhichOneof("value"):
        case "datetime":
            return primitive.datetime.ToJsonString()
        case "duration":
            return texts.span_text(primitive.duration)
        case None:
            return None
        case which:
            return jsonable(getattr(primitive, which))


def jsonable(data: Any) -> Any:
    """Data with what JSON cannot hold as text: bytes, numbers that are none, keys that are no text."""
    match data:
        case float() if not math.isfinite(data):
            return next(name for name, word in NAMED_REALS.items() if repr(data) == word)
        case bytes():
            return base64.b64encode(data).decode()
        case dict():
            return {str(key): jsonable(item) for key, item in data.items()}
        case list():
            return [jsonable(item) for item in data]
        case _:
            return data


def formed(data: Any, kind: core.LiteralType, keep: Keep) -> core.Literal:
    """The literal of a type that plain data stands for. Raises `BadValue`."""
    match kind.WhichOneof("type"):
        case "simple":
            return _simple(data, kind.simple)
        case "enum_type":
            return _enum(data, kind)
        case "collection_type":
            return _collection(_of(data, list, kind), kind, keep)
        case "map_value_type":
            return _map(_of(data, dict, kind), kind, keep)
        case "union_type":
            return union(kind, lambda variant: formed(data, variant, keep), given=data)
        case "blob" | "structured_dataset_type" | "schema":
            return keep(_of(data, str, kind), kind)
        case which:
            raise BadValue(f"outputs of type {which or 'unknown'} cannot be read from files")


def _collection(data: list[Any], kind: core.LiteralType, keep: Keep) -> core.Literal:
    made = core.LiteralCollection()
    for number, item in enumerate(data):
        with at(f"[{number}]"):
            made.literals.append(formed(item, kind.collection_type, keep))
    return core.Literal(collection=made)


def _map(data: dict[str, Any], kind: core.LiteralType, keep: Keep) -> core.Literal:
    made = core.LiteralMap()
    for key, item in data.items():
        if not _is_whole(key):
            raise BadValue(f"the key {texts.shown(key)} is half of a character")
        with at(f".{key}"):
            made.literals[key].CopyFrom(formed(item, kind.map_value_type, keep))
    return core.Literal(map=made)


def _is_whole(word: str) -> bool:
    """Whether it can be written: JSON may have one half of a pair that stands for a character."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def at(place: str) -> Iterator[None]:
    """A `BadValue` that is raised inside says this place too."""
    try:
        yield
    except BadValue as error:
        message = str(error)
        joint = "" if message.startswith(("[", ".")) else ": "
        raise BadValue(f"{place}{joint}{message}") from error


def union(
    kind: core.LiteralType, make: Callable[[core.LiteralType], core.Literal], *, given: object
) -> core.Literal:
    """The union of the first variant that fits; text fits everything, so it is tried last. Raises `BadValue`."""
    variants = sorted(kind.union_type.variants, key=_is_text)
    for variant in variants:
        try:
            value = make(variant)
        except BadValue:
            continue
        made = core.Union(value=value, type=variant)
        return core.Literal(scalar=core.Scalar(union=made))
    raise BadValue(f"expected {types.describe(kind)}, given {texts.shown(str(given))}")


def _is_text(kind: core.LiteralType) -> bool:
    return kind.WhichOneof("type") == "simple" and kind.simple == core.SimpleType.STRING


def _of(data: Any, wanted: type[_T], kind: core.LiteralType) -> _T:
    if isinstance(data, wanted):
        return data
    raise BadValue(f"expected {types.describe(kind)}, given {texts.shown(str(data))}")


def _enum(data: Any, kind: core.LiteralType) -> core.Literal:
    if data not in kind.enum_type.values:
        allowed = ", ".join(kind.enum_type.values)
        raise BadValue(f"expected one of {allowed}, given {texts.shown(str(data))}")
    return literals.literal(data)


def _simple(data: Any, simple: core.SimpleType) -> core.Literal:
    kind = core.LiteralType(simple=simple)
    try:
        return _of_simple(data, simple, kind)
    except (ValueError, OverflowError) as error:
        raise BadValue(f"expected {types.describe(kind)}: {error}") from error


def _of_simple(data: Any, simple: core.SimpleType, kind: core.LiteralType) -> core.Literal:
    kinds = core.SimpleType
    match simple:
        case kinds.NONE if data is None:
            return literals.none()
        case kinds.INTEGER if isinstance(data, int) and not isinstance(data, bool):
            return literals.literal(texts.bounded(data))
        case kinds.FLOAT if isinstance(data, int | float) and not isinstance(data, bool):
            return literals.literal(float(data))
        case kinds.FLOAT if isinstance(data, str) and data in NAMED_REALS:
            return literals.literal(float(NAMED_REALS[data]))
        case kinds.BOOLEAN if isinstance(data, bool):
            return literals.literal(data)
        case kinds.STRUCT if isinstance(data, dict | list):
            return literals.binary(data)
        case _ if isinstance(data, str):
            return of_text(data, simple, kind)
        case _:
            raise BadValue(f"expected {types.describe(kind)}, given {texts.shown(str(data))}")


def of_text(text: str, simple: core.SimpleType, kind: core.LiteralType) -> core.Literal:
    """The literal of a simple type that JSON holds as text."""
    kinds = core.SimpleType
    match simple:
        case kinds.STRING:
            return literals.literal(text)
        case kinds.DATETIME:
            return timed(core.Primitive(datetime=texts.moment(text)))
        case kinds.DURATION:
            return timed(core.Primitive(duration=texts.span(text)))
        case kinds.BINARY:
            return raw(_decoded(text))
        case kinds.ERROR:
            return core.Literal(scalar=core.Scalar(error=core.Error(message=text)))
        case _:
            raise BadValue(f"expected {types.describe(kind)}, given {texts.shown(text)}")


def timed(primitive: core.Primitive) -> core.Literal:
    """The literal of a time or a duration, to the nanosecond."""
    return core.Literal(scalar=core.Scalar(primitive=primitive))


def raw(data: bytes) -> core.Literal:
    """The literal of bytes."""
    return core.Literal(scalar=core.Scalar(binary=core.Binary(value=data)))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{texts.shown(text)} is not base64: {error}") from error
