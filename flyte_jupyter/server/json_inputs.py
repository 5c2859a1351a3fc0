"""Inputs that a person wrote as JSON, as literals of the types that are expected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import json_format

from flyte_jupyter.idl import core, fitting, literals
from flyte_jupyter.idl.types import mismatch
from flyte_jupyter.server.admin.errors import InvalidArgument

_UNREADABLE = (
    TypeError,
    ValueError,
    OverflowError,
    json_format.ParseError,
    literals.BindingError,
)
_LITERAL = ({"scalar"}, {"collection"}, {"map"})


def literals_from(
    given: Mapping[str, Any], expected: Mapping[str, core.LiteralType]
) -> core.LiteralMap:
    """Plain values formed by their types; an object whose one key is scalar, collection or map is Flyte's own JSON of a literal.

    Times are ISO 8601 texts, durations seconds, files and tables URIs. Raises `InvalidArgument` naming the input.
    """
    made = core.LiteralMap()
    for name, value in given.items():
        if name not in expected:
            known = ", ".join(sorted(expected)) or "none"
            raise InvalidArgument(f"There is no input {name!r}; there are: {known}")
        try:
            formed = literal_from(value, expected[name])
        except _UNREADABLE as error:
            raise InvalidArgument(f"Input {name!r}: {error}") from error
        wrong = mismatch(formed, expected[name])
        if wrong is not None:
            raise InvalidArgument(f"Input {name!r}: {wrong}")
        made.literals[name].CopyFrom(formed)
    return made


def literal_from(value: Any, kind: core.LiteralType) -> core.Literal:
    """One value by its type. Raises `ValueError`, `TypeError` or `ParseError` for what cannot be read."""
    which = kind.WhichOneof("type")
    if isinstance(value, dict) and set(value) in _LITERAL and which != "map_value_type":
        return json_format.ParseDict(value, core.Literal())
    if which == "collection_type" and isinstance(value, list):
        items = [literal_from(item, kind.collection_type) for item in value]
        return core.Literal(collection=core.LiteralCollection(literals=items))
    if which == "map_value_type" and isinstance(value, dict):
        entries = {str(k): literal_from(v, kind.map_value_type) for k, v in value.items()}
        return core.Literal(map=core.LiteralMap(literals=entries))
    if which == "union_type":
        return _of_union(value, kind)
    if isinstance(value, str):
        return _from_text(value, kind)
    if kind.simple == core.SimpleType.DURATION and isinstance(value, int | float):
        return literals.literal(timedelta(seconds=value))
    return fitting.fitted(literals.binary(value), kind)


def _of_union(value: Any, kind: core.LiteralType) -> core.Literal:
    """The variant that the value is of as it stands, or else the first that it can be read as: a file from its URI."""
    plain = fitting.fitted(literals.binary(value), kind)
    if not isinstance(value, str) and mismatch(plain, kind) is None:
        return plain
    text = literals.literal(value) if isinstance(value, str) else plain
    for variant in sorted(kind.union_type.variants, key=lambda one: bool(mismatch(text, one))):
        if variant.simple == core.SimpleType.STRUCT:
            continue
        try:
            read = literal_from(value, variant)
        except _UNREADABLE:
            continue
        if mismatch(read, variant) is None:
            return core.Literal(scalar=core.Scalar(union=core.Union(value=read, type=variant)))
    return text


def _from_text(text: str, kind: core.LiteralType) -> core.Literal:
    match kind.WhichOneof("type"):
        case "simple" if kind.simple == core.SimpleType.DATETIME:
            return literals.literal(datetime.fromisoformat(text))
        case "blob":
            blob = core.Blob(uri=text, metadata=core.BlobMetadata(type=kind.blob))
            return core.Literal(scalar=core.Scalar(blob=blob))
        case "schema":
            schema = core.Schema(uri=text, type=kind.schema)
            return core.Literal(scalar=core.Scalar(schema=schema))
        case "structured_dataset_type":
            table = core.StructuredDataset(uri=text)
            table.metadata.structured_dataset_type.CopyFrom(kind.structured_dataset_type)
            return core.Literal(scalar=core.Scalar(structured_dataset=table))
        case _:
            return fitting.fitted(literals.binary(text), kind)
