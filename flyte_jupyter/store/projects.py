"""Projects, and the domains that each of them has."""

from __future__ import annotations

from flyte_jupyter.idl import admin
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.query import Page, Query

DOMAINS = ("development", "staging", "production")
DEFAULT_PROJECT = "flytesnacks"


class Projects:
    """The projects of this database; `DEFAULT_PROJECT` is there from the beginning."""

    def __init__(self, db: Database) -> None: ...

    async def register(self, project: admin.Project) -> None:
        """Record a new project (its domains are ours to give). Raises `AlreadyExists`."""
        raise NotImplementedError

    async def update(self, project: admin.Project) -> None:
        """Replace name, description, labels and state of the project. Raises `NotFound`."""
        raise NotImplementedError

    async def get(self, project: str) -> admin.Project:
        """The project with its domains. Raises `NotFound`."""
        raise NotImplementedError

    async def list(self, query: Query) -> Page[admin.Project]:
        """Projects by name; archived ones only if the query filters by ``state``."""
        raise NotImplementedError
