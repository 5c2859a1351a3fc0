"""Projects and their domains."""

from __future__ import annotations

import re

from flyte_jupyter.idl import admin
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.errors import InvalidArgument, ProjectNotOpen
from flyte_jupyter.server.admin.listing import query_of
from flyte_jupyter.server.admin.names import known_state, required
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.projects import DOMAINS

_PROJECT_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_NAME = 64
_LONGEST_DESCRIPTION = 300


class ProjectCases:
    """Register, change and look at projects."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def register(
        self, request: admin.ProjectRegisterRequest, _: Caller
    ) -> admin.ProjectRegisterResponse:
        """A new project."""
        _check(request.project)
        if request.project.domains:
            raise InvalidArgument("Domains are the platform's to give: leave project.domains empty")
        await self._platform.projects.register(request.project)
        return admin.ProjectRegisterResponse()

    async def update(self, request: admin.Project, _: Caller) -> admin.ProjectUpdateResponse:
        """Change name, description, labels or state; what is not said stays, as in Flyte, but for the state."""
        _check(request)
        known_state(request, "state")
        was = await self._platform.projects.get(request.id)
        changed = admin.Project(id=request.id, state=request.state)
        changed.name = request.name or was.name
        changed.description = request.description or was.description
        changed.labels.CopyFrom(request.labels if request.HasField("labels") else was.labels)
        await self._platform.projects.update(changed)
        return admin.ProjectUpdateResponse()

    async def get(self, request: admin.ProjectGetRequest, _: Caller) -> admin.Project:
        """One project."""
        return await self._platform.projects.get(required(request.id, "id"))

    async def list(self, request: admin.ProjectListRequest, _: Caller) -> admin.Projects:
        """Projects by name; archived ones only by a filter on state."""
        most = self._platform.max_listing
        page = await self._platform.projects.list(query_of(request, most, default_limit=most))
        return admin.Projects(projects=page.items, token=page.token)

    async def domains(self, _: admin.GetDomainRequest, __: Caller) -> admin.GetDomainsResponse:
        """The domains that every project has."""
        return admin.GetDomainsResponse(
            domains=[admin.Domain(id=name, name=name) for name in DOMAINS]
        )


async def check_open(platform: Platform, project: str, domain: str) -> None:
    """Refuse to register or launch where nothing may be.

    Raises:
        InvalidArgument: there is no such domain.
        ProjectNotOpen: there is no such project, or it is archived.
    """
    required(project, "project")
    if domain not in DOMAINS:
        raise InvalidArgument(f"There is no domain {domain!r}: choose from {', '.join(DOMAINS)}")
    try:
        found = await platform.projects.get(project)
    except NotFound as error:
        raise ProjectNotOpen(
            f"There is no project {project!r}: register it first",
            details=[admin.InactiveProject(id=project)],
        ) from error
    if found.state != admin.Project.ACTIVE:
        raise ProjectNotOpen(
            f"Project {project!r} is archived: activate it first",
            details=[admin.InactiveProject(id=project)],
        )


def _check(project: admin.Project) -> None:
    if not _PROJECT_ID.fullmatch(project.id):
        raise InvalidArgument(
            f"{project.id!r} cannot name a project: up to 63 lower-case letters, digits and dashes, "
            "a letter or digit at both ends"
        )
    if len(project.name) > _LONGEST_NAME:
        raise InvalidArgument(f"A project's name has at most {_LONGEST_NAME} characters")
    if len(project.description) > _LONGEST_DESCRIPTION:
        raise InvalidArgument(
            f"A project's description has at most {_LONGEST_DESCRIPTION} characters"
        )
