"""Launches are made ready while their commit is on its way to the disk; nothing of that counts before it is there."""

from __future__ import annotations

import asyncio

import pytest
from engine_worlds import until, workflow

from flyte_jupyter.engine.core.state import RunPhase
from flyte_jupyter.engine.ports import StoreBusy

CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
WIDE = {f"n{at}": () for at in range(40)}


@pytest.mark.parametrize("handed", [False, True])
def test_what_is_launched_is_what_was_prepared(play, handed):
    async def scenario(world, engine):
        launched, launch = [], world.executor.launch

        async def noting(spec):
            launched.append(spec)
            return await launch(spec)

        world.executor.launch = noting
        world.create(workflow(CHAIN))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert [spec.id.path for spec in launched] == [("a",), ("b",), ("c",)]
        assert [id(spec) for spec in world.executor.prepared] == [id(spec) for spec in launched]
        assert all((spec.given is not None) == handed for spec in launched)

    play(scenario, handed=handed)


def test_of_a_wide_graph_only_the_first_are_prepared(play):
    async def scenario(world, engine):
        world.create(workflow(WIDE))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert len(world.executor.created) == len(WIDE)
        assert 0 < len(world.executor.prepared) <= 8

    play(scenario)


def test_who_can_take_no_more_is_asked_for_no_more(play):
    async def scenario(world, engine):
        asked = []
        world.executor.prepare = asked.append
        world.create(workflow(WIDE))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert len(asked) == 1

    play(scenario)


def test_what_a_commit_that_fails_has_prepared_is_begun_by_none(play):
    async def scenario(world, engine):
        commit, left = world.runs.commit, 5

        async def fails(what, nearly=None):
            nonlocal left
            if nearly is None or left == 0:
                return await commit(what, nearly)
            nearly()
            await until(lambda: len(world.executor.prepared) > 5 - left)
            left -= 1
            assert world.executor.created == []
            raise StoreBusy("another process writes and does not come to an end")

        world.runs.commit = fails
        world.create(workflow({"a": ()}))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert left == 0
        assert len(world.executor.created) == 1

    play(scenario)


def test_what_cannot_be_prepared_is_launched_all_the_same(play):
    async def scenario(world, engine):
        def broken(spec):
            raise RuntimeError("no room for drafts")

        world.executor.prepare = broken
        world.create(workflow(CHAIN))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert [attempt.path for attempt in world.executor.created] == [("a",), ("b",), ("c",)]

    play(scenario)


def test_what_a_commit_that_fails_has_prepared_is_not_what_the_next_launches(play):
    async def scenario(world, engine):
        launched, launch, commit = [], world.executor.launch, world.runs.commit

        async def noting(spec):
            launched.append(spec)
            return await launch(spec)

        async def fails(what, nearly=None):
            if nearly is None or world.executor.prepared:
                return await commit(what)
            nearly()
            await until(lambda: world.executor.prepared)
            raise StoreBusy("another process writes and does not come to an end")

        world.executor.launch, world.runs.commit = noting, fails
        world.create(workflow({"a": ()}))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        (prepared,), (spec,) = world.executor.prepared, launched
        assert spec is not prepared
        assert spec.id == prepared.id

    play(scenario)


def test_who_hears_of_a_commit_when_nobody_waits_for_it_any_more_prepares_nothing(play):
    async def scenario(world, engine):
        late, commit = [], world.runs.commit

        async def silent(what, nearly=None):
            if nearly is not None:
                late.append(nearly)
            return await commit(what)

        world.runs.commit = silent
        world.create(workflow(CHAIN))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert len(late) == len(CHAIN)
        before = asyncio.all_tasks()
        for nearly in late:
            nearly()
        assert asyncio.all_tasks() == before

    play(scenario)
