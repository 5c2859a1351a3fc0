"""What flytekit serialises, registered and launched on a control plane in Flyte's own messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flytekit_specs import DOMAIN, PROJECT, VERSION, Spec, Specs, specs
from processes import eventually

from flyte_jupyter.idl import admin, core, literals
from flyte_jupyter.supervisor import Endpoint, Response, request

PROTOBUF = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"}
Call = Callable[[str, str, bytes], Response]
"""Method, path and body of a request in protobuf."""


def registration(name: core.Identifier, spec: Spec) -> tuple[str, Any]:
    """The path and the request that register a specification."""
    match spec:
        case admin.TaskSpec():
            return "/api/v1/tasks", admin.TaskCreateRequest(id=name, spec=spec)
        case admin.WorkflowSpec():
            return "/api/v1/workflows", admin.WorkflowCreateRequest(id=name, spec=spec)
        case _:
            return "/api/v1/launch_plans", admin.LaunchPlanCreateRequest(id=name, spec=spec)


def register(call: Call, module: str, version: str = VERSION) -> Specs:
    """All of a module, in the order in which flytekit's client registers it."""
    made = specs(module, version=version)
    for name, spec in made.entities:
        path, message = registration(name, spec)
        answer = call("POST", path, message.SerializeToString())
        assert answer.status == 200, f"{name.name}: {answer.body!r}"
    return made


@dataclass(frozen=True)
class Platform:
    """A running control plane."""

    endpoint: Endpoint

    def call(self, method: str, path: str, body: bytes = b"") -> Response:
        return request(self.endpoint, method, path, body=body, headers=PROTOBUF)

    def launch(self, made: Specs, short: str, **inputs: Any) -> str:
        """Start a workflow by its default launch plan; returns the execution's name."""
        plan = core.Identifier(
            resource_type=core.ResourceType.LAUNCH_PLAN,
            project=PROJECT,
            domain=DOMAIN,
            name=made.name(short),
            version=VERSION,
        )
        message = admin.ExecutionCreateRequest(
            project=PROJECT,
            domain=DOMAIN,
            spec=admin.ExecutionSpec(launch_plan=plan),
            inputs=core.LiteralMap(literals={n: literals.literal(v) for n, v in inputs.items()}),
        )
        answer = self.call("POST", "/api/v1/executions", message.SerializeToString())
        assert answer.status == 200, f"{short}: {answer.body!r}"
        return admin.ExecutionCreateResponse.FromString(answer.body).id.name

    def ended(self, name: str) -> admin.Execution:
        """The execution at its end."""

        def look() -> admin.Execution | None:
            found = self.execution(name)
            over = found.closure.phase in (
                core.WorkflowExecution.SUCCEEDED,
                core.WorkflowExecution.FAILED,
                core.WorkflowExecution.ABORTED,
            )
            return found if over else None

        found = eventually(look, within=180, what=f"end of {name}")
        assert isinstance(found, admin.Execution)
        return found

    def execution(self, name: str) -> admin.Execution:
        path = f"/api/v1/executions/{PROJECT}/{DOMAIN}/{name}"
        return admin.Execution.FromString(self.call("GET", path).body)

    def outputs(self, name: str) -> Mapping[str, Any]:
        """What an execution gave, as plain values."""
        path = f"/api/v1/data/executions/{PROJECT}/{DOMAIN}/{name}"
        answer = admin.WorkflowExecutionGetDataResponse.FromString(self.call("GET", path).body)
        return {n: literals.value(v) for n, v in answer.full_outputs.literals.items()}
