"""REST over the real socket: JSON and binary for every RPC, and what is refused."""

from __future__ import annotations

import json
import random
import re
import socket

import pytest
from google.protobuf import json_format
from server_specs import (
    AT,
    DOMAIN,
    PROJECT,
    as_json,
    integer,
    launch,
    launch_plan,
    name_of,
    register,
    run_to_end,
    task,
    wait_for_end,
    workflow,
)

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.idl import admin, core, service
from flyte_jupyter.server.admin.table import use_cases
from flyte_jupyter.server.routes import routes

BINARY = "application/octet-stream"


def binary(server, method, path, message=None, answer=None):
    body = b"" if message is None else message.SerializeToString()
    got = server.raw(method, path, body, Content_Type=BINARY, Accept=BINARY)
    assert got.status == 200, got.body
    assert got.headers["Content-Type"] == BINARY
    return answer.FromString(got.body)


def test_a_launch_runs_to_its_end_and_every_reading_shows_it(server):
    register(server)
    execution = run_to_end(server, "first", value=3)
    assert execution["closure"]["phase"] == "SUCCEEDED", execution
    assert execution["closure"]["workflow_id"]["name"] == "twice"

    data = server.ok("GET", f"/api/v1/data/executions/{AT}/first")
    assert data["full_inputs"]["literals"]["x"]["scalar"]["primitive"]["integer"] == "3"
    assert data["full_outputs"]["literals"]["o0"]["scalar"]["primitive"]["integer"] == "12"

    nodes = server.ok("GET", f"/api/v1/node_executions/{AT}/first?limit=100")["node_executions"]
    assert {n["id"]["node_id"] for n in nodes} == {"start-node", "n0", "n1", "end-node"}
    node = server.ok("GET", f"/api/v1/node_executions/{AT}/first/n0")
    assert node["closure"]["phase"] == "SUCCEEDED"
    node_data = server.ok("GET", f"/api/v1/data/node_executions/{AT}/first/n1")
    assert node_data["full_inputs"]["literals"]["x"]["scalar"]["primitive"]["integer"] == "6"
    assert node_data["flyte_urls"]["outputs"] == f"flyte://v1/{AT}/first/n1/o"

    inside = f"/api/v1/node_executions/{AT}/first?limit=100&unique_parent_id="
    assert server.ok("GET", inside + "n0")["node_executions"] == []
    assert server.call("GET", inside + "n9")[0] == 404

    tries = server.ok("GET", f"/api/v1/task_executions/{AT}/first/n0?limit=10")["task_executions"]
    assert len(tries) == 1
    place = f"{AT}/first/n0/{AT}/double/v1/0"
    assert server.ok("GET", f"/api/v1/task_executions/{place}")["closure"]["phase"] == "SUCCEEDED"
    tried = server.ok("GET", f"/api/v1/data/task_executions/{place}")
    assert tried["full_outputs"]["literals"]["o0"]["scalar"]["primitive"]["integer"] == "6"

    url = f"flyte://v1/{AT}/first/n1/o/o0".replace("/", "%2F").replace(":", "%3A")
    literal = server.ok("GET", f"/api/v1/data?flyte_url={url}")["literal"]
    assert literal["scalar"]["primitive"]["integer"] == "12"


@pytest.mark.parametrize(
    "of", ["task_executions", "data/task_executions", "children/task_executions"]
)
def test_an_attempt_is_of_its_task_and_of_no_other(server, of):
    register(server)
    run_to_end(server, "first")
    path = f"/api/v1/{of}/{AT}/first/n0/{{}}?{'limit=9' if of[0] == 'c' else ''}"
    server.ok("GET", path.format(f"{AT}/double/v1/0"))
    for other in (
        f"{AT}/treble/v1/0",
        f"{AT}/double/v2/0",
        f"{PROJECT}/production/double/v1/0",
        f"flyteexamples/{DOMAIN}/double/v1/0",
        f"{AT}/double/v1/1",
    ):
        status, said = server.call("GET", path.format(other))
        assert (status, said["code"]) == (404, 5), other
        assert "first" in said["message"]


def test_binary_both_ways(server):
    for request, path in (
        (task(), "tasks"),
        (workflow(), "workflows"),
        (launch_plan(), "launch_plans"),
    ):
        got = server.raw(
            "POST", f"/api/v1/{path}", request.SerializeToString(), Content_Type=BINARY
        )
        assert (got.status, got.body) == (200, b"")
    got = binary(server, "GET", f"/api/v1/tasks/{AT}/double/v1", answer=admin.Task)
    assert got.closure.compiled_task.template.id == name_of(core.ResourceType.TASK, "double")
    got = binary(server, "GET", f"/api/v1/workflows/{AT}/twice/v1", answer=admin.Workflow)
    assert len(got.closure.compiled_workflow.primary.template.nodes) == 4
    created = binary(
        server,
        "POST",
        "/api/v1/executions",
        launch("bin", x=integer(1)),
        admin.ExecutionCreateResponse,
    )
    assert created.id.name == "bin"
    assert wait_for_end(server, "bin")["closure"]["phase"] == "SUCCEEDED"
    data = binary(
        server,
        "GET",
        f"/api/v1/data/executions/{AT}/bin",
        answer=admin.WorkflowExecutionGetDataResponse,
    )
    assert data.full_outputs.literals["o0"].scalar.primitive.integer == 4


def test_json_and_binary_say_the_same_for_every_reading(server):
    register(server)
    run_to_end(server, "both")
    node = f"{AT}/both/n0"
    attempt = f"{node}/{AT}/double/v1/0"
    paths = {
        "GetTask": f"tasks/{AT}/double/v1",
        "ListTasks": f"tasks/{AT}/double?limit=5",
        "ListTaskIds": f"task_ids/{AT}?limit=5",
        "GetWorkflow": f"workflows/{AT}/twice/v1",
        "ListWorkflows": f"workflows/{AT}?limit=5",
        "ListWorkflowIds": f"workflow_ids/{AT}?limit=5",
        "GetLaunchPlan": f"launch_plans/{AT}/twice/v1",
        "ListLaunchPlans": f"launch_plans/{AT}?limit=5",
        "ListLaunchPlanIds": f"launch_plan_ids/{AT}?limit=5",
        "ListActiveLaunchPlans": f"active_launch_plans/{AT}?limit=5",
        "ListNamedEntities": f"named_entities/WORKFLOW/{AT}?limit=5",
        "GetNamedEntity": f"named_entities/WORKFLOW/{AT}/twice",
        "GetExecution": f"executions/{AT}/both",
        "ListExecutions": f"executions/{AT}?limit=5&sort_by.key=created_at&sort_by.direction=DESCENDING",
        "GetExecutionMetrics": f"metrics/executions/{AT}/both?depth=9",
        "GetNodeExecution": f"node_executions/{node}",
        "ListNodeExecutions": f"node_executions/{AT}/both?limit=50",
        "GetTaskExecution": f"task_executions/{attempt}",
        "ListTaskExecutions": f"task_executions/{node}?limit=50",
        "ListNodeExecutionsForTask": f"children/task_executions/{attempt}?limit=50",
        "GetProject": f"projects/{PROJECT}",
        "ListProjects": "projects",
        "GetDomains": "domains",
        "GetVersion": "version",
    }
    by_rpc = {row.rpc: row for row in routes()}
    for rpc, path in paths.items():
        answer = by_rpc[rpc].response
        as_binary = binary(server, "GET", f"/api/v1/{path}", answer=answer)
        text = server.raw("GET", f"/api/v1/{path}", Accept="application/json")
        assert text.headers["Content-Type"] == "application/json"
        assert json_format.Parse(text.body, answer()) == as_binary, rpc
        nothing = ("ListActiveLaunchPlans", "ListNodeExecutionsForTask")
        assert bool(as_binary.ByteSize()) != (rpc in nothing), rpc


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("eq(state,0)", 1),
        ("eq(state,NAMED_ENTITY_ACTIVE)%2Bcontains(name,ou)", 1),
        ("ne(state,2)", 1),
        ("eq(state,1)", 0),
        ("value_in(state,1;2)", 0),
    ],
)
def test_names_are_asked_for_by_state_as_the_console_does(server, filters, found):
    server.ok("POST", "/api/v1/tasks", as_json(task()))
    path = f"/api/v1/named_entities/TASK/{AT}?limit=5&filters={filters}"
    listed = server.ok("GET", f"{path}&sort_by.key=state")["entities"]
    assert [each["id"]["name"] for each in listed] == ["double"] * found
    status, said = server.call("GET", path.replace("state", "phase"))
    assert (status, said["code"]) == (400, 3)


def test_an_rpc_without_a_use_case_says_so(server):
    for row in routes():
        if row.rpc in use_cases_here(server):
            continue
        path = row.template
        for name in row.fields:
            path = path.replace("{" + name + "}", "1", 1)
        status, value = server.call(row.method, path, {} if row.body else None)
        assert (status, value["code"]) == (501, 12), row
        assert row.rpc in value["message"]


def use_cases_here(server):
    return use_cases(server.plane._platform)


def test_names_of_rpcs_with_a_use_case_are_real(server):
    assert set(use_cases_here(server)) <= {row.rpc for row in routes()}


def test_registering_again_and_registering_otherwise(server):
    register(server)
    for path, message in (
        ("tasks", task()),
        ("workflows", workflow()),
        ("launch_plans", launch_plan()),
    ):
        status, value = server.call("POST", f"/api/v1/{path}", as_json(message))
        assert (status, value["code"]) == (409, 6), value
    status, value = server.call("POST", "/api/v1/tasks", as_json(task(cpu="2")))
    assert (status, value["code"]) == (400, 3)
    assert "register a new version" in value["message"]
    server.ok("POST", "/api/v1/tasks", as_json(task(version="v2")))
    other = as_json(workflow(task_version="v2"))
    status, value = server.call("POST", "/api/v1/workflows", other)
    assert (status, value["code"]) == (400, 3)
    assert "exists_different_structure" in value["details"][0]


def test_all_problems_of_a_workflow_come_at_once(server):
    server.ok("POST", "/api/v1/tasks", as_json(task()))
    broken = workflow(task_version="v9", var="y")
    status, value = server.call("POST", "/api/v1/workflows", as_json(broken))
    assert (status, value["code"]) == (400, 3)
    assert "TaskReferenceNotFound" in value["message"]
    assert value["message"].count("n0") >= 1


def test_what_a_launch_refuses_before_anything_runs(server):
    register(server)
    text = core.Literal(scalar=core.Scalar(primitive=core.Primitive(string_value="three")))
    for request, *words in (
        (launch("a", x=text), "twice", "'x'", "expected int", "given str"),
        (launch("a"), "twice", "expected_inputs x missing", "int"),
        (launch("a", x=integer(1), z=integer(1)), "no input 'z'", "inputs: x"),
        (launch("Not_A_Name", x=integer(1)), "Not_A_Name", "lower-case"),
    ):
        status, value = server.call("POST", "/api/v1/executions", as_json(request))
        assert (status, value["code"]) == (400, 3), value
        for word in words:
            assert word in value["message"]
    status, value = server.call(
        "POST", "/api/v1/executions", as_json(launch("a", plan="no", x=integer(1)))
    )
    assert (status, value["code"]) == (404, 5)
    assert server.ok("GET", f"/api/v1/executions/{AT}?limit=9")["executions"] == []
    assert server.attempts.created == []


@pytest.mark.parametrize(("name", "value"), [("A=B", "1"), ("", "1"), ("A", "1\0")])
def test_a_variable_that_no_process_could_have_is_refused_at_launch(server, name, value):
    register(server)
    request = launch("a", x=integer(1))
    request.spec.envs.values.add(key=name, value=value)
    status, answer = server.call("POST", "/api/v1/executions", as_json(request))
    assert (status, answer["code"]) == (400, 3)
    assert repr(name) in answer["message"]


def test_what_the_machine_cannot_run_is_refused_at_launch(server):
    server.ok("POST", "/api/v1/tasks", as_json(task("huge", cpu="64")))
    request = as_json(launch("big", plan="huge", kind=core.ResourceType.TASK, x=integer(1)))
    status, value = server.call("POST", "/api/v1/executions", request)
    assert (status, value["code"]) == (400, 3)
    assert "huge" in value["message"]
    assert "64 CPUs" in value["message"]
    assert "at most 2" in value["message"]


def test_a_single_task_is_launched_by_its_name(server):
    server.ok("POST", "/api/v1/tasks", as_json(task()))
    request = launch("solo", plan="double", kind=core.ResourceType.TASK, x=integer(4))
    server.ok("POST", "/api/v1/executions", as_json(request))
    execution = wait_for_end(server, "solo")
    assert execution["closure"]["phase"] == "SUCCEEDED"
    assert execution["spec"]["launch_plan"]["resource_type"] == "TASK"
    assert execution["closure"]["workflow_id"]["name"] == ".flytegen.double"
    data = server.ok("GET", f"/api/v1/data/executions/{AT}/solo")
    assert data["full_outputs"]["literals"]["o0"]["scalar"]["primitive"]["integer"] == "8"


def test_the_workflow_of_a_single_task_can_be_read(server):
    server.ok("POST", "/api/v1/tasks", as_json(task()))
    request = launch("solo", plan="double", kind=core.ResourceType.TASK, x=integer(4))
    server.ok("POST", "/api/v1/executions", as_json(request))
    of = wait_for_end(server, "solo")["closure"]["workflow_id"]
    found = server.ok("GET", f"/api/v1/workflows/{AT}/{of['name']}/{of['version']}")
    assert found["id"] == of
    compiled = found["closure"]["compiled_workflow"]
    (node,) = (n for n in compiled["primary"]["template"]["nodes"] if "task_node" in n)
    assert node["task_node"]["reference_id"]["name"] == "double"
    nodes = server.ok("GET", f"/api/v1/node_executions/{AT}/solo?limit=9")["node_executions"]
    assert node["id"] in {each["id"]["node_id"] for each in nodes}
    missing, answer = server.call("GET", f"/api/v1/workflows/{AT}/.flytegen.nobody/v1")
    assert (missing, answer["code"]) == (404, 5)


def test_defaults_fixed_inputs_and_the_active_launch_plan(server):
    register(server)
    server.ok("POST", "/api/v1/launch_plans", as_json(launch_plan("lp", default=5)))
    server.ok("POST", "/api/v1/launch_plans", as_json(launch_plan("lp", "v2", fixed=7)))
    missing, _ = server.call("GET", f"/api/v1/active_launch_plans/{AT}/lp")
    assert missing == 404
    server.ok("PUT", f"/api/v1/launch_plans/{AT}/lp/v1", {"state": "ACTIVE"})
    assert server.ok("GET", f"/api/v1/active_launch_plans/{AT}/lp")["id"]["version"] == "v1"
    by_default = launch("d1", plan="lp")
    by_default.spec.launch_plan.version = ""
    server.ok("POST", "/api/v1/executions", as_json(by_default))
    wait_for_end(server, "d1")
    data = server.ok("GET", f"/api/v1/data/executions/{AT}/d1")
    assert data["full_outputs"]["literals"]["o0"]["scalar"]["primitive"]["integer"] == "20"
    server.ok("PUT", f"/api/v1/launch_plans/{AT}/lp/v2", {"state": "ACTIVE"})
    assert server.ok("GET", f"/api/v1/active_launch_plans/{AT}/lp")["id"]["version"] == "v2"
    given = launch("d2", plan="lp", x=integer(1))
    given.spec.launch_plan.version = "v2"
    status, value = server.call("POST", "/api/v1/executions", as_json(given))
    assert status == 400
    assert "fixed" in value["message"]


def test_the_same_name_again_exists(server):
    register(server)
    run_to_end(server, "once")
    status, value = server.call("POST", "/api/v1/executions", as_json(launch("once", x=integer(9))))
    assert (status, value["code"]) == (409, 6)
    data = server.ok("GET", f"/api/v1/data/executions/{AT}/once")
    assert data["full_inputs"]["literals"]["x"]["scalar"]["primitive"]["integer"] == "3"


def test_inputs_that_something_wrote_over_are_named(server):
    register(server)
    run_to_end(server, "spoilt")
    (inputs,) = (server.data / "blobs").rglob("inputs-*.pb")
    inputs.write_bytes(b"\xff\xff")
    again = {"id": {"project": PROJECT, "domain": DOMAIN, "name": "spoilt"}}
    for method, path, body in (
        ("GET", f"data/executions/{AT}/spoilt", None),
        ("POST", "executions/relaunch", again),
    ):
        status, value = server.call(method, f"/api/v1/{path}", body)
        assert (status, value["code"]) == (500, 15), path
        assert inputs.name in value["message"]


def test_a_task_with_the_longest_name_is_launched_and_its_workflow_read(server):
    name = "t" * 255
    server.ok("POST", "/api/v1/tasks", as_json(task(name)))
    request = launch("long", name, core.ResourceType.TASK, x=integer(1))
    server.ok("POST", "/api/v1/executions", as_json(request))
    of = wait_for_end(server, "long")["closure"]["workflow_id"]
    path = f"/api/v1/workflows/{AT}/{of['name']}/{of['version']}"
    primary = server.ok("GET", path)["closure"]["compiled_workflow"]["primary"]
    assert primary["template"]["id"]["name"] == of["name"]


def test_relaunch_runs_the_same_again(server):
    register(server)
    run_to_end(server, "one", value=5)
    request = {
        "id": {"project": PROJECT, "domain": DOMAIN, "name": "one"},
        "name": "two",
        "overwrite_cache": True,
    }
    assert server.ok("POST", "/api/v1/executions/relaunch", request)["id"]["name"] == "two"
    again = wait_for_end(server, "two")
    assert again["spec"]["metadata"]["mode"] == "RELAUNCH"
    assert again["spec"]["metadata"]["reference_execution"]["name"] == "one"
    data = server.ok("GET", f"/api/v1/data/executions/{AT}/two")
    assert data["full_outputs"]["literals"]["o0"]["scalar"]["primitive"]["integer"] == "20"


def test_terminate_ends_a_run_once(server):
    register(server)
    server.on_loop(server.attempts.go.clear)
    server.ok("POST", "/api/v1/executions", as_json(launch("long", x=integer(1))))
    server.ok("DELETE", f"/api/v1/executions/{AT}/long", {"cause": "enough"})
    ended = wait_for_end(server, "long")
    assert ended["closure"]["phase"] == "ABORTED"
    assert ended["closure"]["abort_metadata"]["cause"] == "enough"
    status, value = server.call("DELETE", f"/api/v1/executions/{AT}/long", {"cause": "again"})
    assert (status, value["code"]) == (400, 9)


def test_archived_executions_leave_the_list(server):
    register(server)
    run_to_end(server, "old")
    server.ok("PUT", f"/api/v1/executions/{AT}/old", {"state": "EXECUTION_ARCHIVED"})
    assert server.ok("GET", f"/api/v1/executions/{AT}?limit=9")["executions"] == []
    filters = "filters=eq(state,EXECUTION_ARCHIVED)"
    found = server.ok("GET", f"/api/v1/executions/{AT}?limit=9&{filters}")
    assert len(found["executions"]) == 1


def test_executions_are_paged_and_filtered_on_the_server(server):
    register(server)
    for number in range(3):
        run_to_end(server, f"run-{number}")
    first = server.ok("GET", f"/api/v1/executions/{AT}?limit=2")
    assert [e["id"]["name"] for e in first["executions"]] == ["run-2", "run-1"]
    rest = server.ok("GET", f"/api/v1/executions/{AT}?limit=2&token={first['token']}")
    assert [e["id"]["name"] for e in rest["executions"]] == ["run-0"]
    assert rest["token"] == ""
    filters = "filters=contains(name,run-1)%2Bvalue_in(phase,SUCCEEDED;FAILED)"
    found = server.ok("GET", f"/api/v1/executions/{AT}?limit=9&{filters}")
    assert [e["id"]["name"] for e in found["executions"]] == ["run-1"]


def test_executions_of_a_task_are_none_of_the_launch_plan_that_is_called_like_it(server):
    register(server)
    server.ok("POST", "/api/v1/launch_plans", as_json(launch_plan("double")))
    server.ok("POST", "/api/v1/executions", as_json(launch("plan", "double", x=integer(1))))
    kind = core.ResourceType.TASK
    server.ok("POST", "/api/v1/executions", as_json(launch("single", "double", kind, x=integer(1))))
    for field, name in (("launch_plan", "plan"), ("task", "single")):
        filters = f"eq({field}.name,double)%2Beq({field}.version,v1)"
        found = server.ok("GET", f"/api/v1/executions/{AT}?limit=9&filters={filters}")
        assert [e["id"]["name"] for e in found["executions"]] == [name], field
    for name in ("plan", "single"):
        wait_for_end(server, name)


def test_projects(server):
    server.ok("POST", "/api/v1/projects", {"project": {"id": "mine", "name": "Mine"}})
    status, value = server.call("POST", "/api/v1/projects", {"project": {"id": "mine"}})
    assert (status, value["code"]) == (409, 6)
    listed = {p["id"] for p in server.ok("GET", "/api/v1/projects")["projects"]}
    assert listed == {PROJECT, "mine"}
    server.ok("PUT", "/api/v1/projects/mine", {"id": "mine", "name": "Mine", "state": "ARCHIVED"})
    assert "mine" not in [p["id"] for p in server.ok("GET", "/api/v1/projects")["projects"]]
    moved = task()
    moved.id.project = "mine"
    status, value = server.call("POST", "/api/v1/tasks", as_json(moved))
    assert (status, value["code"]) == (400, 3)
    assert "archived" in value["message"]


def test_what_an_update_of_a_project_does_not_say_stays(server):
    """`flytectl update project --archive` sends the id and the state."""
    mine = {"id": "mine", "name": "Mine", "description": "Ours", "labels": {"values": {"a": "b"}}}
    server.ok("POST", "/api/v1/projects", {"project": mine})
    server.ok("PUT", "/api/v1/projects/mine", {"state": "ARCHIVED"})
    got = server.ok("GET", "/api/v1/projects/mine")
    assert {name: got[name] for name in mine} == mine
    assert got["state"] == "ARCHIVED"
    server.ok("PUT", "/api/v1/projects/mine", {"description": "Theirs", "labels": {}})
    got = server.ok("GET", "/api/v1/projects/mine")
    told = (got["name"], got["description"], got["labels"]["values"], got["state"])
    assert told == ("Mine", "Theirs", {}, "ACTIVE")


def test_a_name_is_archived_and_described_for_all_its_versions(server):
    """As the console and `flytectl update workflow-meta` do it."""
    register(server)
    server.ok("POST", "/api/v1/workflows", as_json(workflow("other")))
    at = f"/api/v1/named_entities/WORKFLOW/{AT}"
    server.ok("PUT", f"{at}/twice", {"metadata": {"description": "doubles twice"}})
    archived = "NAMED_ENTITY_ARCHIVED"
    assert server.ok("PUT", f"{at}/twice", {"metadata": {"state": archived}}) == {}
    got = server.ok("GET", f"{at}/twice")
    assert got["metadata"] == {"description": "doubles twice", "state": archived}
    assert (got["resource_type"], got["id"]["name"]) == ("WORKFLOW", "twice")
    for path, asked in ((at, f"{at}?limit=9"), ("ids", f"/api/v1/workflow_ids/{AT}?limit=9")):
        ids = [e["id"] if path == at else e for e in server.ok("GET", asked)["entities"]]
        assert [each["name"] for each in ids] == ["other"]
    (found,) = server.ok("GET", f"{at}?limit=9&filters=eq(state,1)")["entities"]
    assert found == got
    plans = server.ok("GET", f"/api/v1/named_entities/LAUNCH_PLAN/{AT}?limit=9")["entities"]
    assert [each["id"]["name"] for each in plans] == ["twice"], "its launch plan is another"
    run_to_end(server, "still")
    server.ok("PUT", f"{at}/twice", {"metadata": {"state": "NAMED_ENTITY_ACTIVE"}})
    listed = server.ok("GET", f"{at}?limit=9")["entities"]
    assert [each["id"]["name"] for each in listed] == ["other", "twice"]


@pytest.mark.parametrize(
    ("path", "body", "status", "wanted"),
    [
        ("WORKFLOW/{}/twice", {}, 400, "metadata is missing"),
        ("WORKFLOW/{}/twice", {"metadata": {"state": 7}}, 400, "NAMED_ENTITY_ARCHIVED"),
        ("WORKFLOW/{}/twice", {"metadata": {"description": "x" * 301}}, 400, "at most 300"),
        ("WORKFLOW/{}/nobody", {"metadata": {}}, 404, "workflow .*/nobody"),
        ("LAUNCH_PLAN/{}/double", {"metadata": {}}, 404, "launch_plan .*/double"),
        ("DATASET/{}/twice", {"metadata": {}}, 400, "TASK, WORKFLOW or LAUNCH_PLAN"),
        ("NONE/{}/twice", {"metadata": {}}, 400, "resource_type"),
    ],
)
def test_what_cannot_be_said_about_a_name_is_refused(server, path, body, status, wanted):
    register(server)
    at = f"/api/v1/named_entities/{path.format(AT)}"
    answered, value = server.call("PUT", at, body)
    assert (answered, bool(re.search(wanted, value["message"]))) == (status, True), value
    if status == 404:
        assert server.call("GET", at)[0] == 404


def test_a_state_that_there_is_not_is_refused(server):
    register(server)
    run_to_end(server, "kept")
    for path in (f"executions/{AT}/kept", f"launch_plans/{AT}/twice/v1", f"projects/{PROJECT}"):
        status, value = server.call("PUT", f"/api/v1/{path}", {"state": 7})
        assert (status, value["code"]) == (400, 3), path
        assert "ACTIVE" in value["message"]
    assert server.ok("GET", f"/api/v1/executions/{AT}?limit=9")["executions"]


def test_a_parallelism_with_which_nothing_would_begin_is_refused(server):
    register(server)
    request = launch("stuck", x=integer(1))
    request.spec.max_parallelism = -1
    plan = launch_plan("idle")
    plan.spec.max_parallelism = -1
    for path, body in (("executions", request), ("launch_plans", plan)):
        status, value = server.call("POST", f"/api/v1/{path}", as_json(body))
        assert (status, value["code"]) == (400, 3), path
        assert "max_parallelism=-1" in value["message"]


def test_a_name_without_a_version_is_told_without_one(server):
    status, value = server.call("GET", f"/api/v1/active_launch_plans/{AT}/nothing")
    assert (status, value["code"]) == (404, 5)
    assert "@" not in value["message"]


def test_a_list_has_the_ends_of_a_long_error_and_one_execution_all_of_it(server):
    register(server)
    long = "Traceback:\n" + "x" * 100_000 + "\nValueError: too late"

    async def fail(spec):
        error = core.ContainerError(code="USER:ValueError", message=long)
        document = core.ErrorDocument(error=error).SerializeToString()
        await server.attempts.blobs.put(f"{spec.output_prefix}/error.pb", document)
        return Exit(code=1)

    server.attempts.work = fail
    assert run_to_end(server, "broken")["closure"]["phase"] == "FAILED"
    listed = server.ok("GET", f"/api/v1/executions/{AT}?limit=9")["executions"]
    nodes = server.ok("GET", f"/api/v1/node_executions/{AT}/broken?limit=9")["node_executions"]
    attempts = server.ok("GET", f"/api/v1/task_executions/{AT}/broken/n0?limit=9")
    told = (*listed, *nodes, *attempts["task_executions"])
    cut = [each["closure"]["error"] for each in told if each["closure"].get("error")]
    assert len(cut) == 3
    for error in cut:
        assert len(error["message"]) < 5000
        assert "Traceback:" in error["message"]
        assert error["message"].endswith("ValueError: too late")
        assert error["code"]
    attempt = f"task_executions/{AT}/broken/n0/{AT}/double/v1/0"
    for one in (f"executions/{AT}/broken", f"node_executions/{AT}/broken/n0", attempt):
        assert len(server.ok("GET", f"/api/v1/{one}")["closure"]["error"]["message"]) > 50_000


def test_lineage_tells_of_so_many_nodes_and_no_more(server, monkeypatch):
    register(server)
    run_to_end(server, "wide")
    assert len(server.ok("GET", f"/x/v1/lineage/{AT}/wide")["nodes"]) == 4
    monkeypatch.setattr("flyte_jupyter.server.admin.lineage._MOST", 3)
    assert len(server.ok("GET", f"/x/v1/lineage/{AT}/wide")["nodes"]) == 3


def test_lineage_tells_of_every_execution_that_was_started_archived_ones_too(server, monkeypatch):
    register(server)
    below = core.WorkflowNode(launchplan_ref=name_of(core.ResourceType.LAUNCH_PLAN, "twice"))
    outer, given = workflow("outer"), core.BindingData(scalar=integer(1).scalar)
    template = outer.spec.template
    del template.nodes[:], template.outputs[:]
    template.interface.Clear()
    for node in ("a", "b", "c"):
        inputs = [core.Binding(var="x", binding=given)]
        template.nodes.add(id=node, workflow_node=below, inputs=inputs)
    server.ok("POST", "/api/v1/workflows", as_json(outer))
    plan = launch_plan("outer")
    plan.spec.workflow_id.name = "outer"
    server.ok("POST", "/api/v1/launch_plans", as_json(plan))
    server.ok("POST", "/api/v1/executions", as_json(launch("outer", "outer")))
    wait_for_end(server, "outer")
    state = {"state": "EXECUTION_ARCHIVED"}
    server.ok("PUT", f"/api/v1/executions/{AT}/outer-b-0", state)
    monkeypatch.setattr("flyte_jupyter.server.admin.lineage._PAGE", 1)
    children = server.ok("GET", f"/x/v1/lineage/{AT}/outer")["children"]
    assert {each["node"]: each["execution"] for each in children} == {
        node: f"{AT}/outer-{node}-0" for node in ("a", "b", "c")
    }


@pytest.mark.parametrize("way", ["relaunch", "recover"])
def test_nothing_is_launched_again_in_an_archived_project(server, way):
    register(server)
    run_to_end(server, "once")
    server.ok("PUT", f"/api/v1/projects/{PROJECT}", {"id": PROJECT, "state": "ARCHIVED"})
    body = {"id": {"project": PROJECT, "domain": DOMAIN, "name": "once"}, "name": "twice"}
    status, value = server.call("POST", f"/api/v1/executions/{way}", body)
    assert (status, value["code"]) == (400, 3)
    assert "archived" in value["message"]


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\x1b[2J"])
def test_names_that_do_not_print_are_refused(server, name):
    status, value = server.call("POST", "/api/v1/tasks", as_json(task(name)))
    assert (status, value["code"]) == (400, 3)
    assert "do not print" in value["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"task": {"project": "\\ud800", "domain": "d", "task": "t"}}',
        b'{"keys": [{"project": "p", "domain": "d", "task": "t", "interface": "i", "inputs": "i", "version": "\\ud800"}]}',
    ],
    ids=["deep", "half a character", "half a version"],
)
def test_what_cannot_be_forgotten_is_refused(server, body):
    got = server.raw("POST", "/x/v1/catalog/evict", body, Content_Type="application/json")
    assert (got.status, json.loads(got.body)["code"]) == (400, 3)


@pytest.mark.parametrize("version", ["", "2", "long " * 100, "of\ntwo lines"])
def test_whatever_version_a_task_gives_its_cache_can_be_forgotten(server, version):
    key = {"project": "p", "domain": "d", "task": "t", "version": version}
    found = server.ok(
        "POST", "/x/v1/catalog/evict", {"keys": [{**key, "interface": "i", "inputs": "i"}]}
    )
    assert found == {"evicted": 0}
    assert server.ok("POST", "/x/v1/catalog/evict", {"task": key}) == {"evicted": 0}


def test_unset_fields_are_shown_and_absent_messages_are_null(server):
    server.ok("POST", "/api/v1/tasks", as_json(task()))
    got = server.ok("GET", f"/api/v1/tasks/{AT}/double/v1")
    template = got["closure"]["compiled_task"]["template"]
    assert template["security_context"] is None
    assert template["task_type_version"] == 0
    assert template["config"] == {}
    assert "k8s_pod" not in template  # another member of the oneof


@pytest.mark.parametrize(
    ("method", "path", "body", "wanted"),
    [
        ("POST", "/api/v1/tasks", b"{", (400, 3)),
        ("POST", "/api/v1/tasks", b'{"nothing": 1}', (400, 3)),
        ("POST", "/api/v1/tasks", b"[" * 5000, (400, 3)),
        ("POST", "/api/v1/tasks", b'{"id":' * 200 + b"1" + b"}" * 200, (400, 3)),
        ("POST", "/api/v1/tasks", b"\xff\xfe", (400, 3)),
        ("POST", "/api/v1/tasks", b"", (400, 3)),
        ("GET", "/api/v1/tasks/p/d/n/v", b"", (404, 5)),
        ("GET", "/api/v1/executions/p/d/n", b"", (404, 5)),
        ("GET", "/api/v1/data/executions/p/d/n", b"", (404, 5)),
        ("GET", "/api/v1/node_executions/p/d/n/x", b"", (404, 5)),
        ("GET", "/api/v1/task_executions/p/d/n/x/p/d/t/v/zero", b"", (400, 3)),
        ("GET", "/api/v1/task_executions/p/d/n/x/p/d/t/v/99999999999", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d?limit=many", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d?limit=5&unknown=1", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d?limit=5&sort_by=1", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d?limit=5&sort_by.key=secrets", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d?limit=5&filters=drop(table)", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d?limit=5&token=-1", b"", (400, 3)),
        ("GET", "/api/v1/executions/p/d?limit=5&filters=%ff", b"", (400, 3)),
        ("DELETE", "/api/v1/executions/p/d/n", b"{}", (404, 5)),
        ("PATCH", "/api/v1/tasks", b"{}", (405, 12)),
        ("POST", "/api/v1/nowhere", b"{}", (404, 5)),
        ("GET", "/somewhere", b"", (404, 5)),
        ("GET", f"/x/v1/logs/p/d/n/n0/{'9' * 20}", b"", (400, 3)),
        ("GET", f"/x/v1/logs/p/d/n/n0/{'9' * 5000}", b"", (400, 3)),
        ("GET", f"/x/v1/logs/p/d/n/n0/0?offset={'9' * 5000}", b"", (400, 3)),
        ("GET", f"/x/v1/logs/p/d/n/n0/0?item={2**63}", b"", (400, 3)),
        ("GET", f"/x/v1/catalog/p/d?limit={'9' * 5000}", b"", (400, 3)),
        ("GET", "/x/v1/catalog/p/d?limit=0", b"", (400, 3)),
        ("GET", f"/api/v1/data?flyte_url=flyte://v1/p/d/n/n0/{'9' * 30}/o", b"", (400, 3)),
        ("GET", "/api/v1/data?flyte_url=flyte://v1/p/d/n/n0/%D9%A3/o", b"", (400, 3)),
        ("POST", "/x/v1/status", b"{}", (405, 12)),
    ],
)
def test_what_is_wrong_is_refused_by_name(server, method, path, body, wanted):
    got = server.raw(method, path, body, Content_Type="application/json")
    value = json.loads(got.body)
    assert (got.status, value["code"]) == wanted
    assert value["message"]
    assert b"Traceback" not in got.body


def test_a_time_that_no_text_can_say_keeps_nobody_from_reading_the_list(server):
    """Binary messages may hold any seconds; text goes from the year 1 to 9999."""
    register(server)
    run_to_end(server, "good")
    slow = task("slow")
    slow.spec.template.metadata.timeout.seconds = 2**62
    binary(server, "POST", "/api/v1/tasks", slow, admin.TaskCreateResponse)
    late = launch("late", x=integer(3))
    late.spec.metadata.scheduled_at.seconds = 2**60
    late.spec.quality_of_service.spec.queueing_budget.FromSeconds(-5)
    late.spec.quality_of_service.spec.queueing_budget.nanos = 7
    binary(server, "POST", "/api/v1/executions", late, admin.ExecutionCreateResponse)
    wait_for_end(server, "late")

    listed = server.ok("GET", f"/api/v1/executions/{AT}?limit=10")["executions"]
    assert {each["id"]["name"] for each in listed} == {"good", "late"}
    told = server.ok("GET", f"/api/v1/executions/{AT}/late")["spec"]
    assert told["metadata"]["scheduled_at"] == "9999-12-31T23:59:59Z"
    assert told["quality_of_service"]["spec"]["queueing_budget"] == "-5s"
    (template,) = (
        each["closure"]["compiled_task"]["template"]
        for each in server.ok("GET", f"/api/v1/tasks/{AT}?limit=10")["tasks"]
        if each["id"]["name"] == "slow"
    )
    assert template["metadata"]["timeout"] == "315576000000s"


def test_a_structure_with_what_json_cannot_say_is_read_all_the_same(server):
    given = task("structured")
    given.spec.template.custom.update({"ratio": float("nan"), "most": [float("inf"), 1.5, None]})
    binary(server, "POST", "/api/v1/tasks", given, admin.TaskCreateResponse)
    got = server.ok("GET", f"/api/v1/tasks/{AT}/structured/v1")
    custom = got["closure"]["compiled_task"]["template"]["custom"]
    assert custom == {"ratio": "NaN", "most": ["Infinity", 1.5, None]}


@pytest.mark.parametrize("seconds", [2**62, -(2**62)])
def test_lengths_of_time_beyond_all_bounds_are_no_defect(server, seconds):
    request = service.CreateUploadLocationRequest(
        project=PROJECT, domain=DOMAIN, filename="f", filename_root="r"
    )
    request.expires_in.seconds = seconds
    got = server.raw(
        "POST",
        "/api/v1/dataproxy/artifact_urn",
        request.SerializeToString(),
        Content_Type=BINARY,
        Accept="application/json",
    )
    assert (got.status, json.loads(got.body)["code"]) == (400, 3)
    register(server)
    patient = launch("patient", x=integer(3))
    patient.spec.quality_of_service.spec.queueing_budget.seconds = seconds
    binary(server, "POST", "/api/v1/executions", patient, admin.ExecutionCreateResponse)
    assert wait_for_end(server, "patient")["closure"]["phase"] == "SUCCEEDED"


def test_random_bytes_are_refused_and_the_server_lives(server):
    dice = random.Random(7)
    for row in routes():
        if not row.body or row.method == "DELETE":
            continue
        path = row.template
        for name in row.fields:
            path = path.replace("{" + name + "}", "1", 1)
        for _ in range(10):
            body = dice.randbytes(dice.randrange(1, 300))
            got = server.raw(row.method, path, body, Content_Type=BINARY)
            assert got.status < 500 or got.status == 501, (row, body, got.body)
    deep = b""
    for _ in range(300):
        deep = b"\x0a" + bytes([min(len(deep), 127)]) + deep[:127]
    assert server.raw("POST", "/api/v1/executions", deep, Content_Type=BINARY).status == 400
    server.ok("GET", "/x/v1/status")


def test_a_caller_who_leaves_before_the_answer_is_no_defect(server, caplog):
    register(server)
    server.ok("POST", "/api/v1/executions", as_json(launch("one", x=integer(1))))
    line = f"GET /api/v1/executions/{AT}/one HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(server.socket)
            caller.sendall(line)
    server.ok("GET", "/x/v1/status")
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_a_body_that_is_too_large_is_refused_and_the_server_lives(make_server):
    from flyte_jupyter.server.settings import LimitSettings

    server = make_server(limits=LimitSettings(request_body=100_000))
    got = server.raw(
        "POST", "/api/v1/tasks", b" " * 99_000 + b"{}", Content_Type="application/json"
    )
    assert got.status == 400
    try:
        got = server.raw("POST", "/api/v1/tasks", b" " * 1_000_000, Content_Type="application/json")
    except Exception:  # the answer may be lost when the connection is cut while we still send
        got = None
    assert got is None or got.status in (400, 413)
    server.ok("GET", "/x/v1/status")


def test_another_media_type_is_refused(server):
    got = server.raw("POST", "/api/v1/tasks", b"{}", Content_Type="application/xml")
    assert got.status == 415


def test_names_with_markup_are_only_ever_json(server):
    name = "<img src=x onerror=alert(1)>"
    server.ok("POST", "/api/v1/tasks", as_json(task(name)))
    got = server.raw("GET", f"/api/v1/tasks/{AT}?limit=5")
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert b"<" not in got.body
    refused = server.raw("GET", f"/api/v1/tasks/{AT}/%3Cscript%3E/v1")
    assert refused.status == 404
    assert refused.headers["Content-Type"] == "application/json"
    assert b"<" not in refused.body


def test_upload_locations_are_refused_without_a_name_or_a_digest(server):
    message = service.CreateUploadLocationRequest(project=PROJECT, domain=DOMAIN, filename="a")
    status, value = server.call("POST", "/api/v1/dataproxy/artifact_urn", as_json(message))
    assert (status, value["code"]) == (400, 3)
