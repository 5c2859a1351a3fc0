"""Drives a running control plane as Flyte's clients do: launches with every option, and reads back all that an execution shows."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flytekit_platform import Platform, register
from flytekit_specs import DOMAIN, PROJECT, VERSION, Specs
from google.protobuf.message import Message
from processes import eventually, stop_control_plane

from flyte_jupyter.idl import admin, core, literals
from flyte_jupyter.supervisor import find, find_or_start, places, request
from flyte_jupyter.supervisor.finding import command_for

EXECUTION = core.WorkflowExecution
NODE = core.NodeExecution
TASK = core.TaskExecution
CACHE = core.CatalogCacheStatus
HERE = f"{PROJECT}/{DOMAIN}"
_MOST = 1000


@dataclass(frozen=True)
class Street(Platform):
    """A control plane, and the folder where the tasks of ``flytekit_programs.effects`` leave their marks."""

    effects: Path

    # -- asking --

    def ask(self, path: str, answer: type[Any]) -> Any:
        """Read one message of Flyte's."""
        found = self.call("GET", f"/api/v1/{path}")
        assert found.status == 200, (path, found.body)
        return answer.FromString(found.body)

    def tell(self, method: str, path: str, message: Message, answer: type[Any]) -> Any:
        """Send one message of Flyte's."""
        found = self.call(method, f"/api/v1/{path}", message.SerializeToString())
        assert found.status == 200, (path, found.body)
        return answer.FromString(found.body)

    def own(self, method: str, path: str, body: Any = None) -> Any:
        """Ask a route that is not Flyte's, in JSON."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        found = request(self.endpoint, method, f"/x/v1/{path}", body=data, headers=headers)
        assert found.status == 200, (path, found.body)
        return json.loads(found.body)

    # -- launching --

    def start(self, made: Specs, short: str, *, kind: str = "launch_plan", **inputs: Any) -> str:
        """Start something of a module; see `launched` for an execution with options."""
        return self.launched(made, short, admin.ExecutionSpec(), kind=kind, **inputs)

    def launched(
        self,
        made: Specs,
        short: str,
        spec: admin.ExecutionSpec,
        kind: str = "launch_plan",
        **inputs: Any,
    ) -> str:
        """Start something of a module with these options; returns the execution's name."""
        message = self.request(made, short, spec, kind, **inputs)
        path, answer = "executions", admin.ExecutionCreateResponse
        return self.tell("POST", path, message, answer).id.name

    def request(
        self,
        made: Specs,
        short: str,
        spec: admin.ExecutionSpec,
        kind: str = "launch_plan",
        **inputs: Any,
    ) -> admin.ExecutionCreateRequest:
        """The request that `launched` sends."""
        sent = admin.ExecutionSpec()
        sent.CopyFrom(spec)
        sent.launch_plan.CopyFrom(
            core.Identifier(
                resource_type=core.ResourceType.TASK
                if kind == "task"
                else core.ResourceType.LAUNCH_PLAN,
                project=PROJECT,
                domain=DOMAIN,
                name=made.name(short),
                version=VERSION,
            )
        )
        if not any(pair.key == "FLYTE_EFFECTS" for pair in sent.envs.values):
            sent.envs.values.add(key="FLYTE_EFFECTS", value=str(self.effects))
        given = {name: literals.literal(value) for name, value in inputs.items()}
        return admin.ExecutionCreateRequest(
            project=PROJECT, domain=DOMAIN, spec=sent, inputs=core.LiteralMap(literals=given)
        )

    def recover(self, name: str) -> str:
        message = admin.ExecutionRecoverRequest(id=_execution(name))
        path, answer = "executions/recover", admin.ExecutionCreateResponse
        return self.tell("POST", path, message, answer).id.name

    def relaunch(self, name: str, *, overwrite_cache: bool = False) -> str:
        message = admin.ExecutionRelaunchRequest(
            id=_execution(name), overwrite_cache=overwrite_cache
        )
        path, answer = "executions/relaunch", admin.ExecutionCreateResponse
        return self.tell("POST", path, message, answer).id.name

    def abort(self, name: str, cause: str = "enough") -> None:
        message = admin.ExecutionTerminateRequest(id=_execution(name), cause=cause)
        path, answer = f"executions/{HERE}/{name}", admin.ExecutionTerminateResponse
        self.tell("DELETE", path, message, answer)

    # -- executions --

    def succeeded(self, name: str) -> Mapping[str, Any]:
        """The outputs of an execution that must succeed."""
        closure = self.ended(name).closure
        assert closure.phase == EXECUTION.SUCCEEDED, (name, closure.error)
        return self.outputs(name)

    def failed(self, name: str) -> core.ExecutionError:
        """The error of an execution that must fail."""
        closure = self.ended(name).closure
        assert closure.phase == EXECUTION.FAILED, (name, EXECUTION.Phase.Name(closure.phase))
        return closure.error

    def data(self, name: str) -> admin.WorkflowExecutionGetDataResponse:
        return self.ask(f"data/executions/{HERE}/{name}", admin.WorkflowExecutionGetDataResponse)

    def executions(self, filters: str) -> list[admin.Execution]:
        path = f"executions/{HERE}?limit={_MOST}&filters={quote(filters)}"
        return list(self.ask(path, admin.ExecutionList).executions)

    # -- nodes --

    def listed(self, name: str, parent: str = "") -> list[admin.NodeExecution]:
        """The nodes of an execution, or of one of its nodes, in the order in which they are listed."""
        path = f"node_executions/{HERE}/{name}?limit={_MOST}&unique_parent_id={quote(parent)}"
        return list(self.ask(path, admin.NodeExecutionList).node_executions)

    def nodes(self, name: str, parent: str = "") -> dict[str, admin.NodeExecution]:
        return {each.id.node_id: each for each in self.listed(name, parent)}

    def tree(self, name: str) -> dict[str, admin.NodeExecution]:
        """Every node at any depth, by its id; parents before their children."""
        return {each.id.node_id: each for each in self._below(name, "")}

    def _below(self, name: str, parent: str) -> Iterator[admin.NodeExecution]:
        for each in self.listed(name, parent):
            yield each
            yield from self._below(name, each.id.node_id)

    def phases(self, name: str) -> dict[str, str]:
        return {node: phase_of(each) for node, each in self.tree(name).items()}

    def node(self, name: str, node: str) -> admin.NodeExecution:
        return self.ask(f"node_executions/{HERE}/{name}/{node}", admin.NodeExecution)

    def node_data(self, name: str, node: str) -> admin.NodeExecutionGetDataResponse:
        path = f"data/node_executions/{HERE}/{name}/{node}"
        return self.ask(path, admin.NodeExecutionGetDataResponse)

    def reached(self, name: str, node: str, phase: int) -> admin.NodeExecution:
        """The node as soon as it is in this phase."""

        def look() -> admin.NodeExecution | None:
            found = self.call("GET", f"/api/v1/node_executions/{HERE}/{name}/{node}")
            if found.status != 200:
                return None
            made = admin.NodeExecution.FromString(found.body)
            return made if made.closure.phase == phase else None

        what = f"{NODE.Phase.Name(phase)} of {node} in {name}"
        found = eventually(look, what=what)
        assert isinstance(found, admin.NodeExecution)
        return found

    # -- attempts --

    def attempts(self, name: str, node: str) -> list[admin.TaskExecution]:
        path = f"task_executions/{HERE}/{name}/{node}?limit={_MOST}"
        return list(self.ask(path, admin.TaskExecutionList).task_executions)

    def items(self, name: str, node: str) -> dict[int, Any]:
        """What an array node's one task execution tells of its items, by index."""
        (whole,) = self.attempts(name, node)
        return {each.index: each for each in whole.closure.metadata.external_resources}

    # -- signals --

    def signals(self, name: str) -> dict[str, admin.Signal]:
        path = f"signals/{HERE}/{name}?limit={_MOST}"
        return {each.id.signal_id: each for each in self.ask(path, admin.SignalList).signals}

    def answer(self, name: str, signal: str, value: Any) -> None:
        made = core.SignalIdentifier(signal_id=signal, execution_id=_execution(name))
        message = admin.SignalSetRequest(id=made, value=literals.literal(value))
        self.tell("POST", "signals", message, admin.SignalSetResponse)

    # -- effects --

    def marks(self, mark: str) -> int:
        """How often a task has left this mark."""
        file = self.effects / f"{mark}.marks"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def seen(self, mark: str, count: int = 1) -> None:
        """Wait for a mark."""
        eventually(lambda: self.marks(mark) >= count, what=f"mark {mark}")

    def all_marks(self) -> dict[str, int]:
        return {file.stem: self.marks(file.stem) for file in self.effects.glob("*.marks")}

    def mend(self, *marks: str) -> None:
        for mark in marks:
            (self.effects / f"{mark}.mended").touch()

    def open(self, *doors: str) -> None:
        for door in doors:
            (self.effects / f"{door}.open").touch()


@contextmanager
def serving(folder: Path, *modules: str, config: str = "") -> Iterator[Street]:
    """A control plane of its own with these modules of ``flytekit_programs`` registered; `config` is its settings in TOML."""
    data = folder / "data"
    told = {"FLYTE_JUPYTER_DATA_DIR": str(data)}
    kept = {name: os.environ.get(name) for name in (*told, "FLYTE_JUPYTER_ENDPOINT")}
    os.environ.update(told)
    os.environ.pop("FLYTE_JUPYTER_ENDPOINT", None)
    started = _start(config) if config else None
    try:
        street = Street(find_or_start(), folder)
        for module in modules:
            register(street.call, module)
        yield street
    finally:
        stop_control_plane(data)
        if started is not None:
            started.wait(60)
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start(config: str) -> subprocess.Popen[bytes]:
    """A control plane with settings, where `find_or_start` finds it."""
    where = places()
    where.data.mkdir(parents=True, exist_ok=True)
    file = where.data / "settings.toml"
    file.write_text(config)
    words = [*command_for(where), "--config", str(file)]
    process = subprocess.Popen(words, start_new_session=True)
    eventually(find, what="the control plane")
    return process


def phase_of(node: admin.NodeExecution) -> str:
    return NODE.Phase.Name(node.closure.phase)


def values(data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs of a data response as plain values."""
    return (
        {name: literals.value(each) for name, each in data.full_inputs.literals.items()},
        {name: literals.value(each) for name, each in data.full_outputs.literals.items()},
    )


def _execution(name: str) -> core.WorkflowExecutionIdentifier:
    return core.WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)
