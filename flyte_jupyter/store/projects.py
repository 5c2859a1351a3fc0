"""Projects, and the domains that each of them has."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from flyte_jupyter.idl import admin
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.errors import AlreadyExists, NotFound
from flyte_jupyter.store.listings import PROJECTS
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import projects

DOMAINS = ("development", "staging", "production")
DEFAULT_PROJECT = "flytesnacks"

_all = select(*projects.columns)
_one = _all.where(projects.c.project == bindparam("key"))


class Projects:
    """The projects of this database; `DEFAULT_PROJECT` is there from the beginning."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def register(self, project: admin.Project) -> None:
        """Record a new project (its domains are ours to give). Raises `AlreadyExists`."""

        def add(transaction: Transaction) -> None:
            if transaction.connection.execute(_one, {"key": project.id}).first() is not None:
                raise AlreadyExists(f"There is a project {project.id} already: choose another id")
            transaction.connection.execute(projects.insert(), _row(project))

        await self._db.write(add)

    async def update(self, project: admin.Project) -> None:
        """Replace name, description, labels and state of the project. Raises `NotFound`."""
        statement = projects.update().where(projects.c.project == project.id).values(_row(project))

        def replace(transaction: Transaction) -> None:
            if transaction.connection.execute(statement).rowcount == 0:
                raise _missing(project.id)

        await self._db.write(replace)

    async def get(self, project: str) -> admin.Project:
        """The project with its domains. Raises `NotFound`."""

        def find(connection: Connection) -> admin.Project:
            row = connection.execute(_one, {"key": project}).one_or_none()
            if row is None:
                raise _missing(project)
            return _project(row)

        return await self._db.read(find)

    async def list(self, query: Query) -> Page[admin.Project]:
        """Projects by name; archived ones only if the query filters by ``state``."""

        def find(connection: Connection) -> Page[admin.Project]:
            found = page(connection, _all, PROJECTS, query)
            return Page([_project(row) for row in found.items], found.token)

        return await self._db.read(find)


def _missing(project: str) -> NotFound:
    return NotFound(f"There is no project {project!r}: register it first")


def _row(project: admin.Project) -> dict[str, Any]:
    return {
        "project": project.id,
        "name": project.name or project.id,
        "description": project.description,
        "state": project.state,
        "labels": json.dumps(dict(project.labels.values)),
    }


def _project(row: Row[Any]) -> admin.Project:
    return admin.Project(
        id=row.project,
        name=row.name,
        description=row.description,
        state=row.state,
        labels=admin.Labels(values=json.loads(row.labels)),
        domains=[admin.Domain(id=domain, name=domain) for domain in DOMAINS],
    )
