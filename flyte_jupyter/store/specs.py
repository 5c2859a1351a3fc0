"""Registered tasks, workflows and launch plans: immutable by version, apart from which launch plan is active."""

from __future__ import annotations

from datetime import datetime

from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.query import Page, Query

Entity = admin.Task | admin.Workflow | admin.LaunchPlan


class Specs:
    """What was registered."""

    def __init__(self, db: Database) -> None: ...

    async def register(self, entity: Entity, digest: str) -> None:
        """Record a new version; its ``closure.created_at`` must be set.

        Raises:
            AlreadyExistsIdentical: this version has the same digest.
            AlreadyExistsDifferent: this version has another digest.
        """
        raise NotImplementedError

    async def task(self, of: EntityId) -> admin.Task:
        """The task, with its compiled form. Raises `NotFound`."""
        raise NotImplementedError

    async def workflow(self, of: EntityId) -> admin.Workflow:
        """The workflow, with its compiled closure. Raises `NotFound`."""
        raise NotImplementedError

    async def launch_plan(self, of: EntityId) -> admin.LaunchPlan:
        """The launch plan. Raises `NotFound`."""
        raise NotImplementedError

    async def latest(self, kind: EntityKind, project: str, domain: str, name: str) -> EntityId:
        """The version of that name registered last. Raises `NotFound`."""
        raise NotImplementedError

    async def list_tasks(
        self, project: str, domain: str, query: Query, *, name: str = ""
    ) -> Page[admin.Task]:
        """Versions of tasks, newest first unless the query sorts; of one task when `name` is given."""
        raise NotImplementedError

    async def list_workflows(
        self, project: str, domain: str, query: Query, *, name: str = ""
    ) -> Page[admin.Workflow]:
        """Versions of workflows, likewise, each without its compiled closure."""
        raise NotImplementedError

    async def list_launch_plans(
        self, project: str, domain: str, query: Query, *, name: str = ""
    ) -> Page[admin.LaunchPlan]:
        """Versions of launch plans, likewise."""
        raise NotImplementedError

    async def list_names(
        self, kind: EntityKind, project: str, domain: str, query: Query
    ) -> Page[admin.NamedEntityIdentifier]:
        """Names with at least one version, by name, without those that the platform made for itself (``.flytegen``)."""
        raise NotImplementedError

    async def activate(self, of: EntityId, now: datetime) -> None:
        """Make this launch plan the active one of its name. Raises `NotFound`."""
        raise NotImplementedError

    async def deactivate(self, of: EntityId, now: datetime) -> None:
        """Make this launch plan inactive. Raises `NotFound`."""
        raise NotImplementedError

    async def active_launch_plan(self, project: str, domain: str, name: str) -> admin.LaunchPlan:
        """The active launch plan of that name. Raises `NotFound`."""
        raise NotImplementedError

    async def list_active_launch_plans(
        self, project: str, domain: str, query: Query
    ) -> Page[admin.LaunchPlan]:
        """The active launch plans of all names."""
        raise NotImplementedError
