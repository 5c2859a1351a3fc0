"""Registered tasks, workflows and launch plans: immutable by version, apart from which launch plan is active."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, Row, Select, bindparam, select

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.errors import AlreadyExistsDifferent, AlreadyExistsIdentical, NotFound
from flyte_jupyter.store.listings import LAUNCH_PLANS, TASKS, WORKFLOWS
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.rows import micros, moment
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import entities

Entity = admin.Task | admin.Workflow | admin.LaunchPlan

_NAME = ("kind", "project", "domain", "name")

_of_name = select(*entities.columns).where(*(entities.c[n] == bindparam(n) for n in _NAME))
_of_version = _of_name.where(entities.c.version == bindparam("version"))
_latest = _of_name.order_by(entities.c.id.desc()).limit(1)
_active = _of_name.where(entities.c.state == admin.LaunchPlanState.ACTIVE)
_digest = select(entities.c.digest).where(
    *(entities.c[n] == bindparam(n) for n in (*_NAME, "version"))
)
_add = entities.insert()
_listed = [c for c in entities.columns if c.name != "compiled"]


class Specs:
    """What was registered."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def register(self, entity: Entity, digest: str) -> None:
        """Record a new version; its ``closure.created_at`` must be set.

        Raises:
            AlreadyExistsIdentical: this version has the same digest.
            AlreadyExistsDifferent: this version has another digest.
        """
        of = _id_of(entity)
        row = {**_named(of), "digest": digest, **_row(entity)}

        def add(transaction: Transaction) -> None:
            known = transaction.connection.execute(_digest, _named(of)).scalar()
            if known == digest:
                raise AlreadyExistsIdentical(f"{of} is registered already, with this content")
            if known is not None:
                raise AlreadyExistsDifferent(
                    f"{of} is registered already, with other content: a version never changes, register a new one"
                )
            transaction.connection.execute(_add, row)

        await self._db.write(add)

    async def task(self, of: EntityId) -> admin.Task:
        """The task, with its compiled form. Raises `NotFound`."""
        return _task(await self._one(of))

    async def workflow(self, of: EntityId) -> admin.Workflow:
        """The workflow, with its compiled closure. Raises `NotFound`."""
        row = await self._one(of)
        workflow = _workflow(row)
        workflow.closure.compiled_workflow.MergeFromString(row.compiled)
        return workflow

    async def launch_plan(self, of: EntityId) -> admin.LaunchPlan:
        """The launch plan. Raises `NotFound`."""
        return _launch_plan(await self._one(of))

    async def latest(self, kind: EntityKind, project: str, domain: str, name: str) -> EntityId:
        """The version of that name registered last. Raises `NotFound`."""
        of = EntityId(kind, project, domain, name, "")
        row = await self._db.read(lambda c: c.execute(_latest, _named(of)).one_or_none())
        if row is None:
            raise NotFound(f"There is no {of} in any version: register one first")
        return EntityId(kind, project, domain, name, row.version)

    async def list_tasks(
        self, project: str, domain: str, query: Query, *, name: str = ""
    ) -> Page[admin.Task]:
        """Versions of tasks, newest first unless the query sorts; of one task when `name` is given."""
        statement = _versions(EntityKind.TASK, project, domain, name)
        found = await self._db.read(lambda c: page(c, statement, TASKS, query))
        return Page([_task(row) for row in found.items], found.token)

    async def list_workflows(
        self, project: str, domain: str, query: Query, *, name: str = ""
    ) -> Page[admin.Workflow]:
        """Versions of workflows, likewise, each without its compiled closure."""
        statement = _versions(EntityKind.WORKFLOW, project, domain, name)
        found = await self._db.read(lambda c: page(c, statement, WORKFLOWS, query))
        return Page([_workflow(row) for row in found.items], found.token)

    async def list_launch_plans(
        self, project: str, domain: str, query: Query, *, name: str = ""
    ) -> Page[admin.LaunchPlan]:
        """Versions of launch plans, likewise."""
        return await self._launch_plans(
            _versions(EntityKind.LAUNCH_PLAN, project, domain, name), query
        )

    async def activate(self, of: EntityId, now: datetime) -> None:
        """Make this launch plan the active one of its name. Raises `NotFound`."""
        await self._db.write(partial(_switch, of=of, now=now, on=True))

    async def deactivate(self, of: EntityId, now: datetime) -> None:
        """Make this launch plan inactive. Raises `NotFound`."""
        await self._db.write(partial(_switch, of=of, now=now, on=False))

    async def active_launch_plan(self, project: str, domain: str, name: str) -> admin.LaunchPlan:
        """The active launch plan of that name. Raises `NotFound`."""
        of = EntityId(EntityKind.LAUNCH_PLAN, project, domain, name, "")
        row = await self._db.read(lambda c: c.execute(_active, _named(of)).one_or_none())
        if row is None:
            raise NotFound(f"No version of {of} is active: activate one")
        return _launch_plan(row)

    async def list_active_launch_plans(
        self, project: str, domain: str, query: Query
    ) -> Page[admin.LaunchPlan]:
        """The active launch plans of all names."""
        statement = _versions(EntityKind.LAUNCH_PLAN, project, domain, "")
        active = statement.where(entities.c.state == admin.LaunchPlanState.ACTIVE)
        return await self._launch_plans(active, query)

    async def _launch_plans(self, statement: Select[Any], query: Query) -> Page[admin.LaunchPlan]:
        found = await self._db.read(lambda c: page(c, statement, LAUNCH_PLANS, query))
        return Page([_launch_plan(row) for row in found.items], found.token)

    async def _one(self, of: EntityId) -> Row[Any]:
        def find(connection: Connection) -> Row[Any]:
            row = connection.execute(_of_version, _named(of)).one_or_none()
            if row is None:
                raise _missing(of)
            return row

        return await self._db.read(find)


def _missing(of: EntityId) -> NotFound:
    return NotFound(f"There is no {of}: register it first")


def _named(of: EntityId) -> dict[str, str]:
    return {
        "kind": of.kind.value,
        "project": of.project,
        "domain": of.domain,
        "name": of.name,
        "version": of.version,
    }


def _id_of(entity: Entity) -> EntityId:
    if isinstance(entity, admin.Task):
        kind = EntityKind.TASK
    elif isinstance(entity, admin.Workflow):
        kind = EntityKind.WORKFLOW
    else:
        kind = EntityKind.LAUNCH_PLAN
    named: core.Identifier = entity.id
    return EntityId(kind, named.project, named.domain, named.name, named.version)


def _row(entity: Entity) -> dict[str, Any]:
    created = micros(entity.closure.created_at)
    row: dict[str, Any] = {
        "created_at": created,
        "updated_at": created,
        "state": 0,
        "workflow": "",
        "compiled": None,
    }
    if isinstance(entity, admin.Workflow):
        row["compiled"] = entity.closure.compiled_workflow.SerializeToString()
        entity = _without_compiled(entity)
    elif isinstance(entity, admin.LaunchPlan):
        row["state"] = entity.closure.state
        row["workflow"] = entity.spec.workflow_id.name
    return {**row, "body": entity.SerializeToString()}


def _without_compiled(workflow: admin.Workflow) -> admin.Workflow:
    bare = admin.Workflow(id=workflow.id, short_description=workflow.short_description)
    bare.closure.created_at.CopyFrom(workflow.closure.created_at)
    return bare


def _versions(kind: EntityKind, project: str, domain: str, name: str) -> Select[Any]:
    statement = select(*_listed).where(
        entities.c.kind == kind.value, entities.c.project == project, entities.c.domain == domain
    )
    return statement.where(entities.c.name == name) if name else statement


def _switch(transaction: Transaction, *, of: EntityId, now: datetime, on: bool) -> None:
    connection = transaction.connection
    target = connection.execute(_of_version, _named(of)).one_or_none()
    if target is None:
        raise _missing(of)
    change = entities.update().values(updated_at=moment(now))
    if on:
        others = select(entities.c.id).where(
            *(entities.c[n] == _named(of)[n] for n in _NAME),
            entities.c.state == admin.LaunchPlanState.ACTIVE,
            entities.c.id != target.id,
        )
        connection.execute(
            change.where(entities.c.id.in_(others)).values(state=admin.LaunchPlanState.INACTIVE)
        )
    state = admin.LaunchPlanState.ACTIVE if on else admin.LaunchPlanState.INACTIVE
    connection.execute(change.where(entities.c.id == target.id).values(state=state))


def _task(row: Row[Any]) -> admin.Task:
    return admin.Task.FromString(row.body)


def _workflow(row: Row[Any]) -> admin.Workflow:
    return admin.Workflow.FromString(row.body)


def _launch_plan(row: Row[Any]) -> admin.LaunchPlan:
    plan = admin.LaunchPlan.FromString(row.body)
    plan.closure.state = row.state
    changed: Timestamp = plan.closure.updated_at
    changed.FromMicroseconds(row.updated_at)
    return plan
