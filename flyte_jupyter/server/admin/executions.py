"""Executions: look, read their data, abort, archive."""

from __future__ import annotations

from flyte_jupyter.idl import admin
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.data import read_data
from flyte_jupyter.server.admin.listing import for_a_list, query_of
from flyte_jupyter.server.admin.names import known_state, required, run_id
from flyte_jupyter.server.admin.platform import Platform


class ExecutionCases:
    """What can be done with an execution that exists."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def get(self, request: admin.WorkflowExecutionGetRequest, _: Caller) -> admin.Execution:
        """One execution."""
        return await self._platform.executions.get(run_id(request.id))

    async def list(self, request: admin.ResourceListRequest, _: Caller) -> admin.ExecutionList:
        """Executions of a project and domain, newest first; archived ones only by a filter on state. Long errors are cut."""
        page = await self._platform.executions.list(
            required(request.id.project, "id.project"),
            required(request.id.domain, "id.domain"),
            query_of(request, self._platform.max_listing),
        )
        return admin.ExecutionList(executions=for_a_list(page.items), token=page.token)

    async def data(
        self, request: admin.WorkflowExecutionGetDataRequest, caller: Caller
    ) -> admin.WorkflowExecutionGetDataResponse:
        """The execution's inputs, and its outputs once it has succeeded."""
        run = run_id(request.id)
        execution = await self._platform.executions.get(run)
        inputs = await read_data(
            self._platform, await self._platform.executions.inputs(run), caller
        )
        outputs = await read_data(self._platform, execution.closure.outputs.uri, caller)
        return admin.WorkflowExecutionGetDataResponse(
            inputs=inputs.url,
            outputs=outputs.url,
            full_inputs=inputs.full,
            full_outputs=outputs.full,
        )

    async def terminate(
        self, request: admin.ExecutionTerminateRequest, caller: Caller
    ) -> admin.ExecutionTerminateResponse:
        """Ask for the end of the run: ABORTING at once, ABORTED when the engine has ended its attempts."""
        await self._platform.executions.request_abort(
            run_id(request.id), request.cause, caller.principal, self._platform.now()
        )
        return admin.ExecutionTerminateResponse()

    async def update(
        self, request: admin.ExecutionUpdateRequest, caller: Caller
    ) -> admin.ExecutionUpdateResponse:
        """Archive the execution or bring it back. Raises `InvalidArgument` for a state that there is not."""
        known_state(request, "state")
        await self._platform.executions.update_state(
            run_id(request.id),
            admin.ExecutionStateChangeDetails(
                state=request.state,
                occurred_at=self._platform.timestamp(),
                principal=caller.principal,
            ),
        )
        return admin.ExecutionUpdateResponse()
