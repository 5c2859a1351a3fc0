"""What is taken out of a structure has the form that is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flyte_jupyter.idl import core, types
from flyte_jupyter.idl.fitting import fitted
from flyte_jupyter.idl.literals import BindingError, attribute, binary, generic, literal, value

Simple = core.SimpleType


def simple(of):
    return core.LiteralType(simple=of)


INT, FLOAT, TEXT, NONE = map(simple, (Simple.INTEGER, Simple.FLOAT, Simple.STRING, Simple.NONE))
TIME, DURATION, STRUCT = map(simple, (Simple.DATETIME, Simple.DURATION, Simple.STRUCT))
FILE = core.LiteralType(blob=core.BlobType(format="csv"))
FOLDER = core.LiteralType(blob=core.BlobType(dimensionality=core.BlobType.MULTIPART))
TABLE = core.LiteralType(structured_dataset_type=core.StructuredDatasetType(format="parquet"))
OLD_TABLE = core.LiteralType(schema=core.SchemaType())


def several(of):
    return core.LiteralType(collection_type=of)


def named(of):
    return core.LiteralType(map_value_type=of)


def union(*of):
    return core.LiteralType(union_type=core.UnionType(variants=of))


def data_class(**fields):
    structure = core.TypeStructure(dataclass_type=fields)
    return core.LiteralType(simple=Simple.STRUCT, structure=structure)


@pytest.mark.parametrize("struct", [binary, generic], ids=["MessagePack", "Struct"])
@pytest.mark.parametrize(
    ("data", "kind", "wanted"),
    [
        (3, INT, 3),
        (3, FLOAT, 3.0),
        ("s", TEXT, "s"),
        ([1, 2], several(FLOAT), [1.0, 2.0]),
        ({"a": [1]}, named(several(INT)), {"a": [1]}),
        (None, union(INT, NONE), None),
        ("2024-01-02T03:04:05+00:00", TIME, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05Z", union(TIME, NONE), datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05", TIME, datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02", TIME, datetime(2024, 1, 2, tzinfo=UTC)),
        (90.5, DURATION, timedelta(seconds=90.5)),
        (90, DURATION, timedelta(seconds=90)),
        ({"path": "s3://b/f"}, FILE, "s3://b/f"),
        ([{"path": "s3://b/f"}], several(union(FILE, NONE)), ["s3://b/f"]),
        ({"path": "s3://b/d"}, FOLDER, "s3://b/d"),
        ({"uri": "s3://b/t", "file_format": "parquet"}, TABLE, "s3://b/t"),
        ({"uri": "s3://b/t", "file_format": None}, TABLE, "s3://b/t"),
        ({"remote_path": "s3://b/t"}, OLD_TABLE, "s3://b/t"),
        ({"a": 1}, STRUCT, {"a": 1}),
    ],
)
def test_the_inside_of_a_struct_takes_the_form_that_is_asked_for(struct, data, kind, wanted):
    made = fitted(attribute(struct({"inside": data}), ("inside",)), kind)
    assert types.mismatch(made, kind) is None
    assert value(made) == wanted


@pytest.mark.parametrize(
    ("data", "kind", "why"),
    [
        ("s", INT, "expected int, given str"),
        (True, DURATION, "expected timedelta, given bool"),
        ("noon", TIME, "expected datetime, given str"),
        (1e300, DURATION, "expected timedelta, given float"),
        ({"path": 1}, FILE, "expected FlyteFile[csv], given struct"),
        ({}, TABLE, "expected DataFrame, given struct"),
        (2, union(STRUCT, TEXT), "expected struct | str, given int"),
        ([1, "s"], several(INT), "[1]: expected int, given str"),
    ],
)
def test_what_is_of_another_type_is_told_as_what_it_is(data, kind, why):
    assert types.mismatch(fitted(binary(data), kind), kind) == why


def test_a_number_that_no_literal_holds_is_told():
    for kind in (INT, several(INT), union(INT, NONE)):
        data = [2**63] if kind.HasField("collection_type") else 2**63
        with pytest.raises(BindingError, match="9223372036854775808 does not fit into 64 bits"):
            fitted(binary(data), kind)
    assert value(fitted(binary(2**63), FLOAT)) == 2.0**63
    assert value(fitted(binary(-(2**63)), INT)) == -(2**63)
    assert types.mismatch(fitted(binary(2**63), TEXT), TEXT) == "expected str, given struct"


def test_of_a_union_the_variant_is_taken_that_the_data_is_of():
    one, other = data_class(a=INT), data_class(a=INT, b=TEXT)
    for data, variants, taken in (
        (2, (STRUCT, INT, several(INT)), INT),
        (2, (FLOAT, INT), INT),
        (2, (FLOAT, TEXT), FLOAT),
        ({"a": 1, "b": "x"}, (one, other), other),
        ({"a": 1}, (other, one), one),
        ({"c": 1}, (one, other), one),
        ("2024-01-02T03:04:05Z", (TIME, TEXT), TEXT),
    ):
        made = fitted(binary(data), union(*variants))
        assert made.scalar.union.type == taken, (data, variants)


def test_a_list_of_parts_is_a_list_of_what_is_asked_for():
    mixed = core.Literal()
    mixed.collection.literals.extend([binary(1), literal(2.0)])
    assert value(fitted(mixed, several(FLOAT))) == [1.0, 2.0]
    assert fitted(mixed, union(NONE, several(FLOAT))) == literal([1.0, 2.0])
    entries = core.Literal()
    entries.map.literals["k"].CopyFrom(mixed)
    assert value(fitted(entries, named(several(FLOAT)))) == {"k": [1.0, 2.0]}
    whole = literal([1.0, 2.0])
    assert fitted(whole, several(FLOAT)) is whole


def test_old_clients_get_the_structs_that_they_know():
    old = generic({"inner": {"a": 1}, "list": [{"a": 1}], "dict": {"k": {"a": 1}}})
    assert attribute(old, ("inner",)).scalar.HasField("generic")
    several_of = fitted(attribute(old, ("list",)), several(STRUCT))
    assert several_of.collection.literals[0].scalar.HasField("generic")
    named_of = fitted(attribute(old, ("dict",)), named(STRUCT))
    assert named_of.map.literals["k"].scalar.HasField("generic")
    assert attribute(binary({"inner": {"a": 1}}), ("inner",)).scalar.HasField("binary")
