"""Literals read without an annotation: by what they hold."""

from __future__ import annotations

from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.registry import TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage

_PRIMITIVES = {
    "integer": core.SimpleType.INTEGER,
    "float_value": core.SimpleType.FLOAT,
    "string_value": core.SimpleType.STRING,
    "boolean": core.SimpleType.BOOLEAN,
    "datetime": core.SimpleType.DATETIME,
    "duration": core.SimpleType.DURATION,
}
_SCALARS = {
    "none_type": core.SimpleType.NONE,
    "binary": core.SimpleType.STRUCT,
    "generic": core.SimpleType.STRUCT,
}


def read(literal: core.Literal, registry: TypeRegistry, storage: Storage) -> Any:
    """The value of a literal. A dataclass comes as a dictionary, an enumeration's member as its text.

    Raises:
        UnsupportedType: nothing is known for such literals.
        Unfit: the literal is damaged.
        StorageError: its data could not be fetched.
    """
    match literal.WhichOneof("value"):
        case "collection":
            return [read(item, registry, storage) for item in literal.collection.literals]
        case "map":
            literals = literal.map.literals
            return {key: read(literals[key], registry, storage) for key in sorted(literals)}
    if literal.scalar.WhichOneof("value") == "union":
        return read(literal.scalar.union.value, registry, storage)
    python_type = registry.guess(scalar_type(literal.scalar))
    return registry.of(python_type).decode(literal, storage)


def scalar_type(scalar: core.Scalar) -> core.LiteralType:
    """The literal type of a scalar, as far as it tells."""
    match scalar.WhichOneof("value"):
        case "primitive":
            simple = _PRIMITIVES.get(scalar.primitive.WhichOneof("value") or "")
            return core.LiteralType(simple=simple)
        case "blob":
            return core.LiteralType(blob=scalar.blob.metadata.type)
        case "structured_dataset":
            kind = scalar.structured_dataset.metadata.structured_dataset_type
            return core.LiteralType(structured_dataset_type=kind)
        case other:
            return core.LiteralType(simple=_SCALARS.get(other or "", core.SimpleType.NONE))
