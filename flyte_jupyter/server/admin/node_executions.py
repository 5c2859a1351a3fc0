"""Nodes and attempts of an execution."""

from __future__ import annotations

import asyncio

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.data import read_data
from flyte_jupyter.server.admin.errors import NotFound
from flyte_jupyter.server.admin.listing import for_a_list, query_of
from flyte_jupyter.server.admin.names import required, run_id
from flyte_jupyter.server.admin.platform import Platform


class NodeExecutionCases:
    """Look at nodes and attempts, and read their data."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def get(self, request: admin.NodeExecutionGetRequest, _: Caller) -> admin.NodeExecution:
        """One node."""
        return await self._platform.executions.node_execution(*_node(request.id))

    async def list(
        self, request: admin.NodeExecutionListRequest, _: Caller
    ) -> admin.NodeExecutionList:
        """The top-level nodes of an execution, or the children of `unique_parent_id`, which must have begun. Long errors are cut."""
        run, parent = run_id(request.workflow_execution_id), request.unique_parent_id
        query = query_of(request, self._platform.max_listing)
        if parent:
            await self._platform.executions.node_execution(
                run, required(parent, "unique_parent_id")
            )
        page = await self._platform.executions.node_executions(run, query, parent=parent)
        return admin.NodeExecutionList(node_executions=for_a_list(page.items), token=page.token)

    async def made_by(
        self, request: admin.NodeExecutionForTaskListRequest, _: Caller
    ) -> admin.NodeExecutionList:
        """The nodes of the graph that one attempt of a dynamic task made; none for any other attempt. Long errors are cut."""
        name = request.task_execution_id
        query = query_of(request, self._platform.max_listing)
        await self._attempt(name)
        run, node = _node(name.node_execution_id)
        page = await self._platform.executions.made_by(run, node, name.retry_attempt, query)
        return admin.NodeExecutionList(node_executions=for_a_list(page.items), token=page.token)

    async def data(
        self, request: admin.NodeExecutionGetDataRequest, caller: Caller
    ) -> admin.NodeExecutionGetDataResponse:
        """A node's inputs and outputs."""
        run, node = _node(request.id)
        found = await self._platform.executions.node_execution(run, node)
        inputs = await read_data(self._platform, found.input_uri, caller)
        outputs = await read_data(self._platform, found.closure.output_uri, caller)
        answer = admin.NodeExecutionGetDataResponse(
            inputs=inputs.url,
            outputs=outputs.url,
            full_inputs=inputs.full,
            full_outputs=outputs.full,
            flyte_urls=_urls(run, node, deck=bool(found.closure.deck_uri)),
        )
        if found.metadata.is_dynamic and found.closure.dynamic_job_spec_uri:
            made = await self._expansion(run, node)
            answer.dynamic_workflow.id.CopyFrom(made.primary.template.id)
            answer.dynamic_workflow.compiled_workflow.CopyFrom(made)
            answer.dynamic_workflow.dynamic_job_spec_uri = found.closure.dynamic_job_spec_uri
        return answer

    async def dynamic_workflow(
        self, request: admin.GetDynamicNodeWorkflowRequest, _: Caller
    ) -> admin.DynamicNodeWorkflowResponse:
        """The graph that a dynamic node made. Raises `NotFound` of the store while there is none."""
        made = await self._expansion(*_node(request.id))
        return admin.DynamicNodeWorkflowResponse(compiled_workflow=made)

    async def _expansion(self, run: RunId, node: str) -> core.CompiledWorkflowClosure:
        body = await self._platform.executions.expansion(run, node)
        return await asyncio.to_thread(core.CompiledWorkflowClosure.FromString, body)

    async def attempt(
        self, request: admin.TaskExecutionGetRequest, _: Caller
    ) -> admin.TaskExecution:
        """One attempt."""
        return await self._attempt(request.id)

    async def attempts(
        self, request: admin.TaskExecutionListRequest, _: Caller
    ) -> admin.TaskExecutionList:
        """The attempts of one node, the first first. Long errors are cut."""
        page = await self._platform.executions.task_executions(
            *_node(request.node_execution_id), query_of(request, self._platform.max_listing)
        )
        return admin.TaskExecutionList(task_executions=for_a_list(page.items), token=page.token)

    async def attempt_data(
        self, request: admin.TaskExecutionGetDataRequest, caller: Caller
    ) -> admin.TaskExecutionGetDataResponse:
        """An attempt's inputs and outputs."""
        found = await self._attempt(request.id)
        inputs = await read_data(self._platform, found.input_uri, caller)
        outputs = await read_data(self._platform, found.closure.output_uri, caller)
        run, node = _node(request.id.node_execution_id)
        return admin.TaskExecutionGetDataResponse(
            inputs=inputs.url,
            outputs=outputs.url,
            full_inputs=inputs.full,
            full_outputs=outputs.full,
            flyte_urls=_urls(run, f"{node}/{request.id.retry_attempt}", deck=False),
        )

    async def _attempt(self, name: core.TaskExecutionIdentifier) -> admin.TaskExecution:
        run, node = _node(name.node_execution_id)
        found = await self._platform.executions.task_execution(run, node, name.retry_attempt)
        if _task(name) != _task(found.id):
            raise NotFound(
                f"Attempt {name.retry_attempt} at {node} in {run} is none of task {'/'.join(_task(name))}: "
                "list the attempts of the node, which name their task"
            )
        return found


def _task(name: core.TaskExecutionIdentifier) -> tuple[str, str, str, str]:
    task = name.task_id
    return task.project, task.domain, task.name, task.version


def _node(name: core.NodeExecutionIdentifier) -> tuple[RunId, str]:
    return run_id(name.execution_id), required(name.node_id, "id.node_id")


def _urls(run: RunId, place: str, *, deck: bool) -> admin.FlyteURLs:
    prefix = f"flyte://v1/{run}/{place}"
    return admin.FlyteURLs(
        inputs=f"{prefix}/i", outputs=f"{prefix}/o", deck=f"{prefix}/d" if deck else ""
    )
