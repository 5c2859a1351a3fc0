"""What flytekit serialises is registered over REST as its own client would do it."""

from __future__ import annotations

import flytekit_platform
import pytest
from flytekit_platform import PROTOBUF, registration
from flytekit_specs import FAMILIES, specs
from server_specs import as_json

from flyte_jupyter.idl import admin
from flyte_jupyter.idl.digests import message_digest


def register(server, module, version="v1"):
    return flytekit_platform.register(
        lambda method, path, body: server.raw(method, path, body, **PROTOBUF), module, version
    )


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
    path, request = registration(name, spec)
    code, body = server.call("POST", path, as_json(request))
    assert code == 409, body
    assert "this very structure" in body["message"]
    other = type(request)()
    other.CopyFrom(request)
    inner = next(w for w in other.spec.sub_workflows if w.id.name.endswith("innermost"))
    inner.nodes[0].metadata.retries.retries = 7
    code, body = server.call("POST", path, as_json(other))
    assert code == 400, body
    assert "another structure" in body["message"]


def test_what_a_workflow_refers_to_must_be_registered_first(server):
    made = specs("launch_plans")
    name, spec = next((i, s) for i, s in made.entities if i.name == made.name("parent"))
    code, body = server.call("POST", *with_body(registration(name, spec)))
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
    code, body = server.call("POST", *with_body(registration(name, broken)))
    assert code == 400
    where = f"NodeReferenceNotFound: in sub-workflow {made.name('innermost')}: n1.inputs.x"
    assert where in body["message"]


def with_body(request):
    path, message = request
    return path, as_json(message)
