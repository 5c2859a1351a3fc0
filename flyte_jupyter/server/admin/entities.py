"""Names of registered things, whatever their versions."""

from __future__ import annotations

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityKind
from flyte_jupyter.server.admin.calls import Caller, UseCase
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.admin.listing import query_of
from flyte_jupyter.server.admin.names import required
from flyte_jupyter.server.admin.platform import Platform

_KINDS = {
    core.ResourceType.TASK: EntityKind.TASK,
    core.ResourceType.WORKFLOW: EntityKind.WORKFLOW,
    core.ResourceType.LAUNCH_PLAN: EntityKind.LAUNCH_PLAN,
}


class EntityCases:
    """List names."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def ids(self, kind: EntityKind) -> UseCase:
        """The use case that lists the names of one kind."""

        async def list_ids(
            request: admin.NamedEntityIdentifierListRequest, _: Caller
        ) -> admin.NamedEntityIdentifierList:
            page = await self._platform.specs.list_names(
                kind,
                required(request.project, "project"),
                required(request.domain, "domain"),
                query_of(request, self._platform.max_listing),
            )
            return admin.NamedEntityIdentifierList(entities=page.items, token=page.token)

        return list_ids

    async def list_named(
        self, request: admin.NamedEntityListRequest, _: Caller
    ) -> admin.NamedEntityList:
        """Names of one kind with what is said about them."""
        kind = _KINDS.get(request.resource_type)
        if kind is None:
            raise InvalidArgument("resource_type must be TASK, WORKFLOW or LAUNCH_PLAN")
        page = await self._platform.specs.list_names(
            kind,
            required(request.project, "project"),
            required(request.domain, "domain"),
            query_of(request, self._platform.max_listing),
        )
        return admin.NamedEntityList(
            entities=[
                admin.NamedEntity(
                    resource_type=request.resource_type,
                    id=name,
                    metadata=admin.NamedEntityMetadata(
                        state=admin.NamedEntityState.NAMED_ENTITY_ACTIVE
                    ),
                )
                for name in page.items
            ],
            token=page.token,
        )
