"""What flytekit serialises is registered over REST as its own client would do it."""

from __future__ import annotations

import pytest
from flytekit_specs import FAMILIES, specs

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.digests import message_digest

PROTOBUF = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"}


def request_of(name: core.Identifier, spec):
    """The request that registers a specification, and its path."""
    match spec:
        case admin.TaskSpec():
            return "/api/v1/tasks", admin.TaskCreateRequest(id=name, spec=spec)
        case admin.WorkflowSpec():
            return "/api/v1/workflows", admin.WorkflowCreateRequest(id=name, spec=spec)
        case _:
            return "/api/v1/launch_plans", admin.LaunchPlanCreateRequest(id=name, spec=spec)


def post(server, path, message):
    return server.raw("POST", path, message.SerializeToString(), **PROTOBUF)


def register(server, module: str, version: str = "v1"):
    """All of a module, in the order in which flytekit's client registers it."""
    made = specs(module, version=version)
    for name, spec in made.entities:
        answer = post(server, *request_of(name, spec))
        assert answer.status == 200, f"{name.name}: {answer.body!r}"
    return made


@pytest.mark.parametrize("module", FAMILIES)
def test_a_module_of_workflows_is_registered(server, module):
    made = register(server, module)
    for name in made.workflows:
        path = f"/api/v1/workflows/flytesnacks/development/{name}/v1"
        answer = server.raw("GET", path, **PROTOBUF)
        stored = admin.Workflow.FromString(answer.body).closure.compiled_workflow
        here = made.compiled(name.rpartition(".")[2])
        assert message_digest(stored) == here.digest, "the server compiles as the compiler does"


def test_registering_again_is_success_and_otherwise_a_refusal(server):
    made = register(server, "subworkflows")
    name, spec = next(
        (i, s) for i, s in made.entities if i.name.endswith("outer") and i.resource_type == 2
    )
    path, request = request_of(name, spec)
    code, body = server.call("POST", path, as_dict(request))
    assert code == 409, body
    assert "this very structure" in body["message"]
    other = type(request)()
    other.CopyFrom(request)
    inner = next(w for w in other.spec.sub_workflows if w.id.name.endswith("innermost"))
    inner.nodes[0].metadata.retries.retries = 7
    code, body = server.call("POST", path, as_dict(other))
    assert code == 400, body
    assert "another structure" in body["message"]


def test_what_a_workflow_refers_to_must_be_registered_first(server):
    made = specs("launch_plans")
    name, spec = next((i, s) for i, s in made.entities if i.name == made.name("parent"))
    code, body = server.call("POST", *with_body(request_of(name, spec)))
    assert code == 400
    for plan in ("plain", "cubes", "tens"):
        assert f"launch_plan flytesnacks/development/{made.name(plan)}@v1" in body["message"]


def test_problems_inside_a_sub_workflow_name_it(server):
    made = register(server, "subworkflows", version="v2")
    name, spec = next((i, s) for i, s in made.entities if i.name == made.name("outer"))
    broken = admin.WorkflowSpec()
    broken.CopyFrom(spec)
    inner = next(w for w in broken.sub_workflows if w.id.name.endswith("innermost"))
    inner.nodes[1].inputs[0].binding.promise.node_id = "nobody"
    name.version = "v3"
    code, body = server.call("POST", *with_body(request_of(name, broken)))
    assert code == 400
    where = f"NodeReferenceNotFound: in sub-workflow {made.name('innermost')}: n1.inputs.x"
    assert where in body["message"]


def with_body(request):
    path, message = request
    return path, as_dict(message)


def as_dict(message):
    from server_specs import as_json

    return as_json(message)
