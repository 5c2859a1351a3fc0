"""Specs by hand, as a client would send them."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import json_format
from server_under_test import follow

from flyte_jupyter.idl import admin, core

PROJECT, DOMAIN = "flytesnacks", "development"
AT = f"{PROJECT}/{DOMAIN}"
INT = core.LiteralType(simple=core.SimpleType.INTEGER)


def name_of(kind: int, name: str, version: str = "v1") -> core.Identifier:
    return core.Identifier(
        resource_type=kind, project=PROJECT, domain=DOMAIN, name=name, version=version
    )


def interface() -> core.TypedInterface:
    return core.TypedInterface(
        inputs=core.VariableMap(variables={"x": core.Variable(type=INT)}),
        outputs=core.VariableMap(variables={"o0": core.Variable(type=INT)}),
    )


def task(name: str = "double", version: str = "v1", cpu: str = "1") -> admin.TaskCreateRequest:
    requests = [core.Resources.ResourceEntry(name=core.Resources.CPU, value=cpu)]
    template = core.TaskTemplate(
        type="python-task",
        interface=interface(),
        container=core.Container(
            args=["flyte-jupyter-execute"], resources=core.Resources(requests=requests)
        ),
    )
    return admin.TaskCreateRequest(
        id=name_of(core.ResourceType.TASK, name, version), spec=admin.TaskSpec(template=template)
    )


def workflow(
    name: str = "twice", version: str = "v1", task_version: str = "v1", var: str = "x"
) -> admin.WorkflowCreateRequest:
    """``o0 = double(double(x))``."""

    def bound(node: str, source: str, target: str = "x") -> core.Binding:
        promise = core.OutputReference(node_id=node, var=source)
        return core.Binding(var=target, binding=core.BindingData(promise=promise))

    ref = core.TaskNode(reference_id=name_of(core.ResourceType.TASK, "double", task_version))
    template = core.WorkflowTemplate(
        interface=interface(),
        nodes=[
            core.Node(id="n0", task_node=ref, inputs=[bound("", var)]),
            core.Node(id="n1", task_node=ref, inputs=[bound("n0", "o0")], upstream_node_ids=["n0"]),
        ],
        outputs=[bound("n1", "o0", "o0")],
    )
    return admin.WorkflowCreateRequest(
        id=name_of(core.ResourceType.WORKFLOW, name, version),
        spec=admin.WorkflowSpec(template=template),
    )


def launch_plan(
    name: str = "twice", version: str = "v1", default: int | None = None, fixed: int | None = None
) -> admin.LaunchPlanCreateRequest:
    spec = admin.LaunchPlanSpec(workflow_id=name_of(core.ResourceType.WORKFLOW, "twice"))
    if default is not None:
        spec.default_inputs.parameters["x"].default.CopyFrom(integer(default))
    if fixed is not None:
        spec.fixed_inputs.literals["x"].CopyFrom(integer(fixed))
    return admin.LaunchPlanCreateRequest(
        id=name_of(core.ResourceType.LAUNCH_PLAN, name, version), spec=spec
    )


def integer(value: int) -> core.Literal:
    return core.Literal(scalar=core.Scalar(primitive=core.Primitive(integer=value)))


def launch(
    name: str = "",
    plan: str = "twice",
    kind: int = core.ResourceType.LAUNCH_PLAN,
    **inputs: core.Literal,
) -> admin.ExecutionCreateRequest:
    return admin.ExecutionCreateRequest(
        project=PROJECT,
        domain=DOMAIN,
        name=name,
        spec=admin.ExecutionSpec(launch_plan=name_of(kind, plan)),
        inputs=core.LiteralMap(literals=inputs),
    )


def as_json(message: Any) -> Any:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def register(server: Any) -> None:
    """The task, the workflow, its launch plan."""
    server.ok("POST", "/api/v1/tasks", as_json(task()))
    server.ok("POST", "/api/v1/workflows", as_json(workflow()))
    server.ok("POST", "/api/v1/launch_plans", as_json(launch_plan()))


def run_to_end(server: Any, name: str, value: int = 3) -> Any:
    """Launch and wait for the end by the change feed; returns the execution."""
    server.ok("POST", "/api/v1/executions", as_json(launch(name, x=integer(value))))
    return wait_for_end(server, name)


def wait_for_end(server: Any, name: str) -> Any:
    async def talk(line: Any) -> Any:
        where = {"project": PROJECT, "domain": DOMAIN, "name": name}
        await line.write_message(
            json.dumps({"id": 1, "op": "subscribe", "topic": "execution", **where})
        )
        while True:
            frame = json.loads(await line.read_message())
            for item in frame.get("items", []):
                phase = item["value"]["closure"]["phase"]
                if item["kind"] == "execution" and phase in ("SUCCEEDED", "FAILED", "ABORTED"):
                    return item["value"]

    return follow(server, talk)
