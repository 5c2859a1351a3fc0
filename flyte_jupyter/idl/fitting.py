"""Data from inside a structure, in the form of the type that asks for it. Pure.

Structures hold no literals: a time is a text there, a file a dict with its path. What is taken out of one is given the form
that a task of the declared type reads, be it flytekit's or a container's of any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flyte_jupyter.idl import core, literals, msgpack, types

_AS_THEY_ARE = (core.SimpleType.STRUCT, core.SimpleType.BINARY)
_Struct = Callable[[Any], core.Literal]
"""Makes a struct of the kind that the data was found in: old clients read no MessagePack."""
_INTEGERS = range(-(2**63), 2**63)
"""What a literal holds; MessagePack goes further."""


def fitted(of: core.Literal, kind: core.LiteralType) -> core.Literal:
    """A literal found inside a struct, or a list or dict of such, in the form that `kind` asks for; any other unchanged.

    Data that is not of the type stays as it is, so that `types.mismatch` can say so. Raises `BindingError` for a number that
    no literal holds, and `MsgpackError`.
    """
    match of.WhichOneof("value"):
        case "collection" | "map":
            return _fitted_inside(of, kind)
        case "scalar" if _is_struct(of.scalar) and not _takes_structs(kind):
            generic = of.scalar.HasField("generic")
            struct = literals.generic if generic else literals.binary
            return _formed(literals.value(of), kind, struct)
        case _:
            return of


def _is_struct(scalar: core.Scalar) -> bool:
    return scalar.HasField("generic") or (
        scalar.HasField("binary") and scalar.binary.tag == msgpack.TAG
    )


def _takes_structs(kind: core.LiteralType) -> bool:
    which = kind.WhichOneof("type")
    return which is None or (which == "simple" and kind.simple in _AS_THEY_ARE)


def _fitted_inside(of: core.Literal, kind: core.LiteralType) -> core.Literal:
    """A list or dict whose elements are fitted; itself when all of them are already."""
    match kind.WhichOneof("type"):
        case "collection_type" if of.HasField("collection"):
            items = list(of.collection.literals)
            made = [fitted(item, kind.collection_type) for item in items]
            if _same(made, items):
                return of
            return core.Literal(collection=core.LiteralCollection(literals=made), hash=of.hash)
        case "map_value_type" if of.HasField("map"):
            entries = dict(of.map.literals)
            fit = {key: fitted(item, kind.map_value_type) for key, item in entries.items()}
            if _same(fit.values(), entries.values()):
                return of
            return core.Literal(map=core.LiteralMap(literals=fit), hash=of.hash)
        case "union_type" if types.mismatch(of, kind):
            tries = ((fitted(of, variant), variant) for variant in kind.union_type.variants)
            return next((made for made, one in tries if not types.mismatch(made, one)), of)
        case _:
            return of


def _same(one: Iterable[core.Literal], other: Iterable[core.Literal]) -> bool:
    return all(a is b for a, b in zip(one, other, strict=True))


def _formed(data: Any, kind: core.LiteralType, struct: _Struct) -> core.Literal:
    match kind.WhichOneof("type"):
        case "collection_type" if isinstance(data, list):
            items = [_formed(item, kind.collection_type, struct) for item in data]
            return core.Literal(collection=core.LiteralCollection(literals=items))
        case "map_value_type" if isinstance(data, dict):
            value = kind.map_value_type
            entries = {str(key): _formed(item, value, struct) for key, item in data.items()}
            return core.Literal(map=core.LiteralMap(literals=entries))
        case "union_type":
            return _formed_union(data, kind, struct)
        case "simple" if kind.simple == core.SimpleType.STRUCT:
            return struct(data)
        case "simple":
            return _formed_simple(data, kind.simple)
        case "blob" | "structured_dataset_type" | "schema" if isinstance(data, dict):
            return _stored(data, kind)
    return _plain(data)


def _formed_simple(data: Any, simple: core.SimpleType) -> core.Literal:
    try:
        match simple:
            case core.SimpleType.INTEGER if _is_whole(data) and data not in _INTEGERS:
                raise literals.BindingError(f"{data} does not fit into 64 bits")
            case core.SimpleType.FLOAT if _is_whole(data):
                return literals.literal(float(data))
            case core.SimpleType.DATETIME if isinstance(data, str):
                return literals.literal(_moment(data))
            case core.SimpleType.DURATION if _is_whole(data) or isinstance(data, float):
                return literals.literal(timedelta(seconds=data))
    except (TypeError, ValueError, OverflowError):
        pass  # no time: told as what it is
    return _plain(data)


def _moment(text: str) -> datetime:
    """A time without a zone is of UTC, as flytekit has it wherever it writes literals."""
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read


def _formed_union(data: Any, kind: core.LiteralType, struct: _Struct) -> core.Literal:
    """The variant that the data is of as it stands, or else the first that it can be given the form of."""
    may = [v for v in kind.union_type.variants if isinstance(data, dict) or not _is_data_class(v)]
    for variant in sorted(may, key=lambda one: not _is_like(data, one)):
        formed = _formed(data, variant, struct)
        if types.mismatch(formed, variant) is None:
            union = core.Union(value=formed, type=variant)
            return core.Literal(scalar=core.Scalar(union=union))
    return _plain(data)


def _is_like(data: Any, kind: core.LiteralType) -> bool:
    """Whether the data is of this type without being given another form; of several data classes, of the one with its fields."""
    if _is_data_class(kind):
        fields: Mapping[str, core.LiteralType] = kind.structure.dataclass_type
        return isinstance(data, dict) and (not fields or set(fields) == set(data))
    return types.mismatch(_plain(data), kind) is None


def _is_data_class(kind: core.LiteralType) -> bool:
    return kind.WhichOneof("type") == "simple" and kind.simple == core.SimpleType.STRUCT


def _plain(data: Any) -> core.Literal:
    """Data as the literal that it is by itself; as a struct where there is none, as of a number that is too large."""
    try:
        return literals.binary(data) if isinstance(data, dict) else literals.literal(data)
    except (TypeError, ValueError):
        return literals.binary(data)


def _stored(data: Mapping[str, Any], kind: core.LiteralType) -> core.Literal:
    """A file, a folder or a table, from where it is (flytekit's words in its data classes)."""
    match kind.WhichOneof("type"), data:
        case "blob", {"path": str(uri)}:
            blob = core.Blob(uri=uri, metadata=core.BlobMetadata(type=kind.blob))
            return core.Literal(scalar=core.Scalar(blob=blob))
        case "structured_dataset_type", {"uri": str(uri)}:
            said = data.get("file_format")
            table = core.StructuredDataset(uri=uri)
            table.metadata.structured_dataset_type.format = (
                said if isinstance(said, str) and said else kind.structured_dataset_type.format
            )
            return core.Literal(scalar=core.Scalar(structured_dataset=table))
        case "schema", {"remote_path": str(uri)}:
            return core.Literal(scalar=core.Scalar(schema=core.Schema(uri=uri, type=kind.schema)))
    return literals.binary(data)


def _is_whole(data: Any) -> bool:
    return isinstance(data, int) and not isinstance(data, bool)
