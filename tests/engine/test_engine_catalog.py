"""Memoisation through the engine: hits, reservations, take-over, age, hashes, and a catalog that fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from engine_programs import INT, INTS, Listed, Shelf, flow, mapped, node, task
from engine_worlds import RUN, until

from flyte_jupyter.engine.answers import AnswerSettings
from flyte_jupyter.engine.answers.caching import CacheSettings
from flyte_jupyter.engine.core.observations import AbortRequested, Exit
from flyte_jupyter.engine.core.state import CacheOutcome, Reserved, RunPhase, Succeeded
from flyte_jupyter.idl import core, literals
from flyte_jupyter.idl.digests import literals_digest
from flyte_jupyter.idl.ids import RunId

CACHED = {"discoverable": True, "discovery_version": "1"}
SLOW = task("slow", {"x0": INT}, **CACHED, cache_serializable=True)
GROW = task("grow", {"x0": INT}, **CACHED)
OTHER = RunId("p", "d", "r2")
BEAT = CacheSettings().heartbeat
LOOK = CacheSettings().again


async def state_of(world, run, *path):
    return (await world.runs.load(run)).state.nodes.get(path)


async def until_state(world, run, kind, *path):
    async with asyncio.timeout(20):
        while not isinstance(await state_of(world, run, *path), kind):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


def one(template, value=1):
    return Shelf(template).compiled(flow("one", [node("n0", template, x0=value)]))


def test_equal_computations_wait_for_one_another(play):
    async def scenario(world, engine):
        world.create(one(SLOW))
        await until(lambda: world.executor.queued)
        world.create(one(SLOW), OTHER)
        await until_state(world, OTHER, Reserved, "n0")
        assert (await state_of(world, OTHER, "n0")).owner == "p/d/r1/n0"
        attempt = min(world.executor.queued)
        world.executor.begin(attempt)
        await world.executor.finish(attempt)
        await world.ended(RUN)
        assert not world.catalog.reservations, "what is done is given back"
        world.clock.advance(LOOK)
        second = await world.ended(OTHER)
        assert second.state.nodes[("n0",)].cached == "p/d/r1/n0/0"
        assert world.executor.created == [attempt]

    play(scenario, by_itself=False)


def test_many_who_wait_for_one_computation_do_not_all_look_each_second(play):
    many = 500
    compiled = Shelf(SLOW).compiled(
        flow("m", [node("m", mapped(SLOW), x0=[1] * many)], {"o": Listed("m.o")})
    )

    async def waiting(world, after):
        async with asyncio.timeout(60):
            while True:
                nodes = (await world.runs.load(RUN)).state.nodes.values()
                waits = [state for state in nodes if isinstance(state, Reserved)]
                if len(waits) == many - 1 and all(state.until > after for state in waits):
                    return
                await asyncio.sleep(0)

    async def scenario(world, engine):
        looks, reserve = [], world.catalog.reserve

        async def counted(key, owner, ttl, now):
            looks.append(owner)
            return await reserve(key, owner, ttl, now)

        world.catalog.reserve = counted
        world.create(compiled)
        await waiting(world, world.clock.now())
        looks.clear()
        for _ in range(20):
            world.clock.advance(LOOK)
            await waiting(world, world.clock.now())
        assert len(looks) < 20 * many / 2
        assert set(looks) >= {f"p/d/r1/m-{item}" for item in range(1, many)}, "each does look"
        (attempt,) = world.executor.queued
        world.executor.begin(attempt)
        await world.executor.finish(attempt)
        for _ in range(BEAT // LOOK):
            world.clock.advance(LOOK)
            await waiting_or_done(world)
        await world.ended()
        assert await world.outputs() == {"o": [2] * many}
        assert world.executor.created == [attempt]

    async def waiting_or_done(world):
        now = world.clock.now()
        async with asyncio.timeout(60):
            while True:
                nodes = (await world.runs.load(RUN)).state.nodes.values()
                if all(state.until > now for state in nodes if isinstance(state, Reserved)):
                    return
                await asyncio.sleep(0)

    play(scenario, by_itself=False)


def test_a_reservation_is_kept_alive_while_somebody_computes(play):
    async def scenario(world, engine):
        world.create(one(SLOW))
        await until(lambda: world.executor.queued)
        world.create(one(SLOW), OTHER)
        await until_state(world, OTHER, Reserved, "n0")
        for _ in range(6):
            before = next(iter(world.catalog.reservations.values())).expires
            world.clock.advance(BEAT)
            held = world.catalog.reservations
            await until(lambda b=before, h=held: next(iter(h.values())).expires > b)
        assert len(world.executor.created) == 1

    play(scenario, by_itself=False)


def test_the_computation_of_a_dead_owner_is_taken_over_after_three_missed_heartbeats(play):
    async def scenario(world, engine):
        world.create(one(SLOW))
        await until(lambda: world.executor.queued)
        (key, held) = next(iter(world.catalog.reservations.items()))
        world.runs.post(RUN, AbortRequested("enough"))
        await world.ended()
        assert not world.catalog.reservations, "who stops gives it back"
        world.catalog.reservations[key] = replace(held, owner="p/d/dead/n0")
        world.create(one(SLOW), OTHER)
        await until_state(world, OTHER, Reserved, "n0")
        for _ in range(2):
            until_now = (await state_of(world, OTHER, "n0")).until
            world.clock.advance(BEAT)
            async with asyncio.timeout(20):
                while (await state_of(world, OTHER, "n0")).until == until_now:  # noqa: ASYNC110 - see above
                    await asyncio.sleep(0)
        assert len(world.executor.created) == 1
        world.clock.advance(BEAT)
        await until(lambda: len(world.executor.created) == 2)

    play(scenario, by_itself=False)


def test_outputs_that_are_too_old_are_computed_again():
    from engine_worlds import World

    async def main():
        world = World()
        world.answers = AnswerSettings(cache=CacheSettings(max_age=timedelta(hours=1)))
        engine = world.engine()
        await engine.start()
        plain = task("plain", {"x0": INT}, **CACHED)
        for name, pause in (("a", 0), ("b", 30), ("c", 31)):
            world.clock.advance(timedelta(minutes=pause))
            world.create(one(plain), RunId("p", "d", name))
            await world.ended(RunId("p", "d", name))
        assert [a.run.name for a in world.executor.created] == ["a", "c"]
        await engine.stop()

    asyncio.run(main())


def test_overwriting_asks_nothing_and_replaces_what_is_remembered(play):
    plain = task("plain", {"x0": INT}, **CACHED)

    async def scenario(world, engine):
        world.create(one(plain))
        await world.ended()
        world.create(one(plain), OTHER, overwrite_cache=True)
        stored = await world.ended(OTHER)
        assert stored.state.nodes[("n0",)].cache is CacheOutcome.POPULATED
        assert [a.run for a in world.executor.created] == [RUN, OTHER]
        (value,) = world.catalog.content.values()
        assert value.source == "p/d/r2/n0/0"
        assert value.size == len(await world.blobs.get(value.outputs))
        assert value.digest

    play(scenario)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
@pytest.mark.parametrize("template", [GROW, SLOW], ids=["dynamic", "serialised"])
def test_outputs_that_are_no_longer_what_was_remembered_are_computed_again(play, template, damage):
    async def scenario(world, engine):
        world.create(one(template))
        await world.ended(RUN)
        ((_, value),) = world.catalog.content.items()
        whole = await world.blobs.get(value.outputs)
        match damage:
            case "cut":
                await world.blobs.put(value.outputs, whole[:-1])
            case "changed":
                other = core.LiteralMap(literals={"o0": literals.literal(12345)})
                await world.blobs.put(value.outputs, other.SerializeToString())
            case "gone":
                del world.blobs.content[value.outputs]
        world.create(one(template), OTHER)
        second = await world.ended(OTHER)
        assert second.state.summary.phase is RunPhase.SUCCEEDED
        node = second.state.nodes[("n0",)]
        assert (node.cached, node.cache) == ("", CacheOutcome.POPULATED)
        assert await world.blobs.get(node.outputs) == whole
        assert {attempt.run for attempt in world.executor.created} == {RUN, OTHER}
        # What is remembered now is whole again.
        third = RunId("p", "d", "r3")
        world.create(one(template), third)
        assert (await world.ended(third)).state.nodes[("n0",)].cached == "p/d/r2/n0/0"

    play(scenario)


def test_remembered_outputs_with_a_part_beside_them_that_is_gone_are_computed_again():
    """As flytekit leaves a large output: in a file of its own, which may be inside a list."""
    from engine_worlds import World

    big = task(
        "big", {"x0": INT}, {"o": core.LiteralType(collection_type=INTS)}, discoverable=True,
        discovery_version="1",
    )  # fmt: skip
    compiled = Shelf(big).compiled(flow("one", [node("n0", big, x0=1)], {}))
    parts = []

    class Leaving(World):
        async def add_up(self, spec):
            parts.append(f"{spec.raw_output_prefix}/part.pb")
            await self.blobs.put(parts[-1], literals.literal([1, 2]).SerializeToString())
            told = core.LiteralOffloadedMetadata(uri=parts[-1], inferred_type=INTS)
            outputs = core.LiteralMap()
            inside = outputs.literals["o"].collection.literals
            inside.append(core.Literal(hash="h", offloaded_metadata=told))
            await self.blobs.put(f"{spec.output_prefix}/outputs.pb", outputs.SerializeToString())
            return Exit(code=0)

    async def main():
        world = Leaving()
        engine = world.engine()
        await engine.start()
        for name, cached in (("a", ""), ("b", "p/d/a/n0/0"), ("c", ""), ("e", "p/d/c/n0/0")):
            if name == "c":
                del world.blobs.content[parts[0]]
            world.create(compiled, RunId("p", "d", name))
            stored = await world.ended(RunId("p", "d", name))
            assert stored.state.nodes[("n0",)].cached == cached
        await engine.stop()

    asyncio.run(main())


def test_a_catalog_that_fails_is_told_of_and_costs_nothing(play):
    async def scenario(world, engine):
        world.catalog.broken = True
        world.create(one(SLOW))
        stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.SUCCEEDED
        assert stored.state.nodes[("n0",)].cache is CacheOutcome.PUT_FAILURE

    play(scenario)


def test_a_dynamic_task_is_remembered_with_what_its_graph_gave(play):
    async def scenario(world, engine):
        world.create(one(GROW, 4))
        first = await world.ended()
        assert first.state.nodes[("n0",)].cache is CacheOutcome.POPULATED
        created = len(world.executor.created)
        world.create(one(GROW, 4), OTHER)
        await world.ended(OTHER)
        assert await world.outputs(OTHER) == {"o": 6}
        assert len(world.executor.created) == created

    play(scenario)


def test_a_given_hash_stands_for_the_value(play):
    plain = task("plain", {"x0": INT}, **CACHED)
    template = flow("one", [node("n0", plain, x0=".x")], inputs={"x": INT})

    async def scenario(world, engine):
        for number, run in ((1, RUN), (2, OTHER)):
            literal = literals.literal(number)
            literal.hash = "the same"
            uri = f"memory://blobs/inputs/{number}.pb"
            given = core.LiteralMap(literals={"x": literal})
            await world.blobs.put(uri, given.SerializeToString())
            world.create(Shelf(plain).compiled(template), run, inputs=uri)
            await world.ended(run)
        assert [a.run for a in world.executor.created] == [RUN]
        assert isinstance(await state_of(world, OTHER, "n0"), Succeeded)

    play(scenario)


def test_different_inputs_share_nothing_even_where_their_entries_are_mixed_up(play):
    plain = task("plain", {"x0": INT}, **CACHED)

    async def scenario(world, engine):
        for number, run in ((1, RUN), (2, OTHER)):
            world.create(one(plain, number), run)
            await world.ended(run)
        first, second = world.catalog.content
        assert replace(first, inputs="") == replace(second, inputs="")
        assert first.inputs != second.inputs
        of = world.catalog.content
        # As a collision would leave it: found under this key, and another computation's outputs.
        of[second] = replace(of[second], outputs=of[first].outputs)
        again = RunId("p", "d", "r3")
        world.create(one(plain, 2), again)
        stored = await world.ended(again)
        assert await world.outputs(again) == await world.outputs(OTHER)
        assert await world.outputs(again) != await world.outputs(RUN)
        assert not stored.state.nodes["n0",].cached, "computed anew"

    play(scenario)


def test_what_is_remembered_says_what_it_is_and_how_large(play):
    plain = task("plain", {"x0": INT}, **CACHED)
    parts = [
        node("n0", plain, x0=1),
        node("g", GROW, x0=2),
        node("m", mapped(plain), x0=[5, 6]),
    ]

    async def scenario(world, engine):
        shelf = Shelf(plain, GROW, task("add", {"x0": INT}))
        world.create(shelf.compiled(flow("all", parts)))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        values = world.catalog.content.values()
        assert {v.source for v in values} == {f"p/d/r1/{n}/0" for n in ("n0", "g", "m-0", "m-1")}
        for value in values:
            data = await world.blobs.get(value.outputs)
            assert value.size == len(data)
            assert value.digest == literals_digest(core.LiteralMap.FromString(data))

    play(scenario)
