"""Control planes that are killed, and what tests of faults want to know of the runs that they had."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flytekit_platform
import pytest
from flytekit_specs import DOMAIN, PROJECT, Specs, specs
from processes import alive, eventually, stop_control_plane

from flyte_jupyter.idl import admin, core, literals
from flyte_jupyter.supervisor import find, find_or_start, status
from flyte_jupyter.supervisor.errors import ControlPlaneUnreachable
from flyte_jupyter.supervisor.finding import command_for
from flyte_jupyter.supervisor.places import places

DYING = Path(__file__).resolve().parent / "dying_plane.py"
TESTS = DYING.parent.parent
MODULE = "faults"
SUCCEEDED = core.NodeExecution.SUCCEEDED
ITEM_SUCCEEDED = core.TaskExecution.SUCCEEDED
CACHE = core.CatalogCacheStatus
WORKFLOW, NODE, TASK = core.WorkflowExecution, core.NodeExecution, core.TaskExecution
_PAGE = 1000


@dataclass(frozen=True)
class Plane(flytekit_platform.Platform):
    """A control plane over one data folder, through all of its lives, with the programs of ``flytekit_programs.faults``."""

    data: Path
    made: Specs = field(default_factory=lambda: specs(MODULE, bare=True), repr=False)

    def register(self) -> None:
        for name, spec in self.made.entities:
            path, message = flytekit_platform.registration(name, spec)
            answer = self.call("POST", path, message.SerializeToString())
            assert answer.status == 200, f"{name.name}: {answer.body!r}"

    # -- its lives --

    @property
    def pid(self) -> int:
        return int(status(self.endpoint)["pid"])

    def kill(self) -> None:
        """As ``kill -9`` does, and nothing else: its zygotes and workers go on."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid), what=f"the end of control plane {pid}")
        assert find() is None

    def restart(self) -> None:
        find_or_start()

    def status(self) -> Mapping[str, Any]:
        return status(self.endpoint)

    @contextlib.contextmanager
    def dying_at(self, point: str) -> Iterator[Path]:
        """A control plane that dies at this call (see `dying_plane`); at the end it has died. Gives what exists once it did."""
        where, died = places(), self.data.parent / f"died.{point.replace(':', '.')}"
        words = [sys.executable, str(DYING), *command_for(where)[3:]]
        environ = {**os.environ, "DIES_AT": point, "DIED": str(died)}
        errors = died.with_suffix(".err")
        with errors.open("wb") as err:
            process = subprocess.Popen(
                words, env=environ, cwd="/", stdout=err, stderr=err, start_new_session=True
            )
        try:
            eventually(
                lambda: died.exists() or process.poll() is not None or find(),
                what="a control plane",
            )
            yield died
            eventually(lambda: process.poll() is not None, what=f"its death at {point}")
            assert died.exists(), errors.read_text()
        finally:
            process.kill()
            process.wait(60)

    # -- runs --

    def start(
        self, short: str, *, called: str = "", spec: Mapping[str, Any] | None = None, **inputs: Any
    ) -> str:
        """Launch a workflow by its default launch plan with these fields of an execution spec."""
        answer = self.call(
            "POST",
            "/api/v1/executions",
            self.wish(short, called, spec, **inputs).SerializeToString(),
        )
        assert answer.status == 200, f"{short}: {answer.body!r}"
        return admin.ExecutionCreateResponse.FromString(answer.body).id.name

    def insist(self, short: str, called: str, **inputs: Any) -> bool:
        """Launch under a name whatever became of earlier tries; False when nobody answers."""
        message = self.wish(short, called, **inputs).SerializeToString()
        try:
            answer = self.call("POST", "/api/v1/executions", message)
        except (ControlPlaneUnreachable, OSError):
            return False
        assert answer.status in (200, 409), answer.body
        return True

    def wish(
        self, short: str, called: str = "", spec: Mapping[str, Any] | None = None, **inputs: Any
    ) -> admin.ExecutionCreateRequest:
        """The request that `start` sends."""
        plan = core.Identifier(
            resource_type=core.ResourceType.LAUNCH_PLAN,
            project=PROJECT,
            domain=DOMAIN,
            name=self.made.name(short),
            version=flytekit_platform.VERSION,
        )
        given = {
            n: v if isinstance(v, core.Literal) else literals.literal(v) for n, v in inputs.items()
        }
        return admin.ExecutionCreateRequest(
            project=PROJECT,
            domain=DOMAIN,
            name=called,
            spec=admin.ExecutionSpec(launch_plan=plan, **(spec or {})),
            inputs=core.LiteralMap(literals=given),
        )

    def abort(self, name: str, cause: str = "enough") -> int:
        """Ask for the end of an execution; gives the answer's status."""
        execution = core.WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)
        message = admin.ExecutionTerminateRequest(id=execution, cause=cause)
        path = f"/api/v1/executions/{PROJECT}/{DOMAIN}/{name}"
        return self.call("DELETE", path, message.SerializeToString()).status

    def succeeded(self, name: str) -> admin.Execution:
        found = self.ended(name)
        assert found.closure.phase == core.WorkflowExecution.SUCCEEDED, found.closure.error
        return found

    def failed(self, name: str) -> core.ExecutionError:
        found = self.ended(name)
        assert found.closure.phase == core.WorkflowExecution.FAILED, found.closure.phase
        return found.closure.error

    # -- what a run shows --

    aborted = core.WorkflowExecution.ABORTED

    def phases(self) -> Sequence[int]:
        """The phases of all executions, children too."""
        found: list[int] = []
        token = ""
        while True:
            path = f"/api/v1/executions/{PROJECT}/{DOMAIN}?limit={_PAGE}&token={token}"
            listed = admin.ExecutionList.FromString(self.call("GET", path).body)
            found += [execution.closure.phase for execution in listed.executions]
            token = listed.token
            if not token:
                return found

    def nodes(self, name: str, parent: str = "") -> Mapping[str, admin.NodeExecution]:
        """Its nodes, or those inside one of them, by their ids in the workflow."""
        path = f"/api/v1/node_executions/{PROJECT}/{DOMAIN}/{name}?limit={_PAGE}"
        if parent:
            path += f"&unique_parent_id={parent}"
        listed = admin.NodeExecutionList.FromString(self.call("GET", path).body)
        return {
            node.metadata.spec_node_id or node.id.node_id: node for node in listed.node_executions
        }

    def phase(self, name: str, node: str) -> int | None:
        """How one of its outermost nodes stands; None before it is shown."""
        found = self.nodes(name).get(node)
        return found.closure.phase if found is not None else None

    def cache_status(self, name: str, node: str) -> int:
        """What the catalog did for one of its outermost nodes."""
        return self.nodes(name)[node].closure.task_node_metadata.cache_status

    def attempts(self, name: str, node: str) -> Sequence[admin.TaskExecution]:
        """The attempts of a node by its own id."""
        path = f"/api/v1/task_executions/{PROJECT}/{DOMAIN}/{name}/{node}?limit={_PAGE}"
        return admin.TaskExecutionList.FromString(self.call("GET", path).body).task_executions

    def items(self, name: str, node: str) -> Mapping[int, Any]:
        """The items of an array node by index, each at its last try."""
        return {
            item.index: item
            for attempt in self.attempts(name, node)
            for item in sorted(
                attempt.closure.metadata.external_resources, key=lambda item: item.retry_attempt
            )
        }


@contextlib.contextmanager
def plane(folder: Path) -> Iterator[Plane]:
    """A control plane in a folder of its own, whose tasks are forked from one parent that has flytekit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_JUPYTER_DATA_DIR", str(folder / "data"))
        patch.setenv("PYTHONPATH", str(TESTS))
        patch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
        try:
            made = Plane(find_or_start(), folder / "data")
            made.register()
            yield made
        finally:
            stop_control_plane(folder / "data")


def done(trace: Path) -> Counter[str]:
    """How often each thing was done, by the trace that tasks leave."""
    return Counter(line.split()[0] for line in lines(trace))


def lines(trace: Path) -> list[str]:
    return trace.read_text().splitlines() if trace.exists() else []


def workers(trace: Path) -> Mapping[str, list[int]]:
    """The processes that left the trace, by what they did, in order."""
    found: dict[str, list[int]] = {}
    for line in lines(trace):
        what, pid = line.split()
        found.setdefault(what, []).append(int(pid))
    return found
