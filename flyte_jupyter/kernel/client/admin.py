"""Flyte's admin API as typed methods."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from flyte_jupyter.idl import admin, core, service
from flyte_jupyter.kernel.client.errors import AlreadyExists
from flyte_jupyter.kernel.client.transport import Transport
from flyte_jupyter.supervisor import Endpoint
from flyte_jupyter.supervisor.endpoint import Body

_API = "/api/v1"
_OURS = "/x/v1"
_PAGE = 100
_PART = 1024 * 1024


@dataclass(frozen=True)
class LogSlice:
    """A piece of an attempt's log. `next` is the byte offset to go on from; `complete` says that no more will come."""

    text: str
    next: int
    complete: bool


class Client:
    """One control plane. All methods raise `ControlPlaneError`, of the kind that its code stands for."""

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._transport = Transport(endpoint)
        self._call = self._transport.call

    @property
    def endpoint(self) -> Endpoint:
        """Where the control plane answers; it is started when none is there."""
        return self._transport.endpoint

    # Registration

    def create_task(self, identifier: core.Identifier, spec: admin.TaskSpec) -> bool:
        """Register a task; False when this very version was there already."""
        message = admin.TaskCreateRequest(id=identifier, spec=spec)
        try:
            self._call("POST", f"{_API}/tasks", admin.TaskCreateResponse, message)
        except AlreadyExists:
            return False
        return True

    def create_workflow(self, identifier: core.Identifier, spec: admin.WorkflowSpec) -> bool:
        """Register a workflow; False when this very version was there already."""
        message = admin.WorkflowCreateRequest(id=identifier, spec=spec)
        try:
            self._call("POST", f"{_API}/workflows", admin.WorkflowCreateResponse, message)
        except AlreadyExists:
            return False
        return True

    def create_launch_plan(self, identifier: core.Identifier, spec: admin.LaunchPlanSpec) -> bool:
        """Register a launch plan; False when this very version was there already."""
        message = admin.LaunchPlanCreateRequest(id=identifier, spec=spec)
        try:
            self._call("POST", f"{_API}/launch_plans", admin.LaunchPlanCreateResponse, message)
        except AlreadyExists:
            return False
        return True

    def get_task(self, identifier: core.Identifier) -> admin.Task:
        """A registered task."""
        return self._call("GET", f"{_API}/tasks/{_entity(identifier)}", admin.Task)

    def latest_task(self, identifier: core.Identifier) -> admin.Task | None:
        """The version of a task's name that was registered last; None when there is none."""
        parts = (identifier.project, identifier.domain, identifier.name)
        path = f"{_API}/tasks/{'/'.join(_quoted(part) for part in parts)}"
        found = self._call("GET", path, admin.TaskList, query={"limit": 1}).tasks
        return found[0] if found else None

    def get_workflow(self, identifier: core.Identifier) -> admin.Workflow:
        """A registered workflow with its compiled closure."""
        return self._call("GET", f"{_API}/workflows/{_entity(identifier)}", admin.Workflow)

    def get_launch_plan(self, identifier: core.Identifier) -> admin.LaunchPlan:
        """A registered launch plan."""
        return self._call("GET", f"{_API}/launch_plans/{_entity(identifier)}", admin.LaunchPlan)

    # Executions

    def create_execution(
        self, message: admin.ExecutionCreateRequest
    ) -> core.WorkflowExecutionIdentifier:
        """Launch. The request names the execution, so that sending it again launches nothing new."""
        path = f"{_API}/executions"
        return self._call("POST", path, admin.ExecutionCreateResponse, message).id

    def get_execution(self, run: core.WorkflowExecutionIdentifier) -> admin.Execution:
        """An execution as it stands."""
        return self._call("GET", f"{_API}/executions/{_run(run)}", admin.Execution)

    def list_executions(
        self, project: str, domain: str, *, limit: int = _PAGE, filters: str = "", token: str = ""
    ) -> admin.ExecutionList:
        """Executions, newest first. `filters` is Flyte's language, such as ``value_in(phase,RUNNING;QUEUED)``."""
        query: dict[str, str | int] = {
            "limit": limit,
            "sort_by.key": "created_at",
            "sort_by.direction": "DESCENDING",
        }
        query |= {"filters": filters} if filters else {}
        query |= {"token": token} if token else {}
        path = f"{_API}/executions/{_quoted(project)}/{_quoted(domain)}"
        return self._call("GET", path, admin.ExecutionList, query=query)

    def execution_data(
        self, run: core.WorkflowExecutionIdentifier
    ) -> admin.WorkflowExecutionGetDataResponse:
        """An execution's inputs, and its outputs when it has succeeded."""
        path = f"{_API}/data/executions/{_run(run)}"
        return self._call("GET", path, admin.WorkflowExecutionGetDataResponse)

    def terminate(self, run: core.WorkflowExecutionIdentifier, cause: str) -> None:
        """Abort an execution."""
        message = admin.ExecutionTerminateRequest(id=run, cause=cause)
        path = f"{_API}/executions/{_run(run)}"
        self._call("DELETE", path, admin.ExecutionTerminateResponse, message)

    def relaunch(
        self, run: core.WorkflowExecutionIdentifier, name: str, *, overwrite_cache: bool = False
    ) -> core.WorkflowExecutionIdentifier:
        """Launch the same thing again with the same inputs, under another name."""
        message = admin.ExecutionRelaunchRequest(id=run, name=name, overwrite_cache=overwrite_cache)
        path = f"{_API}/executions/relaunch"
        return self._call("POST", path, admin.ExecutionCreateResponse, message).id

    # Nodes and attempts

    def list_node_executions(
        self, run: core.WorkflowExecutionIdentifier
    ) -> Iterator[admin.NodeExecution]:
        """All nodes of an execution, start and end included, page by page; of a long error the two ends."""
        path, token = f"{_API}/node_executions/{_run(run)}", ""
        while True:
            query: dict[str, str | int] = {"limit": _PAGE} | ({"token": token} if token else {})
            page = self._call("GET", path, admin.NodeExecutionList, query=query)
            yield from page.node_executions
            token = page.token
            if not token:
                return

    def get_node_execution(self, node: core.NodeExecutionIdentifier) -> admin.NodeExecution:
        """One node as it stands, with all of its error."""
        return self._call("GET", f"{_API}/node_executions/{_node(node)}", admin.NodeExecution)

    def node_execution_data(
        self, node: core.NodeExecutionIdentifier
    ) -> admin.NodeExecutionGetDataResponse:
        """A node's inputs, and its outputs when it has succeeded."""
        path = f"{_API}/data/node_executions/{_node(node)}"
        return self._call("GET", path, admin.NodeExecutionGetDataResponse)

    def list_task_executions(
        self, node: core.NodeExecutionIdentifier
    ) -> Iterator[admin.TaskExecution]:
        """All attempts at a node, page by page."""
        path, token = f"{_API}/task_executions/{_node(node)}", ""
        while True:
            query: dict[str, str | int] = {"limit": _PAGE} | ({"token": token} if token else {})
            page = self._call("GET", path, admin.TaskExecutionList, query=query)
            yield from page.task_executions
            token = page.token
            if not token:
                return

    def log(self, node: core.NodeExecutionIdentifier, attempt: int, offset: int = 0) -> LogSlice:
        """What an attempt has written since a byte offset."""
        path = f"{_OURS}/logs/{_node(node)}/{attempt}?offset={offset}"
        said = json.loads(self._transport.send("GET", path).body)
        return LogSlice(said["text"], said["next"], said["complete"])

    def deck(self, node: core.NodeExecutionIdentifier, attempt: int | None = None) -> str:
        """A node's deck, a page of HTML; the last attempt's unless one is named."""
        query = "" if attempt is None else f"?attempt={attempt}"
        body = self._transport.send("GET", f"{_OURS}/decks/{_node(node)}{query}").body
        return body.decode("utf-8", "replace")

    # Data

    def literals(self, inline: core.LiteralMap, url: admin.UrlBlob) -> core.LiteralMap:
        """Inputs or outputs: large ones are not in admin's answer itself, which then names their place."""
        if inline.literals or not url.bytes:
            return inline
        return core.LiteralMap.FromString(self._transport.fetch(url.url))

    def upload(self, project: str, domain: str, data: Body, filename: str) -> str:
        """Store bytes, or an open file, where the control plane says, and give their URI: the same for the same content and name."""
        size, digest = _measured(data)
        place = self._call(
            "POST",
            f"{_API}/dataproxy/artifact_urn",
            service.CreateUploadLocationResponse,
            service.CreateUploadLocationRequest(
                project=project, domain=domain, filename=filename, content_md5=digest
            ),
        )
        headers = {
            "Content-Length": str(size),
            "Content-MD5": base64.b64encode(digest).decode(),
            **place.headers,
        }
        self._transport.put(place.signed_url, data, headers)
        return place.native_url


def _measured(data: Body) -> tuple[int, bytes]:
    """The size and the MD5, of a file read a part at a time."""
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    for part in (data,) if isinstance(data, bytes) else iter(lambda: data.read(_PART), b""):
        digest.update(part)
        size += len(part)
    return size, digest.digest()


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _entity(identifier: core.Identifier) -> str:
    parts = (identifier.project, identifier.domain, identifier.name, identifier.version)
    return "/".join(_quoted(part) for part in parts)


def _run(run: core.WorkflowExecutionIdentifier) -> str:
    return "/".join(_quoted(part) for part in (run.project, run.domain, run.name))


def _node(node: core.NodeExecutionIdentifier) -> str:
    return f"{_run(node.execution_id)}/{_quoted(node.node_id)}"
