"""What Flyte's literal types mean: their names, which may stand for which, and whether a literal is of one.

The rules are those of Flyte's compiler (its ``validators/typing.go``): nothing is converted, an
integer is no float, and a union takes what exactly one of its variants takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf import struct_pb2

from flyte_jupyter.idl import core, msgpack

_SIMPLE = {
    core.SimpleType.NONE: "None",
    core.SimpleType.INTEGER: "int",
    core.SimpleType.FLOAT: "float",
    core.SimpleType.STRING: "str",
    core.SimpleType.BOOLEAN: "bool",
    core.SimpleType.DATETIME: "datetime",
    core.SimpleType.DURATION: "timedelta",
    core.SimpleType.BINARY: "bytes",
    core.SimpleType.ERROR: "error",
    core.SimpleType.STRUCT: "struct",
}
_PRIMITIVE = {
    "integer": core.SimpleType.INTEGER,
    "float_value": core.SimpleType.FLOAT,
    "string_value": core.SimpleType.STRING,
    "boolean": core.SimpleType.BOOLEAN,
    "datetime": core.SimpleType.DATETIME,
    "duration": core.SimpleType.DURATION,
}
_FIELDS = {simple: field for field, simple in _PRIMITIVE.items()}
_SCALAR = {
    "none_type": core.SimpleType.NONE,
    "error": core.SimpleType.ERROR,
    "generic": core.SimpleType.STRUCT,
}


def describe(kind: core.LiteralType) -> str:
    """A type as a Python programmer would write it: ``int``, ``list[dict[str, DataFrame]]``."""
    match kind.WhichOneof("type"):
        case "simple":
            return _describe_simple(kind)
        case "collection_type":
            return f"list[{describe(kind.collection_type)}]"
        case "map_value_type":
            return f"dict[str, {describe(kind.map_value_type)}]"
        case "union_type":
            return " | ".join(describe(v) for v in kind.union_type.variants) or "nothing"
        case "enum_type":
            return f"enum({', '.join(kind.enum_type.values)})"
        case "blob":
            folder = kind.blob.dimensionality == core.BlobType.MULTIPART
            name = "FlyteDirectory" if folder else "FlyteFile"
            return f"{name}[{kind.blob.format}]" if kind.blob.format else name
        case "structured_dataset_type":
            return _with_columns(c.name for c in kind.structured_dataset_type.columns)
        case "schema":
            return _with_columns(c.name for c in kind.schema.columns)
        case _:
            return "unknown"


def castable(source: core.LiteralType, target: core.LiteralType) -> bool:
    """Whether a value of type `source` may be given where `target` is asked for."""
    if source == target:
        return True
    if source.HasField("union_type"):
        variants = source.union_type.variants
        return bool(variants) and all(_variant_fits(variant, target) for variant in variants)
    match target.WhichOneof("type"):
        case "union_type":
            return _castable_to_union(source, target)
        case "collection_type":
            return source.HasField("collection_type") and _item_fits(
                source.collection_type, target.collection_type
            )
        case "map_value_type":
            return source.HasField("map_value_type") and _item_fits(
                source.map_value_type, target.map_value_type
            )
        case "enum_type":
            return _castable_to_enum(source, target)
        case "blob":
            return source.HasField("blob") and _blob_fits(source.blob, target.blob)
        case "structured_dataset_type" | "schema":
            return _castable_to_table(source, target)
        case "simple":
            return _castable_to_simple(source, target)
        case _:
            return False


def mismatch(literal: core.Literal, kind: core.LiteralType) -> str | None:
    """Why `literal` is not of type `kind`, with the place inside it; None when it is.

    Example: ``[2].x: expected int, given str``.
    """
    # Most are plain values of plain types. A type that is none of those says NONE here, which is no primitive.
    field = _FIELDS.get(kind.simple)
    if field is not None and literal.scalar.primitive.HasField(field):
        return None
    found = _mismatch(literal, kind)
    if found is None:
        return None
    place, why = found
    return f"{place}: {why}" if place else why


def given(literal: core.Literal) -> str:
    """What a literal is, in the words of `describe`, as far as it says so itself."""
    match literal.WhichOneof("value"):
        case "collection":
            names = list(dict.fromkeys(given(item) for item in literal.collection.literals))
            return f"list[{' | '.join(names)}]" if names else "list"
        case "map":
            names = list(dict.fromkeys(given(v) for v in literal.map.literals.values()))
            return f"dict[str, {' | '.join(names)}]" if names else "dict"
        case "offloaded_metadata":
            return describe(literal.offloaded_metadata.inferred_type)
        case "scalar":
            return _given_scalar(literal.scalar)
        case _:
            return "nothing"


# -- names -----------------------------------------------------------------------------------------


def _describe_simple(kind: core.LiteralType) -> str:
    title = kind.metadata.fields["title"].string_value if "title" in kind.metadata.fields else ""
    if kind.simple == core.SimpleType.STRUCT and title:
        return title
    return _SIMPLE.get(kind.simple, "unknown")


def _with_columns(columns: Iterable[str]) -> str:
    names = list(columns)
    return f"DataFrame[{', '.join(names)}]" if names else "DataFrame"


def _given_scalar(scalar: core.Scalar) -> str:
    which = scalar.WhichOneof("value")
    match which:
        case "primitive":
            primitive = scalar.primitive.WhichOneof("value")
            return _SIMPLE[_PRIMITIVE[primitive]] if primitive else "nothing"
        case "blob":
            return describe(core.LiteralType(blob=scalar.blob.metadata.type))
        case "structured_dataset" | "schema":
            return "DataFrame"
        case "union":
            return given(scalar.union.value)
        case "binary":
            return "struct" if scalar.binary.tag == msgpack.TAG else "bytes"
        case None:
            return "nothing"
        case _:
            return _SIMPLE[_SCALAR[which]]


# -- casting ---------------------------------------------------------------------------------------


def _variant_fits(variant: core.LiteralType, target: core.LiteralType) -> bool:
    """Whether one variant of a union may be given: to a union, if any of its variants takes it."""
    if target.HasField("union_type"):
        return any(castable(variant, wanted) for wanted in target.union_type.variants)
    return castable(variant, target)


def _item_fits(source: core.LiteralType, target: core.LiteralType) -> bool:
    """What nothing is in is of type None: it fits any list and any dict."""
    return _is_simple(source, core.SimpleType.NONE) or castable(source, target)


def _castable_to_union(source: core.LiteralType, target: core.LiteralType) -> bool:
    if any(_bare(source) == _bare(variant) for variant in target.union_type.variants):
        return True
    # More than one variant that would take it is as bad as none: nobody could tell which it became.
    return sum(castable(source, variant) for variant in target.union_type.variants) == 1


def _castable_to_enum(source: core.LiteralType, target: core.LiteralType) -> bool:
    if source.HasField("enum_type"):
        return set(source.enum_type.values) <= set(target.enum_type.values)
    return _is_simple(source, core.SimpleType.STRING)


def _castable_to_simple(source: core.LiteralType, target: core.LiteralType) -> bool:
    if source.HasField("enum_type"):
        return target.simple == core.SimpleType.STRING
    if not source.HasField("simple") or source.simple != target.simple:
        return False
    if source.simple == core.SimpleType.STRUCT:
        return _struct_fits(source, target)
    return True


def _struct_fits(source: core.LiteralType, target: core.LiteralType) -> bool:
    """Whether every field that `target` declares is there, of a type that fits; no fields: anything goes."""
    have = source.structure.dataclass_type
    want = target.structure.dataclass_type
    if have and want:
        return all(name in have and castable(have[name], kind) for name, kind in want.items())
    return _schema_fits(source.metadata, target.metadata)


def _schema_fits(source: struct_pb2.Struct, target: struct_pb2.Struct) -> bool:
    """The same for types that are told by a JSON schema only, as older clients tell them; no schema: anything goes."""
    if not source.fields or not target.fields:
        return True
    have, want = _properties(source), _properties(target)
    for name, kind in want.items():
        if name not in have:
            return False
        one, other = _kind(have[name]), _kind(kind)
        if (one and other and one != other) or not _schema_fits(have[name], kind):
            return False
    return True


def _kind(schema: struct_pb2.Struct) -> str:
    said = schema.fields.get("type")
    return said.string_value if said is not None else ""


def _properties(schema: struct_pb2.Struct) -> Mapping[str, struct_pb2.Struct]:
    inside = schema.fields.get("properties")
    if inside is None:
        return {}
    return {name: value.struct_value for name, value in inside.struct_value.fields.items()}


def _castable_to_table(source: core.LiteralType, target: core.LiteralType) -> bool:
    if target.HasField("structured_dataset_type") and _is_simple(source, core.SimpleType.NONE):
        return True
    have, want = _columns(source), _columns(target)
    if have is None or want is None:
        return False
    if source.HasField("structured_dataset_type") and target.HasField("structured_dataset_type"):
        formats = {
            f.lower()
            for f in (source.structured_dataset_type.format, target.structured_dataset_type.format)
            if f
        }
        if len(formats) > 1:
            return False
    return not want or not have or all(have.get(name) == kind for name, kind in want.items())


def _columns(kind: core.LiteralType) -> Mapping[str, str] | None:
    if kind.HasField("schema"):
        column = core.SchemaType.SchemaColumn.SchemaColumnType
        return {c.name: column.Name(c.type) for c in kind.schema.columns}
    if kind.HasField("structured_dataset_type"):
        columns = kind.structured_dataset_type.columns
        return {c.name: core.SimpleType.Name(c.literal_type.simple) for c in columns}
    return None


def _blob_fits(source: core.BlobType, target: core.BlobType) -> bool:
    same_shape = source.dimensionality == target.dimensionality
    return same_shape and (not source.format or target.format in ("", source.format))


def _bare(kind: core.LiteralType) -> core.LiteralType:
    """The type without what is said about it."""
    bare = core.LiteralType()
    bare.CopyFrom(kind)
    for field in ("metadata", "annotation", "structure"):
        bare.ClearField(field)
    return bare


def _is_simple(kind: core.LiteralType, simple: core.SimpleType) -> bool:
    return kind.WhichOneof("type") == "simple" and kind.simple == simple


# -- literals --------------------------------------------------------------------------------------

Mismatch = tuple[str, str]
"""The place inside the literal, and what is wrong there."""


def _mismatch(literal: core.Literal, kind: core.LiteralType) -> Mismatch | None:
    if literal.HasField("offloaded_metadata"):
        inferred = literal.offloaded_metadata.inferred_type
        return None if castable(inferred, kind) else _expected(kind, literal)
    if literal.scalar.HasField("union") and not kind.HasField("union_type"):
        return _mismatch(literal.scalar.union.value, kind)
    match kind.WhichOneof("type"):
        case "collection_type":
            return _mismatch_in_list(literal, kind)
        case "map_value_type":
            return _mismatch_in_map(literal, kind)
        case "union_type":
            return _mismatch_in_union(literal, kind)
        case "enum_type":
            return _mismatch_in_enum(literal, kind)
        case "simple":
            return None if _is_of_simple(literal, kind.simple) else _expected(kind, literal)
        case "blob":
            blob = literal.scalar.HasField("blob")
            fits = blob and _blob_fits(literal.scalar.blob.metadata.type, kind.blob)
            return None if fits else _expected(kind, literal)
        case "structured_dataset_type" | "schema":
            return _mismatch_in_table(literal, kind)
        case _:
            return "", f"the expected type is not known, given {given(literal)}"


def _expected(kind: core.LiteralType, literal: core.Literal) -> Mismatch:
    return "", f"expected {describe(kind)}, given {given(literal)}"


def _inside(place: str, found: Mismatch | None) -> Mismatch | None:
    return None if found is None else (place + found[0], found[1])


def _mismatch_in_list(literal: core.Literal, kind: core.LiteralType) -> Mismatch | None:
    if not literal.HasField("collection"):
        return _expected(kind, literal)
    for index, item in enumerate(literal.collection.literals):
        if found := _inside(f"[{index}]", _mismatch(item, kind.collection_type)):
            return found
    return None


def _mismatch_in_map(literal: core.Literal, kind: core.LiteralType) -> Mismatch | None:
    if not literal.HasField("map"):
        return _expected(kind, literal)
    for key in sorted(literal.map.literals):
        item = literal.map.literals[key]
        if found := _inside(f".{key}", _mismatch(item, kind.map_value_type)):
            return found
    return None


def _mismatch_in_union(literal: core.Literal, kind: core.LiteralType) -> Mismatch | None:
    value = literal.scalar.union.value if literal.scalar.HasField("union") else literal
    found = [_mismatch(value, variant) for variant in kind.union_type.variants]
    if None in found:
        return None
    # With one variant beside None the deeper message is the more useful one.
    deep = [f for f in found if f and f[0]]
    return deep[0] if len(deep) == 1 else _expected(kind, literal)


def _mismatch_in_enum(literal: core.Literal, kind: core.LiteralType) -> Mismatch | None:
    primitive = literal.scalar.primitive
    if not primitive.HasField("string_value"):
        return _expected(kind, literal)
    if primitive.string_value not in kind.enum_type.values:
        allowed = ", ".join(kind.enum_type.values)
        return "", f"expected one of {allowed}, given {primitive.string_value!r}"
    return None


def _mismatch_in_table(literal: core.Literal, kind: core.LiteralType) -> Mismatch | None:
    scalar = literal.scalar
    if scalar.HasField("structured_dataset"):
        have = core.LiteralType(
            structured_dataset_type=scalar.structured_dataset.metadata.structured_dataset_type
        )
    elif scalar.HasField("schema"):
        have = core.LiteralType(schema=scalar.schema.type)
    else:
        return _expected(kind, literal)
    if castable(have, kind):
        return None
    return "", f"expected {describe(kind)}, given {describe(have)}"


def _is_of_simple(literal: core.Literal, simple: core.SimpleType) -> bool:
    if not literal.HasField("scalar"):
        return False
    scalar = literal.scalar
    match scalar.WhichOneof("value"):
        case "primitive":
            which = scalar.primitive.WhichOneof("value")
            return which is not None and _PRIMITIVE[which] == simple
        case "binary":
            if simple == core.SimpleType.STRUCT:
                return scalar.binary.tag == msgpack.TAG
            return simple == core.SimpleType.BINARY
        case None:
            return False
        case which:
            return _SCALAR.get(which) == simple
