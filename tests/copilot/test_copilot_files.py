"""Literals into files and files into literals."""

import json
import math
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_jupyter.idl import core, literals, types
from flyte_jupyter.kernel.runtime.copilot.inputs import file_name, name_of, write_inputs
from flyte_jupyter.kernel.runtime.copilot.outputs import (
    MOST_VALUE,
    DeclaredError,
    read_outputs,
)
from flyte_jupyter.kernel.runtime.copilot.values import BadValue
from flyte_jupyter.kernel.types.storage import fetch

S = core.SimpleType
FORMATS = core.DataLoadingConfig


def simple(kind):
    return core.LiteralType(simple=kind)


def listed(kind):
    return core.LiteralType(collection_type=kind)


def mapped(kind):
    return core.LiteralType(map_value_type=kind)


def either(*kinds):
    return core.LiteralType(union_type=core.UnionType(variants=kinds))


def union(value, kind):
    return core.Literal(scalar=core.Scalar(union=core.Union(value=value, type=kind)))


def blob(uri, *, folder=False, file_format=""):
    kind = core.BlobType(
        format=file_format,
        dimensionality=core.BlobType.MULTIPART if folder else core.BlobType.SINGLE,
    )
    return core.Literal(
        scalar=core.Scalar(blob=core.Blob(uri=uri, metadata=core.BlobMetadata(type=kind)))
    )


def blob_type(*, folder=False, file_format=""):
    return core.LiteralType(
        blob=blob("", folder=folder, file_format=file_format).scalar.blob.metadata.type
    )


def table(uri):
    kind = core.StructuredDatasetType(format="parquet")
    metadata = core.StructuredDatasetMetadata(structured_dataset_type=kind)
    return core.Literal(
        scalar=core.Scalar(structured_dataset=core.StructuredDataset(uri=uri, metadata=metadata))
    )


def raw(data):
    return core.Literal(scalar=core.Scalar(binary=core.Binary(value=data)))


def error(message):
    return core.Literal(scalar=core.Scalar(error=core.Error(message=message)))


ENUM = core.LiteralType(enum_type=core.EnumType(values=["red", "green"]))
TABLE = core.LiteralType(structured_dataset_type=core.StructuredDatasetType(format="parquet"))
MOMENT = datetime(2024, 5, 1, 12, 30, 15, 250000, tzinfo=UTC)
INTEGER, FLOAT, TEXT, NONE = simple(S.INTEGER), simple(S.FLOAT), simple(S.STRING), simple(S.NONE)
CASES = {
    "integer": (literals.literal(-5), INTEGER, "-5", -5),
    "largest": (literals.literal(2**63 - 1), INTEGER, str(2**63 - 1), 2**63 - 1),
    "real": (literals.literal(2.5), FLOAT, "2.5", 2.5),
    "whole real": (literals.literal(2.0), FLOAT, "2", 2.0),
    "infinite": (literals.literal(math.inf), FLOAT, "+Inf", "Infinity"),
    "truth": (literals.literal(True), simple(S.BOOLEAN), "true", True),
    "text": (literals.literal("grüß\n dich "), TEXT, "grüß\n dich ", "grüß\n dich "),
    "no text": (literals.literal(""), TEXT, "", ""),
    "time": (
        literals.literal(MOMENT),
        simple(S.DATETIME),
        "2024-05-01T12:30:15.250Z",
        "2024-05-01T12:30:15.250Z",
    ),
    "duration": (
        literals.literal(timedelta(hours=1, seconds=2)),
        simple(S.DURATION),
        "1h0m2s",
        "1h0m2s",
    ),
    "bytes": (raw(b"\x00\xff"), simple(S.BINARY), b"\x00\xff", "AP8="),
    "nothing": (literals.none(), NONE, "null", None),
    "error": (error("it broke"), simple(S.ERROR), "it broke", "it broke"),
    "structure": (
        literals.binary({"a": [1, 2.5, None], "b": {"c": "ü"}}),
        simple(S.STRUCT),
        '{"a": [1, 2.5, null], "b": {"c": "ü"}}',
        {"a": [1, 2.5, None], "b": {"c": "ü"}},
    ),
    "enumerated": (literals.literal("green"), ENUM, "green", "green"),
    "optional": (union(literals.literal(3), INTEGER), either(NONE, INTEGER), "3", 3),
    "optional, nothing": (union(literals.none(), NONE), either(INTEGER, NONE), "null", None),
    "text or number": (union(literals.literal("x"), TEXT), either(TEXT, INTEGER), "x", "x"),
}
FOLDERS = {
    "list": (
        literals.literal([1, 2, 3]),
        listed(INTEGER),
        {"0": "1", "1": "2", "2": "3"},
        [1, 2, 3],
    ),
    "empty list": (literals.literal([]), listed(INTEGER), {}, []),
    "long list": (
        literals.literal(list(range(12))),
        listed(INTEGER),
        {str(n): str(n) for n in range(12)},
        list(range(12)),
    ),
    "nested list": (
        literals.literal([["a"], []]),
        listed(listed(TEXT)),
        {"0/0": "a"},
        [["a"], []],
    ),
    "map": (
        literals.literal({"x": 1.5, "../../y": 2.5, ".": 3.5, "": 4.5}),
        mapped(FLOAT),
        {"x": "1.5", "..%2F..%2Fy": "2.5", "%2E": "3.5", "%": "4.5"},
        {"x": 1.5, "../../y": 2.5, ".": 3.5, "": 4.5},
    ),
    "map of lists": (
        literals.literal({"a": [True]}),
        mapped(listed(simple(S.BOOLEAN))),
        {"a/0": "true"},
        {"a": [True]},
    ),
    "list with nothing": (
        core.Literal(
            collection=core.LiteralCollection(
                literals=[union(literals.none(), NONE), union(literals.literal(1), INTEGER)]
            )
        ),
        listed(either(INTEGER, NONE)),
        {"0": "null", "1": "1"},
        [None, 1],
    ),
}


def inputs_of(**named):
    return core.LiteralMap(literals=named)


def variables(**named):
    return core.VariableMap(
        variables={name: core.Variable(type=kind) for name, kind in named.items()}
    )


def no_store(path, name):
    raise AssertionError(f"{path} was stored")


def read(folder, kind, store=no_store):
    return read_outputs(folder, variables(x=kind), store).literals["x"]


def wrong(folder, kind, store=no_store):
    with pytest.raises(BadValue) as found:
        read(folder, kind, store)
    return str(found.value)


@pytest.mark.parametrize("name", CASES)
def test_a_value_is_a_file_and_the_file_is_the_value_again(name, tmp_path):
    literal, kind, content, plain = CASES[name]
    assert types.mismatch(literal, kind) is None
    write_inputs(inputs_of(x=literal), tmp_path)
    expected = content if isinstance(content, bytes) else content.encode()
    assert (tmp_path / "x").read_bytes() == expected
    assert json.loads((tmp_path / "inputs.json").read_text()) == {"x": plain}
    assert core.LiteralMap.FromString((tmp_path / "inputs.pb").read_bytes()) == inputs_of(x=literal)
    assert read(tmp_path, kind) == literal


@pytest.mark.parametrize("name", FOLDERS)
def test_lists_and_maps_are_folders_and_come_back(name, tmp_path):
    literal, kind, files, plain = FOLDERS[name]
    write_inputs(inputs_of(x=literal), tmp_path)
    found = {
        p.relative_to(tmp_path / "x").as_posix(): p.read_text()
        for p in (tmp_path / "x").rglob("*")
        if p.is_file()
    }
    assert found == files
    assert json.loads((tmp_path / "inputs.json").read_text()) == {"x": plain}
    assert read(tmp_path, kind) == literal


@pytest.mark.parametrize("name", FOLDERS)
def test_lists_and_maps_may_come_as_json(name, tmp_path):
    literal, kind, _, plain = FOLDERS[name]
    (tmp_path / "x").write_text(json.dumps(plain))
    assert read(tmp_path, kind) == literal


def test_the_formats(tmp_path):
    given_inputs = inputs_of(
        a=literals.literal("x: [1]\n- é"), b=literals.literal([1.5, {"k": True}])
    )
    plain = {"a": "x: [1]\n- é", "b": [1.5, {"k": True}]}
    for name, number in FORMATS.LiteralMapFormat.items():
        write_inputs(given_inputs, tmp_path / name, number)
    assert json.loads((tmp_path / "JSON/inputs.json").read_text()) == plain
    assert yaml.safe_load((tmp_path / "YAML/inputs.yaml").read_text()) == plain
    assert sorted(p.name for p in (tmp_path / "PROTO").iterdir()) == ["a", "b", "inputs.pb"]
    assert core.LiteralMap.FromString((tmp_path / "PROTO/inputs.pb").read_bytes()) == given_inputs


@pytest.mark.parametrize(
    "text", ["\x7f", "a\x85b", "\x90", "\u2028", "\ufeff", "\uffff", "é\U0001f600"]
)
def test_whatever_a_text_has_in_it_yaml_gives_it_back(text, tmp_path):
    given = core.LiteralMap(literals={"s": literals.literal(text)})
    write_inputs(given, tmp_path, core.DataLoadingConfig.YAML)
    assert yaml.safe_load((tmp_path / "inputs.yaml").read_text()) == {"s": text}


def test_an_old_struct_is_written_as_its_json(tmp_path):
    struct = core.Literal()
    struct.scalar.generic.update({"a": 1, "b": [True, None]})
    write_inputs(inputs_of(x=struct), tmp_path)
    assert json.loads((tmp_path / "x").read_text()) == {"a": 1, "b": [True, None]}


# -- files, folders, tables ------------------------------------------------------------------------


@pytest.fixture
def remote(tmp_path):
    folder = tmp_path / "remote"
    (folder / "dir/sub").mkdir(parents=True)
    (folder / "file.bin").write_bytes(b"\x00data")
    (folder / "dir/one").write_text("1")
    (folder / "dir/sub/two").write_text("2")
    return folder


def test_files_are_fetched_and_named_as_their_reader_sees_them(remote, tmp_path):
    given_inputs = inputs_of(
        file=blob(f"file://{remote}/file.bin"),
        folder=blob(f"{remote}/dir", folder=True),
        table=table(f"file://{remote}/dir"),
        files=core.Literal(
            collection=core.LiteralCollection(literals=[blob(f"{remote}/file.bin")])
        ),
        maybe=union(blob(f"{remote}/file.bin"), blob_type()),
    )
    local = tmp_path / "in"
    write_inputs(given_inputs, local, fetch=fetch, seen_as="/var/flyte/inputs")
    assert (local / "file").read_bytes() == b"\x00data"
    assert (local / "folder/sub/two").read_text() == "2"
    assert (local / "table/one").read_text() == "1"
    assert (local / "files/0").read_bytes() == b"\x00data"
    assert json.loads((local / "inputs.json").read_text()) == {
        "file": "/var/flyte/inputs/file",
        "folder": "/var/flyte/inputs/folder",
        "table": "/var/flyte/inputs/table",
        "files": ["/var/flyte/inputs/files/0"],
        "maybe": "/var/flyte/inputs/maybe",
    }
    seen = core.LiteralMap.FromString((local / "inputs.pb").read_bytes())
    assert seen.literals["folder"] == blob("/var/flyte/inputs/folder", folder=True)
    assert given_inputs.literals["file"].scalar.blob.uri == f"file://{remote}/file.bin"


def test_without_a_way_to_fetch_files_stay_where_they_are(remote, tmp_path):
    write_inputs(inputs_of(x=blob("s3://bucket/x")), tmp_path / "in")
    assert (tmp_path / "in/x").read_text() == "s3://bucket/x"
    assert json.loads((tmp_path / "in/inputs.json").read_text()) == {"x": "s3://bucket/x"}


class Kept:
    """Keeps what is stored."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, path, name):
        (shutil.copytree if path.is_dir() else shutil.copyfile)(
            path, self.folder / name.replace("/", "_")
        )
        return f"kept://{name}"


@pytest.fixture
def kept(tmp_path):
    (tmp_path / "kept").mkdir()
    return Kept(tmp_path / "kept")


def test_a_file_is_stored_under_its_name(remote, kept):
    os.rename(remote / "file.bin", remote / "x")
    kind = blob_type(file_format="csv")
    assert read(remote, kind, kept) == blob("kept://x", file_format="csv")
    assert (kept.folder / "x").read_bytes() == b"\x00data"


def test_a_folder_is_stored_whole(remote, kept):
    os.rename(remote / "dir", remote / "x")
    assert read(remote, blob_type(folder=True), kept) == blob("kept://x", folder=True)
    assert (kept.folder / "x/sub/two").read_text() == "2"


def test_an_output_may_have_an_extension(tmp_path, kept):
    names = {
        "model": blob_type(),
        "score": INTEGER,
        "score.old": INTEGER,
        "maybe": either(TEXT, NONE),
    }
    for file, text in {"model.tar.gz": "m", "score.txt": "7", "score.old": "6"}.items():
        (tmp_path / file).write_text(text)
    outputs = core.VariableMap(variables={k: core.Variable(type=v) for k, v in names.items()})
    found = read_outputs(tmp_path, outputs, kept).literals
    assert found["model"] == blob("kept://model.tar.gz")
    assert [found[name].scalar.primitive.integer for name in ("score", "score.old")] == [7, 6]
    assert found["maybe"].scalar.union.value == literals.none()


def test_of_several_extensions_none_is_chosen_and_a_file_without_goes_before_all(tmp_path):
    for file in ("x.txt", "x.json"):
        (tmp_path / file).write_text("7")
    assert "did not write it" in wrong(tmp_path, INTEGER)
    (tmp_path / "x").write_text("8")
    assert read(tmp_path, INTEGER).scalar.primitive.integer == 8


def test_a_file_whose_name_no_uri_can_have_is_not_stored_under_another(tmp_path, kept):
    """What reads URIs takes two colons for the beginning of another one."""
    (tmp_path / "a::b").write_text("1")
    (tmp_path / "x").write_text('["a::b"]')
    assert "'a::b' has '::' in it" in wrong(tmp_path, listed(blob_type()))
    assert not list(kept.folder.iterdir())


def test_a_table_is_stored_as_the_file_or_folder_that_it_is(remote, kept):
    os.rename(remote / "dir", remote / "x")
    assert read(remote, TABLE, kept) == table("kept://x")
    untold = core.LiteralType(structured_dataset_type=core.StructuredDatasetType())
    found = read(remote, untold, lambda path, name: f"kept://{name}")
    assert found.scalar.structured_dataset.metadata.structured_dataset_type.format == "parquet"
    assert types.mismatch(found, untold) is None


def test_files_inside_lists_are_stored_whether_they_stand_in_a_folder_or_are_named(remote, kept):
    kind = listed(blob_type())
    (remote / "x").mkdir()
    shutil.copy(remote / "file.bin", remote / "x/0")
    expected = core.Literal(collection=core.LiteralCollection(literals=[blob("kept://x/0")]))
    assert read(remote, kind, kept) == expected
    shutil.rmtree(remote / "x")
    (remote / "x").write_text(json.dumps(["file.bin", f"{remote}/dir/one"]))
    named = [blob("kept://file.bin"), blob("kept://dir/one")]
    assert read(remote, kind, kept) == core.Literal(
        collection=core.LiteralCollection(literals=named)
    )


def test_an_optional_file_is_there_or_not(remote, kept):
    kind = either(blob_type(), NONE)
    assert read(remote, kind, kept) == union(literals.none(), NONE)
    with (remote / "x").open("wb") as file:
        file.truncate(MOST_VALUE + 1)
    assert read(remote, kind, kept) == union(blob("kept://x"), blob_type())


# -- what is wrong names its output ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        ("five", INTEGER, ["expected int", "'five'"]),
        ("1.5", INTEGER, ["expected int", "'1.5'"]),
        ("x", FLOAT, ["expected float"]),
        ("yes", simple(S.BOOLEAN), ["expected bool", "'yes'"]),
        ("yesterday", simple(S.DATETIME), ["expected datetime", "2024-05-01T12:00:00Z"]),
        ("5", simple(S.DURATION), ["expected timedelta", "1h30m"]),
        (b"\xff", TEXT, ["UTF-8"]),
        ("{", simple(S.STRUCT), ["JSON"]),
        ("[" * 100_000, simple(S.STRUCT), ["JSON"]),
        ("blue", ENUM, ["red, green", "'blue'"]),
        ("[1, true]", listed(INTEGER), ["[1]: ", "expected int", "True"]),
        ('{"a": {"b": "c"}}', mapped(mapped(INTEGER)), [".a.b: ", "expected int", "'c'"]),
        ("{}", listed(INTEGER), ["expected list[int]"]),
        ("[9223372036854775808]", listed(INTEGER), ["[0]", "64 bits"]),
        ('["AP8"]', listed(simple(S.BINARY)), ["[0]", "base64"]),
        ('{"a": 18446744073709551616}', simple(S.STRUCT), ["64 bits"]),
        ("x", either(INTEGER, FLOAT), ["expected int | float", "'x'"]),
        ('["../../etc/passwd"]', listed(blob_type()), ["[0]", "leads out"]),
        ('["/etc/passwd"]', listed(blob_type()), ["[0]", "leads out"]),
        ('["x/../../x"]', listed(blob_type()), ["[0]", "leads out"]),
        ('["."]', listed(blob_type(folder=True)), ["[0]", "leads out"]),
        ('["a\\u0000b"]', listed(blob_type()), ["[0]", "no path"]),
        ('["nowhere"]', listed(blob_type()), ["[0]", "did not write it"]),
        ("0001-01-01T00:00:00+14:00", simple(S.DATETIME), ["expected datetime"]),
        ("99999999999 days, 1:00:00", simple(S.DURATION), ["expected timedelta"]),
        ("1e400", FLOAT, ["too large"]),
        ("[1e400]", listed(FLOAT), ["too large"]),
        ("[[1]]", listed(FLOAT), ["[0]", "expected float"]),
        ("[{}]", listed(FLOAT), ["[0]", "expected float"]),
        ('{"\\ud800": 1}', mapped(INTEGER), ["key", "half of a character"]),
    ],
)
def test_content_that_is_not_of_its_type(content, kind, words, tmp_path):
    (tmp_path / "x").write_bytes(content if isinstance(content, bytes) else content.encode())
    message = wrong(tmp_path, kind)
    assert message.startswith("output 'x'")
    assert all(word in message for word in words), message
    assert len(message) < 1000


@pytest.mark.parametrize(
    "kind",
    [
        INTEGER,
        TEXT,
        blob_type(),
        blob_type(folder=True),
        TABLE,
        listed(TEXT),
        either(TEXT, INTEGER),
    ],
)
def test_an_output_that_was_not_written(kind, tmp_path):
    message = wrong(tmp_path, kind)
    assert message.startswith("output 'x': there is no")
    assert "did not write it" in message


def test_a_folder_where_a_file_belongs_and_the_other_way_round(tmp_path):
    (tmp_path / "x").mkdir()
    assert "folder" in wrong(tmp_path, INTEGER)
    assert "expected a file" in wrong(tmp_path, blob_type())
    (tmp_path / "x").rmdir()
    (tmp_path / "x").write_text("1")
    assert "expected a folder" in wrong(tmp_path, blob_type(folder=True))


def test_a_list_whose_folder_has_a_hole(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/0").write_text("1")
    (tmp_path / "x/2").write_text("1")
    assert "0 to 1" in wrong(tmp_path, listed(INTEGER))


def test_a_value_that_is_too_large_for_one(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        file.truncate(MOST_VALUE + 1)
    assert str(MOST_VALUE) in wrong(tmp_path, TEXT)


@pytest.mark.parametrize("kind", [TEXT, blob_type(), TABLE, listed(TEXT), either(TEXT, NONE)])
def test_links_out_of_the_folder_are_not_followed(kind, tmp_path):
    outputs = tmp_path / "out"
    outputs.mkdir()
    (tmp_path / "secret").write_text("secret")
    (outputs / "x").symlink_to(tmp_path / "secret")
    assert "leads out" in wrong(outputs, kind)


def test_a_folder_with_a_link_out_or_with_no_file_is_not_stored(tmp_path):
    outputs = tmp_path / "out"
    (outputs / "x").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (outputs / "x/link").symlink_to(tmp_path / "secret")
    assert "link" in wrong(outputs, blob_type(folder=True))
    (outputs / "x/link").unlink()
    os.mkfifo(outputs / "x/pipe")
    assert "neither a file nor a folder" in wrong(outputs, blob_type(folder=True))


def test_a_link_to_a_file_of_the_same_folder_is_that_file(tmp_path, kept):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/real").write_text("real")
    (tmp_path / "out/x").symlink_to("real")
    assert read(tmp_path / "out", blob_type(), kept) == blob("kept://x")
    assert (kept.folder / "x").read_text() == "real"


def test_a_file_name_that_is_no_text(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / os.fsdecode(b"x/\xff")).write_text("1")
    assert "UTF-8" in wrong(tmp_path, mapped(INTEGER))


def test_a_container_may_say_itself_that_it_failed(tmp_path):
    (tmp_path / "_ERROR").write_text("no such column\n")
    with pytest.raises(DeclaredError, match=r"^no such column$"):
        read(tmp_path, INTEGER)


@pytest.mark.parametrize("target", ["/etc/passwd", "nowhere", "", "x"])
def test_whatever_stands_where_it_says_so_it_has_failed(target, tmp_path):
    """A folder or a link too; what a link leads to is told only of a file of the same folder."""
    (tmp_path / "x").write_text("5")
    if target:
        (tmp_path / "_ERROR").symlink_to(target)
    else:
        (tmp_path / "_ERROR").mkdir()
    with pytest.raises(DeclaredError) as error:
        read(tmp_path, INTEGER)
    assert str(error.value) == "5" if target == "x" else "is no file of the" in str(error.value)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4))
@settings(
    max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_every_map_comes_back_whatever_its_keys(tmp_path, entries):
    folder = Path(tmp_path, os.urandom(8).hex())
    entries = {key: value for key, value in entries.items() if "\x00" not in value}
    literal = core.Literal(
        map=core.LiteralMap(literals={k: literals.literal(v) for k, v in entries.items()})
    )
    write_inputs(inputs_of(x=literal), folder)
    assert read(folder, mapped(TEXT)) == literal


@given(st.text())
def test_every_name_has_a_file_name_of_its_own(name):
    made = file_name(name)
    assert name_of(made) == name
    assert "/" not in made
    assert "\x00" not in made
    assert made not in ("", ".", "..")
