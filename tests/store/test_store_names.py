"""What is said about names: told of all versions, kept through them, and asked for by lists."""

from __future__ import annotations

import asyncio

import pytest
from store_world import NOW

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import EntityKind
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import InvalidQuery, NotFound
from flyte_jupyter.store.names import Name, Names
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.specs import Specs

P, D = "flytesnacks", "development"
WORKFLOW, TASK = EntityKind.WORKFLOW, EntityKind.TASK
ACTIVE = admin.NamedEntityState.NAMED_ENTITY_ACTIVE
ARCHIVED = admin.NamedEntityState.NAMED_ENTITY_ARCHIVED
GENERATED = admin.NamedEntityState.SYSTEM_GENERATED


def version(message, name, number, domain=D):
    message.id.CopyFrom(core.Identifier(project=P, domain=domain, name=name, version=number))
    message.closure.created_at.FromDatetime(NOW)
    return message


@pytest.fixture
def play(path):
    """Two versions each of workflows a, b, c and of one that the platform made; a task a."""

    def tell(story):
        async def told():
            db = Database.open(path)
            try:
                specs = Specs(db)
                for name in ("b", "c", "a", ".flytegen.t"):
                    for number in ("1", "2"):
                        made = version(admin.Workflow(), name, number)
                        await specs.register(made, name + number)
                await specs.register(version(admin.Task(), "a", "1"), "a1")
                await story(Names(db), specs)
            finally:
                await db.close()

        asyncio.run(told())

    return tell


async def listed(names, kind=WORKFLOW, **query):
    found = await names.list(kind, P, D, Query(limit=100, **query))
    return [name.name for name in found.items]


def test_names_leave_out_what_the_platform_made(play):
    async def story(names, specs):
        first = await names.list(WORKFLOW, P, D, Query(limit=2))
        rest = await names.list(WORKFLOW, P, D, Query(limit=2, token=first.token))
        assert [*first.items, *rest.items] == [Name(P, D, name) for name in ("a", "b", "c")]
        assert rest.token == ""
        await names.update(WORKFLOW, Name(P, D, "b", GENERATED))
        assert await listed(names) == ["a", "c"]
        assert await listed(names, filters="eq(state,SYSTEM_GENERATED)") == []

    play(story)


def test_an_archived_name_is_listed_to_who_asks_for_it(play):
    async def story(names, specs):
        await names.update(WORKFLOW, Name(P, D, "b", ARCHIVED, "old"))
        assert await listed(names) == ["a", "c"]
        assert await listed(names, filters="eq(state,1)") == ["b"]
        assert await listed(names, filters="ne(state,NAMED_ENTITY_ARCHIVED)") == ["a", "c"]
        both = "value_in(state,0;1)"
        assert await listed(names, filters=both) == ["a", "b", "c"]
        assert await listed(names, filters=both, sort_by="state") == ["b", "a", "c"]
        assert await listed(names, filters=f"{both}+contains(description,ol)") == ["b"]
        assert await listed(names, TASK) == ["a"], "a task of the same name is another"
        await names.update(WORKFLOW, Name(P, D, "b"))
        assert await listed(names) == ["a", "b", "c"]

    play(story)


def test_pages_of_names_count_only_what_is_listed(play):
    async def story(names, specs):
        await names.update(WORKFLOW, Name(P, D, "a", ARCHIVED))
        first = await names.list(WORKFLOW, P, D, Query(limit=1))
        rest = await names.list(WORKFLOW, P, D, Query(limit=1, token=first.token))
        assert [name.name for name in (*first.items, *rest.items)] == ["b", "c"]
        assert rest.token == ""

    play(story)


def test_what_was_said_stays_until_something_else_is_said(play):
    async def story(names, specs):
        assert await names.get(WORKFLOW, P, D, "a") == Name(P, D, "a", ACTIVE, "")
        await names.update(WORKFLOW, Name(P, D, "a", ACTIVE, "doubles"))
        await names.update(WORKFLOW, Name(P, D, "a", ARCHIVED))
        await specs.register(version(admin.Workflow(), "a", "3"), "a3")
        assert await names.get(WORKFLOW, P, D, "a") == Name(P, D, "a", ARCHIVED, "doubles")
        assert await names.get(TASK, P, D, "a") == Name(P, D, "a")

    play(story)


def test_a_name_without_a_version_is_none(play):
    async def story(names, specs):
        for domain, name in ((D, "z"), ("staging", "a")):
            with pytest.raises(NotFound, match=name):
                await names.get(WORKFLOW, P, domain, name)
            with pytest.raises(NotFound, match=name):
                await names.update(WORKFLOW, Name(P, domain, name, ARCHIVED))
        with pytest.raises(InvalidQuery, match="NAMED_ENTITY_ARCHIVED"):
            await listed(names, filters="eq(state,GONE)")

    play(story)
