"""Names of registered things, whatever their versions."""

from __future__ import annotations

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityKind
from flyte_jupyter.server.admin.calls import Caller, UseCase
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.admin.listing import query_of
from flyte_jupyter.server.admin.names import known_state, required
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.store.names import Name

_KINDS = {
    core.ResourceType.TASK: EntityKind.TASK,
    core.ResourceType.WORKFLOW: EntityKind.WORKFLOW,
    core.ResourceType.LAUNCH_PLAN: EntityKind.LAUNCH_PLAN,
}
_LONGEST_DESCRIPTION = 300


class EntityCases:
    """List, archive and describe names."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def ids(self, kind: EntityKind) -> UseCase:
        """The use case that lists the names of one kind."""

        async def list_ids(
            request: admin.NamedEntityIdentifierListRequest, _: Caller
        ) -> admin.NamedEntityIdentifierList:
            page = await self._platform.names.list(
                kind,
                required(request.project, "project"),
                required(request.domain, "domain"),
                query_of(request, self._platform.max_listing),
            )
            return admin.NamedEntityIdentifierList(
                entities=[_identifier(name) for name in page.items], token=page.token
            )

        return list_ids

    async def list_named(
        self, request: admin.NamedEntityListRequest, _: Caller
    ) -> admin.NamedEntityList:
        """Names of one kind with what is said about them; archived ones only by a filter on state."""
        page = await self._platform.names.list(
            _kind_of(request.resource_type),
            required(request.project, "project"),
            required(request.domain, "domain"),
            query_of(request, self._platform.max_listing),
        )
        return admin.NamedEntityList(
            entities=[_entity(request.resource_type, name) for name in page.items],
            token=page.token,
        )

    async def get_named(self, request: admin.NamedEntityGetRequest, _: Caller) -> admin.NamedEntity:
        """One name with what is said about it. Raises `NotFound` of the store when it has no version."""
        kind = _kind_of(request.resource_type)
        found = await self._platform.names.get(kind, *_named(request.id))
        return _entity(request.resource_type, found)

    async def update_named(
        self, request: admin.NamedEntityUpdateRequest, _: Caller
    ) -> admin.NamedEntityUpdateResponse:
        """Archive a name or bring it back, and describe it; an empty description leaves the one that it has, as in Flyte.

        What is archived is left out of lists. Its versions stay, and run when they are launched.
        """
        kind, of = _kind_of(request.resource_type), _named(request.id)
        if not request.HasField("metadata"):
            raise InvalidArgument("metadata is missing: give a state, a description, or both")
        said = request.metadata
        known_state(said, "state")
        if len(said.description) > _LONGEST_DESCRIPTION:
            raise InvalidArgument(
                f"metadata.description has {len(said.description)} characters: at most {_LONGEST_DESCRIPTION} are kept"
            )
        await self._platform.names.update(kind, Name(*of, said.state, said.description))
        return admin.NamedEntityUpdateResponse()


def _kind_of(resource_type: core.ResourceType) -> EntityKind:
    kind = _KINDS.get(resource_type)
    if kind is None:
        raise InvalidArgument("resource_type must be TASK, WORKFLOW or LAUNCH_PLAN")
    return kind


def _named(given: admin.NamedEntityIdentifier) -> tuple[str, str, str]:
    return (
        required(given.project, "id.project"),
        required(given.domain, "id.domain"),
        required(given.name, "id.name"),
    )


def _identifier(name: Name) -> admin.NamedEntityIdentifier:
    return admin.NamedEntityIdentifier(project=name.project, domain=name.domain, name=name.name)


def _entity(resource_type: core.ResourceType, name: Name) -> admin.NamedEntity:
    return admin.NamedEntity(
        resource_type=resource_type,
        id=_identifier(name),
        metadata=admin.NamedEntityMetadata(
            description=name.description,
            state=name.state,  # type: ignore[arg-type]  # enum values are ints
        ),
    )
