"""Literals without the SDK: built from plain values, read back, and bound from upstream outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import struct_pb2

from flyte_jupyter.idl import core, msgpack

MOST_CARRIED = 8192
"""Bytes of inputs or outputs that go in messages and stand in the database; what has more stands in a file."""
AttributePath = tuple[str | int, ...]
Promise = Callable[[str, str, AttributePath], core.Literal]
"""Gives the literal that a node (id, variable, attribute path) produced; raises `BindingError`."""


class BindingError(Exception):
    """An input cannot be made from what it is bound to. The message says where and why."""


# -- build and read --------------------------------------------------------------------------------


def none() -> core.Literal:
    """The literal of None."""
    return core.Literal(scalar=core.Scalar(none_type=core.Void()))


def literal(value: Any) -> core.Literal:
    """Build a literal from None, bool, int, float, str, datetime, timedelta, or a list or dict of those.

    Raises `TypeError` for anything else, a datetime without a time zone included.
    """
    if value is None:
        return none()
    if isinstance(value, Mapping):
        entries = {str(key): literal(item) for key, item in value.items()}
        return core.Literal(map=core.LiteralMap(literals=entries))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [literal(item) for item in value]
        return core.Literal(collection=core.LiteralCollection(literals=items))
    return core.Literal(scalar=core.Scalar(primitive=_primitive(value)))


def value(of: core.Literal) -> Any:
    """Read a literal as a plain value: the reverse of `literal`, for structs and MessagePack too.

    Files and tables read as their URI, bytes as bytes. Raises `TypeError` for an empty literal.
    """
    match of.WhichOneof("value"):
        case "collection":
            return [value(item) for item in of.collection.literals]
        case "map":
            return {key: value(item) for key, item in of.map.literals.items()}
        case "scalar":
            return _scalar_value(of.scalar)
        case which:
            raise TypeError(f"a literal with {which or 'no value'} has no plain value")


def binary(of: Any) -> core.Literal:
    """Plain data (of dicts, lists, numbers, text) as a struct literal: MessagePack, tagged as such."""
    packed = core.Binary(value=msgpack.packb(of), tag=msgpack.TAG)
    return core.Literal(scalar=core.Scalar(binary=packed))


def generic(of: Any) -> core.Literal:
    """The same as the struct of older clients, which holds dicts only: lists are literals of their own, other data as `binary`."""
    match of:
        case dict():
            made = core.Literal()
            made.scalar.generic.update(of)
            return made
        case list():
            items = [generic(item) for item in of]
            return core.Literal(collection=core.LiteralCollection(literals=items))
        case _:
            return binary(of)


def _primitive(of: Any) -> core.Primitive:
    match of:
        case bool():
            return core.Primitive(boolean=of)
        case int():
            return core.Primitive(integer=of)
        case float():
            return core.Primitive(float_value=of)
        case str():
            return core.Primitive(string_value=of)
        case datetime():
            if of.tzinfo is None:
                raise TypeError(f"{of} has no time zone: say which, e.g. tzinfo=datetime.UTC")
            built = core.Primitive()
            built.datetime.FromDatetime(of)
            return built
        case timedelta():
            built = core.Primitive()
            built.duration.FromTimedelta(of)
            return built
        case _:
            raise TypeError(f"a {type(of).__name__} is no literal by itself")


def _scalar_value(scalar: core.Scalar) -> Any:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive_value(scalar.primitive)
        case "none_type":
            return None
        case "union":
            return value(scalar.union.value)
        case "generic":
            return _struct_value(struct_pb2.Value(struct_value=scalar.generic))
        case "binary":
            packed = scalar.binary.tag == msgpack.TAG
            return msgpack.unpackb(scalar.binary.value) if packed else scalar.binary.value
        case "blob":
            return scalar.blob.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case "schema":
            return scalar.schema.uri
        case "error":
            return scalar.error.message
        case _:
            raise TypeError("an empty scalar has no plain value")


def _primitive_value(primitive: core.Primitive) -> Any:
    match primitive.WhichOneof("value"):
        case "datetime":
            return primitive.datetime.ToDatetime(tzinfo=UTC)
        case "duration":
            return primitive.duration.ToTimedelta()
        case None:
            raise TypeError("an empty primitive has no plain value")
        case which:
            return getattr(primitive, which)


def _struct_value(of: struct_pb2.Value) -> Any:
    match of.WhichOneof("kind"):
        case "struct_value":
            return {k: _struct_value(v) for k, v in of.struct_value.fields.items()}
        case "list_value":
            return [_struct_value(v) for v in of.list_value.values]
        case "number_value":
            # A Struct knows only doubles; whole ones were integers as a rule.
            number = of.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return of.string_value
        case "bool_value":
            return of.bool_value
        case _:
            return None


# -- bind ------------------------------------------------------------------------------------------


def resolve_binding(binding: core.BindingData, promise: Promise) -> core.Literal:
    """Make the literal that a binding describes, asking `promise` for upstream outputs.

    Raises `BindingError` for a binding without a value, and whatever `promise` raises.
    """
    match binding.WhichOneof("value"):
        case "scalar":
            return core.Literal(scalar=binding.scalar)
        case "promise":
            reference = binding.promise
            path = attribute_path(reference)
            return promise(reference.node_id, reference.var, path)
        case "collection":
            items = [resolve_binding(b, promise) for b in binding.collection.bindings]
            return core.Literal(collection=core.LiteralCollection(literals=items))
        case "map":
            entries = {k: resolve_binding(b, promise) for k, b in binding.map.bindings.items()}
            return core.Literal(map=core.LiteralMap(literals=entries))
        case "offloaded_metadata":
            return core.Literal(offloaded_metadata=binding.offloaded_metadata)
        case _:
            raise BindingError("the binding has no value")


def attribute_path(reference: core.OutputReference) -> AttributePath:
    """The attribute path of a reference: names and indices, outermost first."""
    if not reference.attr_path:
        return ()
    return tuple(
        part.string_value if part.WhichOneof("value") == "string_value" else part.int_value
        for part in reference.attr_path
    )


def attribute(of: core.Literal, path: AttributePath) -> core.Literal:
    """The part of a literal at an attribute path, through lists, maps, structs and MessagePack.

    What lies inside a struct stays one, as in Flyte; `fitting.fitted` turns it into the type
    that is asked for. Raises `BindingError` naming the step that leads nowhere.
    """
    for done, step in enumerate(path):
        place = _place(path[: done + 1])
        if of.scalar.HasField("union"):
            of = of.scalar.union.value
        match of.WhichOneof("value"):
            case "collection":
                of = _item(of.collection.literals, step, place)
            case "map":
                of = _item(of.map.literals, step, place)
            case "scalar" if of.scalar.WhichOneof("value") in ("generic", "binary"):
                inside = _scalar_value(of.scalar)
                for later in range(done, len(path)):
                    inside = _item(inside, path[later], _place(path[: later + 1]))
                return generic(inside) if of.scalar.HasField("generic") else binary(inside)
            case _:
                raise BindingError(f"{place}: there is nothing inside this value")
    return of


def _item(holder: Any, step: str | int, place: str) -> Any:
    try:
        if isinstance(step, int) and not isinstance(holder, Mapping):
            return holder[step] if 0 <= step < len(holder) else _missing(place, len(holder))
        if isinstance(step, str) and not isinstance(holder, Sequence) and step in holder:
            return holder[step]
        if isinstance(holder, Mapping) and step in holder:
            return holder[step]
    except TypeError as error:
        raise BindingError(f"{place}: there is nothing inside this value") from error
    raise BindingError(f"{place}: there is no such attribute")


def _missing(place: str, length: int) -> Any:
    raise BindingError(f"{place}: the list has {length} items")


def _place(path: AttributePath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def offloaded(literal: core.Literal) -> Iterator[str]:
    """Where the parts of a literal stand that are kept in files of their own."""
    match literal.WhichOneof("value"):
        case "offloaded_metadata":
            yield literal.offloaded_metadata.uri
        case "collection":
            for item in literal.collection.literals:
                yield from offloaded(item)
        case "map":
            for item in literal.map.literals.values():
                yield from offloaded(item)
        case "scalar" if literal.scalar.HasField("union"):
            yield from offloaded(literal.scalar.union.value)
