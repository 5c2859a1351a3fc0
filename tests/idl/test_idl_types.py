"""What literal types are called, which may stand for which, and what is of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flyte_jupyter.idl import core, digests, literals, msgpack, types
from flyte_jupyter.idl.literals import BindingError, attribute, binary, literal, value

Simple = core.SimpleType


def simple(of):
    return core.LiteralType(simple=of)


def several(of):
    return core.LiteralType(collection_type=of)


def named(of):
    return core.LiteralType(map_value_type=of)


def union(*of):
    return core.LiteralType(union_type=core.UnionType(variants=of))


def blob(form="", folder=False):
    shape = core.BlobType.MULTIPART if folder else core.BlobType.SINGLE
    return core.LiteralType(blob=core.BlobType(format=form, dimensionality=shape))


def table(**columns):
    return core.LiteralType(
        structured_dataset_type=core.StructuredDatasetType(
            columns=[
                core.StructuredDatasetType.DatasetColumn(name=n, literal_type=k)
                for n, k in columns.items()
            ]
        )
    )


INT, FLOAT, STR, BOOL, NONE, STRUCT = map(
    simple,
    [Simple.INTEGER, Simple.FLOAT, Simple.STRING, Simple.BOOLEAN, Simple.NONE, Simple.STRUCT],
)
ENUM = core.LiteralType(enum_type=core.EnumType(values=["red", "green"]))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (INT, "int"),
        (several(named(FLOAT)), "list[dict[str, float]]"),
        (union(STR, NONE), "str | None"),
        (ENUM, "enum(red, green)"),
        (blob(), "FlyteFile"),
        (blob("csv", True), "FlyteDirectory[csv]"),
        (table(), "DataFrame"),
        (table(a=INT), "DataFrame[a]"),
        (STRUCT, "struct"),
        (core.LiteralType(), "unknown"),
    ],
)
def test_types_have_names(kind, text):
    assert types.describe(kind) == text


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (INT, INT),
        (several(INT), several(INT)),
        (INT, union(INT, NONE)),
        (NONE, union(INT, NONE)),
        (union(INT), INT),
        (union(INT, NONE), union(NONE, STR, INT)),
        (ENUM, STR),
        (STR, ENUM),
        (blob("csv"), blob()),
        (blob(), blob("csv")),
        (several(NONE), several(INT)),
        (core.LiteralType(map_value_type=NONE), core.LiteralType(map_value_type=STR)),
        (union(INT, ENUM), union(STR, INT, NONE)),
        (NONE, table(a=INT)),
        (table(a=INT, b=STR), table(a=INT)),
        (table(), table(a=INT)),
        (core.LiteralType(schema=core.SchemaType()), table()),
        (STRUCT, STRUCT),
        (several(union(INT, NONE)), several(union(INT, NONE))),
    ],
)
def test_what_may_stand_for_what(source, target):
    assert types.castable(source, target)


def told(**properties):
    """A data class as older clients tell it: by its JSON schema only."""
    kind = core.LiteralType(simple=core.SimpleType.STRUCT)
    kind.metadata.update({"type": "object", "properties": properties})
    return kind


def test_data_classes_told_by_a_schema_only():
    whole, text = {"type": "integer"}, {"type": "string"}
    deep = {"type": "object", "properties": {"a": whole}}
    other = {"type": "object", "properties": {"a": text}}
    assert types.castable(told(a=whole, b=text), told(a=whole))
    assert not types.castable(told(a=whole), told(a=whole, b=text))
    assert not types.castable(told(a=whole), told(a=text))
    assert types.castable(told(d=deep), told(d=deep | {"title": "D"}))
    assert not types.castable(told(d=deep), told(d=other))
    assert types.castable(told(a=whole), STRUCT)
    assert types.castable(STRUCT, told(a=whole))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (INT, FLOAT),
        (FLOAT, INT),
        (INT, STR),
        (several(INT), INT),
        (INT, several(INT)),
        (several(INT), named(INT)),
        (union(INT, NONE), INT),
        (BOOL, union(INT, NONE)),
        (blob("csv"), blob("json")),
        (blob(), blob(folder=True)),
        (table(a=INT), table(a=STR)),
        (table(a=INT), table(b=INT)),
        (ENUM, core.LiteralType(enum_type=core.EnumType(values=["red"]))),
        (NONE, INT),
        (INT, core.LiteralType()),
    ],
)
def test_what_may_not(source, target):
    assert not types.castable(source, target)


@pytest.mark.parametrize(
    ("given", "kind", "why"),
    [
        (1, INT, None),
        (1, FLOAT, "expected float, given int"),
        (True, INT, "expected int, given bool"),
        ([1, 2, "x"], several(INT), "[2]: expected int, given str"),
        ([{"x": 1}, {"x": "s"}], several(named(INT)), "[1].x: expected int, given str"),
        ([], several(INT), None),
        (None, union(INT, NONE), None),
        (None, INT, "expected int, given None"),
        ("s", union(INT, NONE), "expected int | None, given str"),
        (["s"], union(several(INT), NONE), "[0]: expected int, given str"),
        ("red", ENUM, None),
        ("blue", ENUM, "expected one of red, green, given 'blue'"),
        ("x", blob(), "expected FlyteFile, given str"),
        (1, table(), "expected DataFrame, given int"),
        (datetime(2024, 1, 1, tzinfo=UTC), simple(Simple.DATETIME), None),
        (timedelta(1), simple(Simple.DURATION), None),
        ({"a": 1}, several(INT), "expected list[int], given dict[str, int]"),
    ],
)
def test_a_mismatch_says_where_and_what(given, kind, why):
    assert types.mismatch(literal(given), kind) == why


def test_struct_literals_of_both_kinds_are_structs():
    assert types.mismatch(binary({"a": 1}), STRUCT) is None
    generic = core.Literal()
    generic.scalar.generic["a"] = 1
    assert types.mismatch(generic, STRUCT) is None
    assert types.mismatch(binary({"a": 1}), INT) == "expected int, given struct"


def test_a_union_literal_is_looked_into():
    wrapped = core.Literal(scalar=core.Scalar(union=core.Union(value=literal(1), type=INT)))
    assert types.mismatch(wrapped, union(INT, NONE)) is None
    assert types.mismatch(wrapped, INT) is None
    assert types.mismatch(wrapped, union(STR, NONE)) == "expected str | None, given int"


def test_an_empty_literal_is_of_no_type():
    for kind in (INT, several(INT), STRUCT, blob(), union(INT, NONE)):
        assert types.mismatch(core.Literal(), kind) is not None


PLAIN = [1, "x", True, None, 1.5, [1, [2]], {"a": {"b": [None]}}, timedelta(hours=1)]


@pytest.mark.parametrize("plain", PLAIN, ids=repr)
def test_literals_read_back(plain):
    assert value(literal(plain)) == plain


def test_a_naive_time_is_refused():
    with pytest.raises(TypeError, match="time zone"):
        literal(datetime(2024, 1, 1))  # noqa: DTZ001 - the point of this test


def test_attributes_lead_through_everything():
    made = binary({"xs": [1, {"y": 2.5}], "n": None})
    assert value(attribute(made, ("xs", 1, "y"))) == 2.5
    assert value(attribute(literal({"a": [7, 8]}), ("a", 1))) == 8
    generic = core.Literal()
    generic.scalar.generic["a"] = [1, {"b": 2}]
    assert value(attribute(generic, ("a", 1, "b"))) == 2


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (("nope",), r"\.nope: there is no such"),
        (("xs", 9), r"\.xs\[9\]: the list has 2"),
        (("xs", -1), "the list has 2"),
        (("xs", 0, "z"), "nothing inside"),
    ],
)
def test_an_attribute_that_leads_nowhere_is_named(path, why):
    with pytest.raises(BindingError, match=why):
        attribute(binary({"xs": [1, {"y": 2}]}), path)


def test_bindings_are_resolved_however_nested():
    asked = []

    def promise(node, var, path):
        asked.append((node, var, path))
        return literal(5)

    reference = core.OutputReference(node_id="n", var="o")
    reference.attr_path.add(int_value=0)
    data = core.BindingData(
        collection=core.BindingDataCollection(
            bindings=[
                core.BindingData(promise=reference),
                core.BindingData(
                    map=core.BindingDataMap(
                        bindings={"k": core.BindingData(scalar=literal("v").scalar)}
                    )
                ),
            ]
        )
    )
    assert value(literals.resolve_binding(data, promise)) == [5, {"k": "v"}]
    assert asked == [("n", "o", (0,))]
    with pytest.raises(BindingError):
        literals.resolve_binding(core.BindingData(), promise)


def test_digests_know_content_not_order():
    one = core.LiteralMap(literals={"a": literal(1), "b": literal({"x": 1, "y": 2})})
    two = core.LiteralMap(literals={"b": literal({"y": 2, "x": 1}), "a": literal(1)})
    assert digests.literals_digest(one) == digests.literals_digest(two)
    three = core.LiteralMap(literals={"a": literal(2), "b": literal({"x": 1, "y": 2})})
    assert digests.literals_digest(one) != digests.literals_digest(three)
    assert digests.literals_digest(one, ["a"]) == digests.literals_digest(three, ["a"])


def test_a_hash_stands_for_its_value():
    def dataset(uri, name):
        made = core.Literal(hash=name)
        made.scalar.structured_dataset.uri = uri
        return made

    first, second = dataset("s3://run1", "h"), dataset("s3://run2", "h")
    assert digests.literal_digest(first) == digests.literal_digest(second)
    inside = core.Literal(collection=core.LiteralCollection(literals=[first]))
    other = core.Literal(collection=core.LiteralCollection(literals=[second]))
    assert digests.literal_digest(inside) == digests.literal_digest(other)
    assert digests.literal_digest(first) != digests.literal_digest(dataset("s3://run1", "g"))


def test_neighbours_are_told_apart():
    assert digests.literal_digest(literal(["ab", "c"])) != digests.literal_digest(
        literal(["a", "bc"])
    )
    assert digests.literal_digest(literal([[1], 2])) != digests.literal_digest(literal([[1, 2]]))
    assert digests.literal_digest(literal([])) != digests.literal_digest(literal({}))


def variant(inner, kind):
    return core.Literal(scalar=core.Scalar(union=core.Union(value=inner, type=kind)))


def data_class(title):
    made = core.LiteralType(simple=core.SimpleType.STRUCT)
    made.metadata.update({"title": title})
    return made


PACKED = core.Literal(scalar=core.Scalar(binary=core.Binary(value=b"\x81\xa1x\x01", tag="msgpack")))
TEXT = core.LiteralType(simple=core.SimpleType.STRING)
COLOURS = core.LiteralType(enum_type=core.EnumType(values=["red"]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (literal(1), literal(1.0)),
        (literal(1), literal("1")),
        (literal(1), literal(True)),
        (literal(None), literal("")),
        (literal(None), literal([])),
        (literal([None]), literal([])),
        (literal({"a": 1, "b": 2}), literal({"a": 2, "b": 1})),
        (literal({"a": "b"}), literal({"ab": ""})),
        (literal(0.0), literal(-0.0)),
        (literal([[], [1]]), literal([[1], []])),
        (variant(PACKED, data_class("A")), variant(PACKED, data_class("B"))),
        (variant(literal("red"), TEXT), variant(literal("red"), COLOURS)),
        (variant(literal(["red"]), TEXT), variant(literal(["red"]), COLOURS)),
        (literal("hash"), core.Literal(hash="hash")),
    ],
    ids=str,
)
def test_what_is_different_has_different_digests(one, other):
    assert digests.literal_digest(one) != digests.literal_digest(other)
    pair = [core.LiteralMap(literals={"x": each}) for each in (one, other)]
    assert digests.literals_digest(pair[0]) != digests.literals_digest(pair[1])


def test_a_variant_that_says_its_type_is_the_value_itself():
    integer = core.LiteralType(simple=core.SimpleType.INTEGER)
    for inner, kind in ((literal(3), integer), (literal("x"), TEXT), (literal(None), TEXT)):
        assert digests.literal_digest(variant(inner, kind)) == digests.literal_digest(inner)


def test_an_interface_is_its_names_and_types():
    def interface(description, **inputs):
        variables = {n: core.Variable(type=k, description=description) for n, k in inputs.items()}
        return core.TypedInterface(inputs=core.VariableMap(variables=variables))

    same = digests.interface_digest(interface("one", a=INT, b=STR))
    assert same == digests.interface_digest(interface("other", b=STR, a=INT))
    assert same != digests.interface_digest(interface("one", a=INT, b=INT))


def test_the_tag_is_flytes():
    assert binary(1).scalar.binary.tag == msgpack.TAG == "msgpack"
