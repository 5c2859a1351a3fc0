"""Values go to literals and come back the same; what does not fit is refused by name."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_jupyter.idl import core
from flyte_jupyter.idl.types import mismatch
from flyte_jupyter.kernel.types import (
    FlyteFile,
    PrefixStorage,
    StorageError,
    TypeRegistry,
    Unfit,
    UnsupportedType,
    default_registry,
)
from flyte_jupyter.kernel.types.reading import read

REGISTRY = default_registry()
NOWHERE = PrefixStorage("", Path())
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"))


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Inner:
    x: int
    y: float = 0.5


@dataclass
class Outer:
    name: str
    inner: Inner
    many: list[Inner] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    maybe: int | None = None
    color: Color = Color.RED
    when: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    long: timedelta = timedelta(seconds=1)
    loose: dict = field(default_factory=dict)


@dataclass
class Tree:
    children: list["Tree"]


@dataclass
class WithTable:
    table: pd.DataFrame


AWARE = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001 - as above
)
INNER = st.builds(Inner, x=INT64, y=st.floats(allow_nan=False))
OUTER = st.builds(
    Outer,
    name=TEXT,
    inner=INNER,
    many=st.lists(INNER, max_size=3),
    table=st.dictionaries(TEXT, st.floats(allow_nan=False), max_size=3),
    maybe=st.none() | INT64,
    color=st.sampled_from(Color),
    when=AWARE,
    long=st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
    loose=st.dictionaries(TEXT, st.none() | st.booleans() | INT64 | TEXT, max_size=3),
)
CASES = [
    (int, INT64),
    (float, st.floats(allow_nan=False)),
    (str, TEXT),
    (bool, st.booleans()),
    (None, st.none()),
    (datetime, AWARE),
    (timedelta, st.timedeltas(timedelta(days=-3_000_000), timedelta(days=3_000_000))),
    (list[int], st.lists(INT64)),
    (list[list[str]], st.lists(st.lists(TEXT, max_size=3), max_size=3)),
    (dict[str, float], st.dictionaries(TEXT, st.floats(allow_nan=False))),
    (dict[str, list[bool]], st.dictionaries(TEXT, st.lists(st.booleans()), max_size=3)),
    (int | None, st.none() | INT64),
    (int | str, INT64 | TEXT),
    (bool | int | float | str, st.booleans() | INT64 | st.floats(allow_nan=False) | TEXT),
    (Optional[list[int]], st.none() | st.lists(INT64)),  # noqa: UP045 - the old spelling works too
    (Color, st.sampled_from(Color)),
    (Annotated[int, "rows"], INT64),
    (Inner, INNER),
    (Outer, OUTER),
    (list[Inner], st.lists(INNER, max_size=3)),
    (dict, st.dictionaries(TEXT, st.none() | INT64 | st.lists(TEXT, max_size=2), max_size=3)),
]


def there_and_back(value, python_type, storage=NOWHERE):
    converter = REGISTRY.of(python_type)
    sent = converter.encode(value, storage).SerializeToString()
    return converter.decode(core.Literal.FromString(sent), storage)


@pytest.mark.parametrize(("python_type", "values"), CASES, ids=lambda each: str(each)[:40])
def test_a_value_comes_back_the_same(python_type, values):
    @given(values)
    def check(value):
        back = there_and_back(value, python_type)
        assert back == value
        assert type(back) is type(value)

    check()


@pytest.mark.parametrize(("python_type", "values"), CASES, ids=lambda each: str(each)[:40])
def test_a_checked_value_equals_what_travels(python_type, values):
    """A call in the kernel and an attempt elsewhere see the same value."""

    @given(values)
    def check(value):
        assert REGISTRY.of(python_type).check(value) == there_and_back(value, python_type)

    check()


@pytest.mark.parametrize(("python_type", "values"), CASES, ids=lambda each: str(each)[:40])
def test_a_literal_is_of_its_literal_type(python_type, values):
    @given(values)
    def check(value):
        converter = REGISTRY.of(python_type)
        assert mismatch(converter.encode(value, NOWHERE), converter.literal_type) is None

    check()


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 5e-324])
def test_odd_floats_come_back(value):
    assert math.copysign(1, there_and_back(value, float)) == math.copysign(1, value)
    assert there_and_back(value, float) == value


def test_nan_comes_back():
    assert math.isnan(there_and_back(math.nan, float))
    assert math.isnan(there_and_back(Inner(1, math.nan), Inner).y)


@pytest.mark.parametrize(
    ("value", "python_type", "becomes"),
    [
        (1, float, 1.0),
        (2**53, float, 2.0**53),
        (np.int32(7), int, 7),
        (np.uint64(7), int, 7),
        (np.float32(0.1), float, float(np.float32(0.1))),
        (np.float64(0.1), float, 0.1),
        (np.int8(3), float, 3.0),
        (np.bool_(True), bool, True),
        (np.str_("a"), str, "a"),
        (pd.Timestamp("2020-01-01", tz="UTC"), datetime, datetime(2020, 1, 1, tzinfo=UTC)),
        (pd.Timedelta("1s"), timedelta, timedelta(seconds=1)),
        ([1, 2.5], list[float], [1.0, 2.5]),
        ("red", Color, Color.RED),
    ],
)
def test_what_loses_nothing_is_taken(value, python_type, becomes):
    checked = REGISTRY.of(python_type).check(value)
    assert checked == becomes
    assert type(checked) is type(becomes)
    assert there_and_back(value, python_type) == becomes


REFUSED = [
    (True, int, "int", ""),
    (1.0, int, "int", ""),
    ("1", int, "int", ""),
    (2**63, int, "64 bits", ""),
    (-(2**63) - 1, int, "64 bits", ""),
    (np.uint64(2**63), int, "64 bits", ""),
    (np.float64(1), int, "int", ""),
    (True, float, "float", ""),
    (2**53 + 1, float, "float", ""),
    (10**400, float, "float", ""),
    ("1", float, "float", ""),
    (1, str, "str", ""),
    (b"a", str, "str", ""),
    ("\ud800", str, "str", ""),
    (1, bool, "bool", ""),
    (0, None, "None", ""),
    (None, int, "int", ""),
    (datetime(2020, 1, 1), datetime, "time zone", ""),  # noqa: DTZ001 - that is the case
    (pd.Timestamp(1, unit="ns", tz="UTC"), datetime, "microseconds", ""),
    (pd.Timedelta(1, unit="ns"), timedelta, "microseconds", ""),
    (5, timedelta, "timedelta", ""),
    (timedelta.max, timedelta, "10,000 years", ""),
    ((1, 2), list[int], "list[int]", ""),
    (np.array([1]), list[int], "list[int]", ""),
    ([1, "2"], list[int], "int", "[1]"),
    ([[1], [2, None]], list[list[int]], "int", "[1][1]"),
    ({1: 2}, dict[str, int], "str as key", "[1]"),
    ({"a": [1, True]}, dict[str, list[int]], "int", "['a'][1]"),
    (1.5, int | str, "int | str", ""),
    ("green", Color, "Color (one of 'red', 'blue')", ""),
    ({"x": 1}, Inner, "Inner", ""),
    (Inner("1"), Inner, "int", ".x"),
    (Outer("a", Inner(1), [Inner(1), Inner(2, "z")]), Outer, "float", ".many[1].y"),
    ({"a": object()}, dict, "plain", "['a']"),
    (5, FlyteFile, "FlyteFile", ""),
    ("missing.csv", FlyteFile, "FlyteFile", ""),
    ([1], pd.DataFrame, "pandas.DataFrame", ""),
    (pl.DataFrame({"a": [1]}), pd.DataFrame, "pandas.DataFrame", ""),
    (pd.DataFrame({1: [2]}), pd.DataFrame, "column names are str", ""),
]


@pytest.mark.parametrize(("value", "python_type", "expected", "inside"), REFUSED)
def test_what_does_not_fit_is_refused_with_its_place(
    value, python_type, expected, inside, tmp_path
):
    converter = REGISTRY.of(python_type)
    storage = PrefixStorage(str(tmp_path / "blobs"), tmp_path / "work")
    for way in (converter.check, lambda given: converter.encode(given, storage)):
        with pytest.raises(Unfit) as caught:
            way(value)
        assert expected in caught.value.expected
        assert caught.value.inside == inside


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ("a", int),
        (1, str),
        (1.5, int),
        (1, bool),
        ([1], int),
        (1, list[int]),
        ({"a": 1}, list[int]),
    ],
)
def test_a_literal_of_another_type_is_refused(sent, read_as):
    literal = REGISTRY.of(
        type(sent)
        if not isinstance(sent, list | dict)
        else (list[int] if sent == [1] else dict[str, int])
    ).encode(sent, NOWHERE)
    with pytest.raises(Unfit):
        REGISTRY.of(read_as).decode(literal, NOWHERE)


def test_an_int_literal_is_read_as_float():
    assert REGISTRY.of(float).decode(REGISTRY.of(int).encode(3, NOWHERE), NOWHERE) == 3.0


@pytest.mark.parametrize(
    "python_type", [list, set[int], dict[int, str], object, complex, Tree, WithTable]
)
def test_a_type_that_cannot_travel_says_what_to_write(python_type):
    with pytest.raises(UnsupportedType) as caught:
        REGISTRY.of(python_type)
    assert len(str(caught.value)) > 20


def test_a_registry_remembers_and_shares_nothing_with_others():
    assert REGISTRY.of(list[int]) is REGISTRY.of(list[int])
    empty = TypeRegistry(())
    with pytest.raises(UnsupportedType):
        empty.of(int)


def test_literal_types_have_flytekits_shape():
    def literal_type(python_type):
        return REGISTRY.of(python_type).literal_type

    assert literal_type(int) == core.LiteralType(simple=core.SimpleType.INTEGER)
    assert literal_type(list[str]).collection_type.simple == core.SimpleType.STRING
    assert literal_type(dict[str, bool]).map_value_type.simple == core.SimpleType.BOOLEAN
    assert literal_type(FlyteFile["csv"]).blob == core.BlobType(format="csv")
    assert literal_type(pd.DataFrame).HasField("structured_dataset_type")
    union = literal_type(int | None).union_type
    assert [variant.structure.tag for variant in union.variants] == ["int", "none"]
    outer = literal_type(Outer)
    assert outer.simple == core.SimpleType.STRUCT
    assert outer.metadata["properties"]["inner"]["properties"]["x"]["type"] == "integer"
    assert list(outer.metadata["required"]) == ["name", "inner"]
    assert outer.structure.dataclass_type["many"].collection_type.simple == core.SimpleType.STRUCT


def test_a_dataclass_is_messagepack():
    literal = REGISTRY.of(Inner).encode(Inner(1, 2), NOWHERE)
    assert literal.scalar.binary.tag == "msgpack"
    assert literal.scalar.binary.value == b"\x82\xa1x\x01\xa1y\xcb@\x00\x00\x00\x00\x00\x00\x00"


def test_a_dataclass_is_read_from_the_older_struct_form():
    literal = core.Literal()
    literal.scalar.generic.update({"x": 3, "y": 1})
    assert REGISTRY.of(Inner).decode(literal, NOWHERE) == Inner(3, 1.0)


def test_a_dataclass_without_a_needed_field_is_refused():
    literal = core.Literal()
    literal.scalar.generic.update({"y": 1})
    with pytest.raises(Unfit, match="field x"):
        REGISTRY.of(Inner).decode(literal, NOWHERE)


def test_an_instance_of_an_older_definition_says_so():
    again = dataclass(type("Inner", (), {"__annotations__": {"x": int}, "__qualname__": "Inner"}))
    with pytest.raises(Unfit) as caught:
        REGISTRY.of(Inner).check(again(1))
    assert "defined again" in caught.value.remedy


@pytest.fixture
def storage(tmp_path):
    return PrefixStorage((tmp_path / "blobs").as_uri(), tmp_path / "work")


def test_a_table_comes_back(storage):
    table = pd.DataFrame(
        {"a": [1, 2], "b": ["x", None], "c": pd.to_datetime(["2020", "2021"])}, index=[5, 9]
    )
    pd.testing.assert_frame_equal(there_and_back(table, pd.DataFrame, storage), table)
    pd.testing.assert_frame_equal(there_and_back([table], list[pd.DataFrame], storage)[0], table)


def test_a_table_that_parquet_cannot_hold_is_refused(storage):
    table = pd.DataFrame({"a": [1, "x", object()]})
    with pytest.raises(Unfit, match="Parquet"):
        REGISTRY.of(pd.DataFrame).encode(table, storage)


def test_a_checked_table_can_be_changed_without_changing_the_first():
    table = pd.DataFrame({"a": [1, 2]})
    checked = REGISTRY.of(pd.DataFrame).check(table)
    checked.loc[0, "a"] = 9
    assert table.loc[0, "a"] == 1


def test_a_file_is_uploaded_and_fetched_when_first_opened(storage, tmp_path):
    (tmp_path / "a.csv").write_text("ä,b")
    literal = REGISTRY.of(FlyteFile["csv"]).encode(tmp_path / "a.csv", storage)
    assert literal.scalar.blob.uri.endswith("/a.csv")
    assert literal.scalar.blob.metadata.type.format == "csv"
    work = tmp_path / "work"
    file = REGISTRY.of(FlyteFile["csv"]).decode(literal, storage)
    assert not work.exists()
    with file.open() as opened:
        assert opened.read() == "ä,b"
    first = Path(file)
    assert first.read_text(encoding="utf-8") == "ä,b"
    assert Path(file) == first
    assert work in first.parents


def test_a_stored_file_is_passed_on_without_another_upload(storage, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\0")
    converter = REGISTRY.of(FlyteFile)
    literal = converter.encode(FlyteFile(tmp_path / "a.bin"), storage)
    assert converter.encode(converter.decode(literal, storage), storage) == literal


def test_a_file_inside_a_dataclass_travels(storage, tmp_path):
    @dataclass
    class Model:
        weights: FlyteFile

    (tmp_path / "w").write_text("1 2 3")
    back = there_and_back(Model(FlyteFile(tmp_path / "w")), Model, storage)
    assert Path(back.weights).read_text() == "1 2 3"


def test_a_file_that_is_gone_says_which(storage, tmp_path):
    gone = FlyteFile.stored((tmp_path / "gone").as_uri(), storage)
    with pytest.raises(StorageError, match="gone"):
        gone.open()


@pytest.mark.parametrize(
    ("value", "python_type", "read_as"),
    [
        (5, int, 5),
        ([1.5], list[float], [1.5]),
        ({"a": None}, dict[str, int | None], {"a": None}),
        (Inner(1), Inner, {"x": 1, "y": 0.5}),
        (Color.RED, Color, "red"),
        ([], list[int], []),
    ],
)
def test_a_literal_is_read_without_an_annotation(value, python_type, read_as):
    literal = REGISTRY.of(python_type).encode(value, NOWHERE)
    assert read(literal, REGISTRY, NOWHERE) == read_as


def test_a_table_and_a_file_are_read_without_an_annotation(storage, tmp_path):
    (tmp_path / "f").write_text("x")
    file = REGISTRY.of(FlyteFile).encode(str(tmp_path / "f"), storage)
    assert Path(read(file, REGISTRY, storage)).read_text() == "x"
    table = REGISTRY.of(pd.DataFrame).encode(pd.DataFrame({"a": [1]}), storage)
    assert read(table, REGISTRY, storage)["a"].tolist() == [1]


@pytest.mark.parametrize(
    "python_type",
    [int, float, str, bool, None, datetime, timedelta, list[int], dict[str, str], int | None],
)
def test_a_literal_type_gives_the_python_type_back(python_type):
    literal_type = REGISTRY.of(python_type).literal_type
    assert REGISTRY.of(REGISTRY.guess(literal_type)).name == REGISTRY.of(python_type).name


def test_a_file_by_its_uri_is_fetched(tmp_path):
    (tmp_path / "a.txt").write_text("hi")
    file = FlyteFile((tmp_path / "a.txt").as_uri())
    assert REGISTRY.of(FlyteFile).check(file) is file
    assert Path(file).read_text() == "hi"
    assert Path(file) != tmp_path / "a.txt"


def test_data_goes_through_other_file_systems_too(tmp_path):
    storage = PrefixStorage("memory://bucket/raw", tmp_path / "work")
    (tmp_path / "a.txt").write_text("hi")
    file = there_and_back(FlyteFile(tmp_path / "a.txt"), FlyteFile, storage)
    assert file.uri.startswith("memory://bucket/raw/")
    assert Path(file).read_text() == "hi"
    table = pd.DataFrame({"a": [1]})
    pd.testing.assert_frame_equal(there_and_back(table, pd.DataFrame, storage), table)
    with pytest.raises(StorageError, match="nonsense"):
        FlyteFile("nonsense://x/y").open()


def test_a_table_stored_as_a_folder_of_parts_is_read(tmp_path):
    """As flytekit stores it."""
    folder = tmp_path / "table"
    folder.mkdir()
    pd.DataFrame({"a": [1, 2]}).to_parquet(folder / "00000")
    literal = core.Literal()
    literal.scalar.structured_dataset.uri = folder.as_uri()
    storage = PrefixStorage("", tmp_path / "work")
    assert REGISTRY.of(pd.DataFrame).decode(literal, storage)["a"].tolist() == [1, 2]
