"""Tasks: registered once per version, never changed."""

from __future__ import annotations

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.digests import message_digest
from flyte_jupyter.idl.identifiers import identifier
from flyte_jupyter.idl.ids import EntityKind
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.listing import query_of
from flyte_jupyter.server.admin.names import entity_id, required
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.projects import check_open
from flyte_jupyter.server.admin.registering import registering


class TaskCases:
    """Register and look at tasks."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def create(self, request: admin.TaskCreateRequest, _: Caller) -> admin.TaskCreateResponse:
        """Register a version. The same again is `AlreadyExists`, which clients take for success."""
        name = entity_id(EntityKind.TASK, request.id)
        await check_open(self._platform, name.project, name.domain)
        template = core.TaskTemplate()
        template.CopyFrom(request.spec.template)
        template.id.CopyFrom(identifier(name))
        required(template.type, "spec.template.type")
        compiled = core.CompiledTask(template=template)
        task = admin.Task(
            id=identifier(name),
            closure=admin.TaskClosure(
                compiled_task=compiled, created_at=self._platform.timestamp()
            ),
            short_description=request.spec.description.short_description,
        )
        with registering(name):
            await self._platform.specs.register(task, message_digest(compiled))
        return admin.TaskCreateResponse()

    async def get(self, request: admin.ObjectGetRequest, _: Caller) -> admin.Task:
        """One version."""
        return await self._platform.specs.task(entity_id(EntityKind.TASK, request.id))

    async def list(self, request: admin.ResourceListRequest, _: Caller) -> admin.TaskList:
        """Versions, newest first: of a project and domain, or of one task."""
        page = await self._platform.specs.list_tasks(
            request.id.project,
            request.id.domain,
            query_of(request, self._platform.max_listing),
            name=request.id.name,
        )
        return admin.TaskList(tasks=page.items, token=page.token)
