"""The routing table against the descriptors it is read from."""

from __future__ import annotations

import pytest
from google.api import annotations_pb2

from flyte_jupyter.server.routes import OWN_ROUTES, SERVICES, Action, find, methods_at, routes


def bindings():
    for file in SERVICES:
        for owner in file.services_by_name.values():
            for method in owner.methods:
                rule = method.GetOptions().Extensions[annotations_pb2.http]
                for binding in (rule, *rule.additional_bindings):
                    verb = binding.WhichOneof("pattern")
                    if verb:
                        yield method.name, verb.upper(), getattr(binding, verb)


def test_every_binding_of_every_service_has_its_row():
    assert {(row.rpc, row.method, row.template) for row in routes()} == set(bindings())


def test_every_rpc_has_a_binding_apart_from_one_that_flyte_leaves_out():
    names = {m.name for f in SERVICES for s in f.services_by_name.values() for m in s.methods}
    assert names - {row.rpc for row in routes()} == {"GetOrCreateSignal"}


@pytest.mark.parametrize("row", routes(), ids=lambda row: f"{row.method} {row.template}")
def test_a_row_is_found_by_its_own_path_and_fields_survive_encoding(row):
    path = row.template
    for field in row.fields:
        path = path.replace("{" + field + "}", "a%2Fb%20c", 1)
    found = find(row.method, path)
    assert found is not None
    assert found[0] == row
    assert set(found[1]) == set(row.fields)
    assert set(found[1].values()) <= {"a/b c"}


def test_field_names_exist_in_the_request():
    for row in routes():
        for path in row.fields:
            kind = row.request.DESCRIPTOR
            for name in path.split("."):
                field = kind.fields_by_name[name]
                kind = field.message_type


def test_looking_is_reading_and_running_is_executing():
    by_rpc = {row.rpc: row for row in routes()}
    for rpc, row in by_rpc.items():
        assert (row.action is Action.READ) == (
            rpc.startswith(("Get", "List"))
            or rpc in ("CreateDownloadLink", "CreateDownloadLocation")
        ), rpc
    assert by_rpc["CreateExecution"].action is Action.EXECUTE
    assert by_rpc["TerminateExecution"].action is Action.EXECUTE
    assert by_rpc["CreateTask"].action is Action.WRITE
    assert by_rpc["CreateExecution"].resource == "executions"


def test_methods_at_a_path():
    assert methods_at("/api/v1/executions/p/d/n") == ("DELETE", "GET", "PUT")
    assert methods_at("/api/v1/nowhere") == ()


def test_stop_is_not_passed_on():
    assert [row.name for row in OWN_ROUTES if not row.passed_on] == ["stop"]
