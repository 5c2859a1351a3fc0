"""Inputs that a person wrote as JSON: whatever is wrong with one is told with its name."""

from __future__ import annotations

import pytest

from flyte_jupyter.idl import core, literals
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.json_inputs import literals_from

OF = {name: core.LiteralType(simple=kind) for name, kind in core.SimpleType.items()}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("DURATION", 1e300),
        ("DURATION", float("inf")),
        ("DURATION", float("nan")),
        ("DATETIME", "9999-12-31T23:59:59"),
        ("INTEGER", 2**70),
        ("INTEGER", 2**63),
        ("INTEGER", 1.5),
        ("FLOAT", 2**2000),
        ("STRING", "\ud800"),
        ("STRING", {"scalar": {"primitive": {"integer": "x"}}}),
    ],
)
def test_a_value_that_is_none_of_its_type_is_refused_by_name(kind, value):
    with pytest.raises(InvalidArgument, match="Input 'x'"):
        literals_from({"x": value}, {"x": OF[kind]})


FILE = core.LiteralType(blob=core.BlobType())
FILES = core.LiteralType(collection_type=FILE)
TABLE = core.LiteralType(structured_dataset_type=core.StructuredDatasetType())


def test_a_time_without_a_zone_is_refused_where_it_may_be_none_too():
    kind = core.LiteralType(union_type=core.UnionType(variants=[OF["DATETIME"], OF["NONE"]]))
    for of in (OF["DATETIME"], kind):
        with pytest.raises(InvalidArgument, match="Input 'x'"):
            literals_from({"x": "2024-01-02T00:00:00"}, {"x": of})


@pytest.mark.parametrize(
    ("variants", "value", "taken"),
    [
        ((FILE, OF["NONE"]), "s3://b/f", FILE),
        ((FILE, OF["NONE"]), None, OF["NONE"]),
        ((FILE, OF["STRING"]), "s3://b/f", OF["STRING"]),
        ((OF["NONE"], FILES), ["s3://b/f"], FILES),
        ((TABLE, OF["NONE"]), "s3://b/t", TABLE),
        ((OF["DATETIME"], OF["NONE"]), "2024-01-02T00:00:00Z", OF["DATETIME"]),
        ((OF["DURATION"], OF["NONE"]), 90, OF["DURATION"]),
    ],
)
def test_what_may_be_none_is_written_as_what_may_not(variants, value, taken):
    kind = core.LiteralType(union_type=core.UnionType(variants=variants))
    made = literals_from({"x": value}, {"x": kind}).literals["x"]
    assert made.scalar.union.type == taken
    if taken != OF["DATETIME"] and taken != OF["DURATION"]:
        assert literals.value(made) == value
