"""Registered entities never change; one launch plan of a name is active; projects have domains."""

from __future__ import annotations

import asyncio

import pytest
from store_world import NOW, later

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityId, EntityKind
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import (
    AlreadyExists,
    AlreadyExistsDifferent,
    AlreadyExistsIdentical,
    NotFound,
)
from flyte_jupyter.store.projects import DEFAULT_PROJECT, DOMAINS, Projects
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.specs import Specs

P, D = "flytesnacks", "development"
ALL = Query(limit=100)


def named(message, name: str, version: str):
    message.id.CopyFrom(core.Identifier(project=P, domain=D, name=name, version=version))
    message.closure.created_at.FromDatetime(NOW)
    return message


def task(name: str, version: str) -> admin.Task:
    made = named(admin.Task(), name, version)
    made.closure.compiled_task.template.type = "python-task"
    return made


def workflow(name: str, version: str) -> admin.Workflow:
    made = named(admin.Workflow(), name, version)
    made.closure.compiled_workflow.primary.template.id.name = name
    return made


def launch_plan(name: str, version: str) -> admin.LaunchPlan:
    made = named(admin.LaunchPlan(), name, version)
    made.spec.workflow_id.name = f"{name}-wf"
    return made


def of(kind: EntityKind, name: str, version: str) -> EntityId:
    return EntityId(kind, P, D, name, version)


@pytest.fixture
def play(path):
    def tell(story):
        async def told():
            db = Database.open(path)
            try:
                await story(db)
            finally:
                await db.close()

        asyncio.run(told())

    return tell


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (EntityKind.TASK, task),
        (EntityKind.WORKFLOW, workflow),
        (EntityKind.LAUNCH_PLAN, launch_plan),
    ],
)
def test_a_version_is_registered_once_and_comes_back_whole(play, kind, make):
    async def story(db):
        specs = Specs(db)
        for version in ("2", "1"):
            await specs.register(make("x", version), f"digest {version}")
        with pytest.raises(AlreadyExistsIdentical):
            await specs.register(make("x", "1"), "digest 1")
        with pytest.raises(AlreadyExistsDifferent):
            await specs.register(make("x", "1"), "digest 2")
        get = {
            EntityKind.TASK: specs.task,
            EntityKind.WORKFLOW: specs.workflow,
            EntityKind.LAUNCH_PLAN: specs.launch_plan,
        }[kind]
        found = await get(of(kind, "x", "1"))
        found.closure.ClearField("updated_at") if kind is EntityKind.LAUNCH_PLAN else None
        assert found == make("x", "1")
        assert await specs.latest(kind, P, D, "x") == of(kind, "x", "1")
        with pytest.raises(NotFound, match="x@3"):
            await get(of(kind, "x", "3"))
        with pytest.raises(NotFound):
            await specs.latest(kind, P, D, "y")

    play(story)


def test_lists_are_newest_first_and_leave_out_what_is_large(play):
    async def story(db):
        specs = Specs(db)
        for name, version in [("a", "1"), ("b", "1"), ("a", "2")]:
            await specs.register(workflow(name, version), name + version)
            await specs.register(task(name, version), name + version)
        found = await specs.list_workflows(P, D, ALL)
        assert [(w.id.name, w.id.version) for w in found.items] == [
            ("a", "2"),
            ("b", "1"),
            ("a", "1"),
        ]
        assert not any(w.closure.HasField("compiled_workflow") for w in found.items)
        only = await specs.list_tasks(P, D, Query(limit=1), name="a")
        assert [t.id.version for t in only.items] == ["2"]
        rest = await specs.list_tasks(P, D, Query(limit=1, token=only.token), name="a")
        assert [t.id.version for t in rest.items] == ["1"]
        assert rest.token == ""
        assert (await specs.list_tasks(P, "staging", ALL)).items == []

    play(story)


def test_one_launch_plan_of_a_name_is_active(play):
    async def story(db):
        specs = Specs(db)
        kind = EntityKind.LAUNCH_PLAN
        for version in ("1", "2"):
            await specs.register(launch_plan("x", version), version)
        await specs.register(launch_plan("y", "1"), "1")
        with pytest.raises(NotFound):
            await specs.active_launch_plan(P, D, "x")
        for version in ("1", "2"):
            await specs.activate(of(kind, "x", version), later(1))
        await specs.activate(of(kind, "y", "1"), later(1))
        active = await specs.active_launch_plan(P, D, "x")
        assert (active.id.version, active.closure.state) == ("2", admin.LaunchPlanState.ACTIVE)
        assert active.closure.updated_at.ToDatetime(NOW.tzinfo) == later(1)
        everywhere = await specs.list_active_launch_plans(P, D, ALL)
        assert sorted((p.id.name, p.id.version) for p in everywhere.items) == [
            ("x", "2"),
            ("y", "1"),
        ]
        asked = await specs.list_launch_plans(P, D, Query("eq(state,INACTIVE)"), name="x")
        assert [p.id.version for p in asked.items] == ["1"]
        await specs.deactivate(of(kind, "x", "2"), later(2))
        with pytest.raises(NotFound):
            await specs.active_launch_plan(P, D, "x")
        with pytest.raises(NotFound):
            await specs.activate(of(kind, "z", "1"), later(3))

    play(story)


def test_projects_begin_with_the_default_one(play):
    async def story(db):
        projects = Projects(db)
        (first,) = (await projects.list(ALL)).items
        assert first.id == DEFAULT_PROJECT
        assert tuple(domain.id for domain in first.domains) == DOMAINS
        second = admin.Project(
            id="research", name="Research", labels=admin.Labels(values={"a": "b"})
        )
        await projects.register(second)
        with pytest.raises(AlreadyExists):
            await projects.register(second)
        found = await projects.get("research")
        assert (found.name, dict(found.labels.values)) == ("Research", {"a": "b"})
        found.state = admin.Project.ARCHIVED
        await projects.update(found)
        assert [p.id for p in (await projects.list(ALL)).items] == [DEFAULT_PROJECT]
        archived = await projects.list(Query("eq(state,ARCHIVED)"))
        assert [p.id for p in archived.items] == ["research"]
        with pytest.raises(NotFound):
            await projects.get("nowhere")
        with pytest.raises(NotFound):
            await projects.update(admin.Project(id="nowhere"))

    play(story)
