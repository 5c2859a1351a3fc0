"""Names of registered things, whatever their versions, and what is said about them: a description, and whether they are archived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.listings import GENERATED, NAME_DESCRIPTION, NAME_STATE, NAMES
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import entities, names

_KEY = ("kind", "project", "domain", "name")

_of_key = [entities.c[part] == bindparam(part) for part in _KEY]
_any_version = dialect.Prepared(select(entities.c.id).where(*_of_key).limit(1))
_said = dialect.Prepared(
    select(names.c.state, names.c.description).where(
        *(names.c[part] == bindparam(part) for part in _KEY)
    )
)
_say = dialect.Prepared(dialect.upsert(names, _KEY))
_listed = (
    select(
        entities.c.name, NAME_STATE.label("said_state"), NAME_DESCRIPTION.label("said_description")
    )
    .select_from(
        entities.outerjoin(
            names,
            (names.c.kind == entities.c.kind)
            & (names.c.project == entities.c.project)
            & (names.c.domain == entities.c.domain)
            & (names.c.name == entities.c.name),
        )
    )
    .distinct()
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name with at least one version."""

    project: str
    domain: str
    name: str
    state: int = admin.NamedEntityState.NAMED_ENTITY_ACTIVE
    description: str = ""


class Names:
    """What names there are. One about which nothing was said is active and has no description."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list(self, kind: EntityKind, project: str, domain: str, query: Query) -> Page[Name]:
        """Names of one kind in their order, without those that the platform made for itself.

        Archived ones only if the query filters by ``state``.
        """
        statement = _listed.where(
            entities.c.kind == kind.value,
            entities.c.project == project,
            entities.c.domain == domain,
            func.substr(entities.c.name, 1, len(GENERATED)) != GENERATED,
            NAME_STATE != admin.NamedEntityState.SYSTEM_GENERATED,
        )
        found = await self._db.read(lambda c: page(c, statement, NAMES, query))
        return Page([Name(project, domain, *row) for row in found.items], found.token)

    async def get(self, kind: EntityKind, project: str, domain: str, name: str) -> Name:
        """One name. Raises `NotFound` when it has no version."""
        key = _key(kind, project, domain, name)
        state, description = await self._db.read(lambda c: _read(c, key))
        return Name(project, domain, name, state, description)

    async def update(self, kind: EntityKind, changed: Name) -> None:
        """Give a name this state, and this description unless it is empty. Raises `NotFound` when it has no version."""
        key = _key(kind, changed.project, changed.domain, changed.name)

        def say(transaction: Transaction) -> None:
            _, description = _read(transaction.connection, key)
            row = {
                **key,
                "state": changed.state,
                "description": changed.description or description,
            }
            _say.run(transaction.connection, row)

        await self._db.write(say)


def _key(kind: EntityKind, project: str, domain: str, name: str) -> dict[str, str]:
    return {"kind": kind.value, "project": project, "domain": domain, "name": name}


def _read(connection: Connection, key: dict[str, Any]) -> tuple[int, str]:
    if _any_version.first(connection, key) is None:
        of = EntityId(EntityKind(key["kind"]), key["project"], key["domain"], key["name"], "")
        raise NotFound(f"There is no {of} in any version: register one first")
    said: tuple[int, str] | None = _said.first(connection, key)
    return said if said is not None else (admin.NamedEntityState.NAMED_ENTITY_ACTIVE, "")
