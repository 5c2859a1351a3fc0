"""How a value looks inside a dataclass's MessagePack: plain values, as flytekit's dataclasses have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import Unfit, UnsupportedType, shown
from flyte_jupyter.kernel.types.registry import TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage


@dataclass(frozen=True)
class Plain:
    """Two functions: a value to plain values, and back. Both raise `Unfit`."""

    dump: Callable[[Any, Storage], Any]
    load: Callable[[Any, Storage], Any]


def plain_of(python_type: Any, registry: TypeRegistry) -> Plain:
    """How values of a type look inside a dataclass.

    Raises:
        UnsupportedType: such values have no plain form (a DataFrame, say).
    """
    from flyte_jupyter.kernel.types.collections import DictConverter, ListConverter
    from flyte_jupyter.kernel.types.enums import EnumConverter
    from flyte_jupyter.kernel.types.files import FileConverter
    from flyte_jupyter.kernel.types.primitives import Simple
    from flyte_jupyter.kernel.types.structs import DataclassConverter, PlainDict
    from flyte_jupyter.kernel.types.unions import UnionConverter

    def of(converter: Any) -> Plain:
        match converter:
            case Simple():
                return _simple(converter.literal_type.simple, converter.check)
            case ListConverter():
                return _list(converter.name, of(converter.item))
            case DictConverter():
                return _dict(converter.name, of(converter.item))
            case UnionConverter():
                return _union(converter.name, [(each, of(each)) for each in converter.variants])
            case EnumConverter():
                return Plain(lambda v, _: converter.check(v).value, lambda v, _: converter.check(v))
            case DataclassConverter():
                return Plain(converter.dump, converter.load)
            case PlainDict():
                return _checked(converter.check)
            case FileConverter():
                return Plain(converter.dump, converter.load)
        raise UnsupportedType(
            f"{converter.name} cannot be part of a dataclass: make it an input or output of its own"
        )

    return of(registry.of(python_type))


def _checked(check: Callable[[Any], Any]) -> Plain:
    return Plain(lambda value, _: check(value), lambda value, _: check(value))


def _simple(simple: int, check: Callable[[Any], Any]) -> Plain:
    if simple == core.SimpleType.DATETIME:
        return Plain(lambda value, _: check(value).isoformat(), lambda value, _: _moment(value))
    if simple == core.SimpleType.DURATION:
        return Plain(lambda value, _: check(value).total_seconds(), lambda value, _: _delta(value))
    return _checked(check)


def _moment(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Unfit("datetime in ISO 8601", shown(value)) from None


def _delta(value: Any) -> timedelta:
    try:
        return timedelta(seconds=value)
    except (TypeError, ValueError, OverflowError):
        raise Unfit("timedelta in seconds", shown(value)) from None


def _list(name: str, item: Plain) -> Plain:
    def walk(values: Any, way: Callable[[Any, Storage], Any], storage: Storage) -> list[Any]:
        if not isinstance(values, list):
            raise Unfit(name, shown(values))
        result = []
        for index, value in enumerate(values):
            try:
                result.append(way(value, storage))
            except Unfit as unfit:
                raise unfit.under(f"[{index}]") from None
        return result

    return Plain(
        lambda values, storage: walk(values, item.dump, storage),
        lambda values, storage: walk(values, item.load, storage),
    )


def _dict(name: str, item: Plain) -> Plain:
    def walk(values: Any, way: Callable[[Any, Storage], Any], storage: Storage) -> dict[str, Any]:
        if not isinstance(values, dict):
            raise Unfit(name, shown(values))
        result = {}
        for key, value in values.items():
            if not isinstance(key, str):
                raise Unfit("str as key", shown(key)).under(f"[{key!r}]")
            try:
                result[key] = way(value, storage)
            except Unfit as unfit:
                raise unfit.under(f"[{key!r}]") from None
        return result

    return Plain(
        lambda values, storage: walk(values, item.dump, storage),
        lambda values, storage: walk(values, item.load, storage),
    )


def _union(name: str, variants: list[tuple[Any, Plain]]) -> Plain:
    def dump(value: Any, storage: Storage) -> Any:
        # As in UnionConverter: the variant that leaves the value's type as it is goes first.
        order = sorted(variants, key=lambda each: not _keeps(each[0], value))
        return _first(name, value, [plain.dump for _, plain in order], storage)

    def load(value: Any, storage: Storage) -> Any:
        order = sorted(variants, key=lambda each: not _keeps(each[0], value))
        return _first(name, value, [plain.load for _, plain in order], storage)

    return Plain(dump, load)


def _keeps(converter: Any, value: Any) -> bool:
    try:
        return type(converter.check(value)) is type(value)
    except Unfit:
        return False


def _first(
    name: str, value: Any, ways: list[Callable[[Any, Storage], Any]], storage: Storage
) -> Any:
    for way in ways:
        try:
            return way(value, storage)
        except Unfit:
            continue
    raise Unfit(name, shown(value))


_SCHEMAS: dict[int, dict[str, Any]] = {
    core.SimpleType.INTEGER: {"type": "integer"},
    core.SimpleType.FLOAT: {"type": "number"},
    core.SimpleType.STRING: {"type": "string"},
    core.SimpleType.BOOLEAN: {"type": "boolean"},
    core.SimpleType.DATETIME: {"type": "string", "format": "date-time"},
    core.SimpleType.DURATION: {"type": "number", "format": "time-delta"},
    core.SimpleType.NONE: {"type": "null"},
}


def json_schema(literal_type: core.LiteralType) -> dict[str, Any]:
    """The JSON schema of a field of such a type, as launch forms want it."""
    match literal_type.WhichOneof("type"):
        case "collection_type":
            return {"type": "array", "items": json_schema(literal_type.collection_type)}
        case "map_value_type":
            return {
                "type": "object",
                "additionalProperties": json_schema(literal_type.map_value_type),
            }
        case "union_type":
            return {"anyOf": [json_schema(each) for each in literal_type.union_type.variants]}
        case "enum_type":
            return {"type": "string", "enum": list(literal_type.enum_type.values)}
        case "blob":
            return {
                "type": "object",
                "title": "FlyteFile",
                "properties": {"path": {"type": "string"}},
                "required": ["path"],
            }
        case "simple" if literal_type.simple == core.SimpleType.STRUCT:
            return _struct_schema(literal_type)
    return dict(_SCHEMAS.get(literal_type.simple, {}))


def _struct_schema(literal_type: core.LiteralType) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    if not literal_type.HasField("metadata"):
        return {"type": "object"}
    return MessageToDict(literal_type.metadata)
