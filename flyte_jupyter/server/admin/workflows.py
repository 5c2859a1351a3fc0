"""Workflows: compiled when they are registered, never changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from flyte_jupyter.engine.compiler.compile import skeleton
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.digests import message_digest
from flyte_jupyter.idl.identifiers import identifier
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.compilation import compile_template
from flyte_jupyter.server.admin.errors import AlreadyExists, InvalidArgument
from flyte_jupyter.server.admin.listing import query_of
from flyte_jupyter.server.admin.names import entity_id
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.projects import check_open
from flyte_jupyter.store.errors import AlreadyExistsDifferent, AlreadyExistsIdentical, NotFound
from flyte_jupyter.store.listings import GENERATED

_OF_A_TASK = f"{GENERATED}."


class WorkflowCases:
    """Register and look at workflows."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def create(
        self, request: admin.WorkflowCreateRequest, _: Caller
    ) -> admin.WorkflowCreateResponse:
        """Compile and register a version; all problems of the graph come back at once."""
        name = entity_id(EntityKind.WORKFLOW, request.id)
        await check_open(self._platform, name.project, name.domain)
        template = core.WorkflowTemplate()
        template.CopyFrom(request.spec.template)
        template.id.CopyFrom(identifier(name))
        closure = await compile_template(self._platform, template, request.spec.sub_workflows)
        digest = await asyncio.to_thread(message_digest, closure)
        workflow = admin.Workflow(
            id=identifier(name),
            closure=admin.WorkflowClosure(
                compiled_workflow=closure, created_at=self._platform.timestamp()
            ),
            short_description=request.spec.description.short_description,
        )
        reason = admin.CreateWorkflowFailureReason
        try:
            await self._platform.specs.register(workflow, digest)
        except AlreadyExistsIdentical as error:
            same = admin.WorkflowErrorExistsIdenticalStructure(id=workflow.id)
            raise AlreadyExists(
                f"{name} is registered with this very structure",
                details=[reason(exists_identical_structure=same)],
            ) from error
        except AlreadyExistsDifferent as error:
            other = admin.WorkflowErrorExistsDifferentStructure(id=workflow.id)
            raise InvalidArgument(
                f"{name} is registered with another structure, and a version never changes: "
                "register a new version",
                details=[reason(exists_different_structure=other)],
            ) from error
        return admin.WorkflowCreateResponse()

    async def get(self, request: admin.ObjectGetRequest, _: Caller) -> admin.Workflow:
        """One version, with its compiled closure."""
        # A single task's workflow is called like the task, which may have as long a name as any.
        given = core.Identifier()
        given.CopyFrom(request.id)
        given.name = request.id.name.removeprefix(_OF_A_TASK)
        name = replace(entity_id(EntityKind.WORKFLOW, given), name=request.id.name)
        try:
            return await self._platform.specs.workflow(name)
        except NotFound:
            if not name.name.startswith(_OF_A_TASK):
                raise
        return await self._of_a_task(name)

    async def _of_a_task(self, name: EntityId) -> admin.Workflow:
        """The workflow that an execution of a single task runs: it is the task's, and kept nowhere."""
        short = name.name.removeprefix(_OF_A_TASK)
        task = await self._platform.specs.task(replace(name, kind=EntityKind.TASK, name=short))
        closure = await compile_template(
            self._platform, skeleton(task.closure.compiled_task.template)
        )
        return admin.Workflow(
            id=identifier(name),
            closure=admin.WorkflowClosure(
                compiled_workflow=closure, created_at=task.closure.created_at
            ),
            short_description=task.short_description,
        )

    async def list(self, request: admin.ResourceListRequest, _: Caller) -> admin.WorkflowList:
        """Versions, newest first: of a project and domain, or of one workflow."""
        page = await self._platform.specs.list_workflows(
            request.id.project,
            request.id.domain,
            query_of(request, self._platform.max_listing),
            name=request.id.name,
        )
        return admin.WorkflowList(workflows=page.items, token=page.token)
