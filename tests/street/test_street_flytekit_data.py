"""Files, folders, tables and whatever else does not fit into a literal, from task to task and from clients to tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
from flytekit_specs import DOMAIN, PROJECT, specs
from flytekit_street import HERE, serving

from flyte_jupyter.idl import admin, core, service

DATA = specs("data")
PROGRAMS = [
    ("folders", {"texts": ["one", "two"]}, ["one", "two"]),
    ("tables", {"n": 4}, 12),
    ("pickles", {"word": "odd"}, "odd"),
    ("reports", {"text": "all is well"}, "a report: all is well"),
    ("several", {"text": "twice"}, "twice+twice"),
]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data"), "data") as street:
        yield street


def test_what_is_no_literal_goes_from_task_to_task(street):
    runs = [(street.start(DATA, short, **inputs), wanted) for short, inputs, wanted in PROGRAMS]
    for name, wanted in runs:
        assert street.succeeded(name) == {"o0": wanted}


def test_files_folders_and_tables_are_taken_out_of_a_data_class(street):
    found = street.succeeded(street.start(DATA, "parts", text="all"))
    assert Path(found.pop("o4")).read_text() == "all"
    assert found == {"o0": "all+all", "o1": ["all"], "o2": 3, "o3": "all"}


def test_files_go_where_the_execution_wants_them(street, tmp_path):
    spec = admin.ExecutionSpec()
    spec.raw_output_data_config.output_location_prefix = f"file://{tmp_path}"
    name = street.launched(DATA, "files", spec, text="what the task wrote")
    found = street.succeeded(name)
    assert found["o1"] == "what the task wrote"
    file = Path(found["o0"].removeprefix("file://"))
    assert file.is_relative_to(tmp_path)
    assert f"{name}-n0-0" in file.parts
    assert file.read_text() == "what the task wrote"


def test_a_file_that_a_client_has_uploaded_is_read(street):
    asked = service.CreateUploadLocationRequest(
        project=PROJECT, domain=DOMAIN, filename="given.txt", filename_root="uploads"
    )
    location = street.tell(
        "POST", "dataproxy/artifact_urn", asked, service.CreateUploadLocationResponse
    )
    path = "/x/v1/" + location.signed_url.partition("/x/v1/")[2]
    assert street.call("PUT", path, b"what the client wrote").status == 200
    request = street.request(DATA, "given", admin.ExecutionSpec())
    blob = core.Blob(uri=location.native_url)
    request.inputs.literals["file"].scalar.blob.CopyFrom(blob)
    name = street.tell("POST", "executions", request, admin.ExecutionCreateResponse).id.name
    assert street.succeeded(name) == {"o0": "what the client wrote"}


def test_decks_are_shown(street):
    name = street.start(DATA, "decks")
    street.succeeded(name)
    assert street.node(name, "n0").closure.deck_uri.endswith(f"-{name}/n0/data/0/deck.html")
    deck = street.call("GET", f"/x/v1/decks/{HERE}/{name}/n0")
    assert (deck.status, b"what the task drew" in deck.body) == (200, True)
    assert street.call("GET", f"/x/v1/decks/{HERE}/{name}/end-node").status == 404
