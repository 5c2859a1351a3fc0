"""Small inputs and outputs that attempts are handed and hand back: with their run's commit, or in files for who reads those."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import asynccontextmanager

import pytest
from engine_worlds import World, expected, until, workflow

from flyte_jupyter.engine.adapters.memory import MemoryExecutor
from flyte_jupyter.engine.answers import files
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import RunPhase
from flyte_jupyter.engine.ports import NotNow
from flyte_jupyter.idl import core, literals

EDGES = {"a": [], "b": ["a"], "c": ["a", "b"]}


def of_nodes(world):
    """The files of the run's nodes."""
    return sorted(uri for uri in world.blobs.content if any(f"/{n}/" in uri for n in EDGES))


@asynccontextmanager
async def serving(world):
    engine = world.engine()
    await engine.start()
    try:
        yield
    finally:
        await engine.stop()


async def away(_spec):
    raise NotNow("it is away")


def run(play):
    async def within():
        async with asyncio.timeout(30):
            await play()

    asyncio.run(within())


def test_they_stand_in_the_database_alone():
    async def play():
        world = World(handed=True)
        world.create(workflow(EDGES))
        async with serving(world):
            await world.ended()
        assert await world.outputs() == expected(EDGES)
        assert of_nodes(world) == []
        assert sorted(uri.rpartition("/")[2] for uri in world.runs.literals) == [
            "inputs.pb", "inputs.pb", "inputs.pb", "outputs.pb", "outputs.pb", "outputs.pb",
        ]  # fmt: skip

    run(play)


def test_an_executor_that_hands_nothing_finds_files_of_what_another_was_to_hand():
    """As when a control plane is started anew with a cluster."""

    async def play():
        world = World(handed=True)
        world.executor.launch = away
        world.create(workflow(EDGES))
        async with serving(world):
            await until(lambda: world.runs.literals)
        assert of_nodes(world) == []
        world.executor = MemoryExecutor(world.add_up)
        world.executor.follow(world.clock.now)
        async with serving(world):
            await world.ended()
        assert await world.outputs() == expected(EDGES)
        assert f"{world.node_prefix('a')}/inputs.pb" in of_nodes(world)

    run(play)


@pytest.mark.parametrize("text", ["no base64!", b64encode(b"\xff\xff\xff").decode()])
def test_nonsense_handed_back_is_named(text):
    async def play():
        world = World(handed=True)
        world.failures["a", 0] = Exit(code=0, outputs=text)
        world.create(workflow(EDGES))
        async with serving(world):
            stored = await world.ended()
        failure = stored.state.summary.failure
        assert stored.state.summary.phase is RunPhase.FAILED
        assert failure.code == "OutputsInvalid"
        assert "not readable" in failure.message

    run(play)


def test_outputs_of_another_type_or_too_large_are_no_success():
    async def play(given, code):
        world = World(handed=True)
        data = core.LiteralMap(literals={"o": literals.literal(given)}).SerializeToString()
        world.failures["a", 0] = Exit(code=0, outputs=b64encode(data).decode())
        world.create(workflow(EDGES))
        async with serving(world):
            stored = await world.ended()
        assert stored.state.summary.failure.code == code

    run(lambda: play("text", "OutputsInvalid"))
    run(lambda: play("x" * 11_000_000, "OutputSizeExceeded"))


@pytest.mark.parametrize("how", [Exit(code=1), Exit(signal=11)])
def test_an_attempt_that_failed_has_handed_nothing_back(how):
    """Whatever came with the news: the files that it left count, of which there are none."""

    async def play():
        world = World(handed=True)
        data = core.LiteralMap(literals={"o": literals.literal(1)}).SerializeToString()
        ended = Exit(how.code, how.signal, outputs=b64encode(data).decode())
        world.failures["a", 0] = ended
        world.create(workflow({"a": []}))
        async with serving(world):
            stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.FAILED

    run(play)


def test_what_the_catalog_is_told_of_is_a_file():
    """Another execution may hit before the commit that this one's success is recorded with."""

    async def play():
        world = World(handed=True)
        there = []
        remember = world.catalog.remember

        async def asked(key, value):
            there.append(value.outputs in world.blobs.content)
            await remember(key, value)

        world.catalog.remember = asked
        world.create(workflow({"a": []}, discoverable=True, discovery_version="1"))
        async with serving(world):
            await world.ended()
        assert there == [True]
        assert [uri.rpartition("/")[2] for uri in world.runs.literals] == ["inputs.pb"]

    run(play)


def test_the_end_of_a_wide_graph_reads_what_was_forgotten_at_once(monkeypatch):
    monkeypatch.setattr(files, "MOST_REMEMBERED", 8)

    async def play():
        world = World(handed=True)
        wide = {"a": []} | {f"w{i}": ["a"] for i in range(100)}
        asked = []
        several, get = world.blobs.several, world.blobs.get

        async def many(uris):
            asked.append(len(uris))
            return await several(uris)

        async def one(uri):
            assert "/w" not in uri, "one by one"
            return await get(uri)

        world.blobs.several = many
        world.create(workflow(wide))
        async with serving(world):
            await until(lambda: len(world.runs.literals) > 150)
            world.blobs.get = one
            await world.ended()
        world.blobs.get = get
        assert await world.outputs() == expected(wide)
        assert asked

    run(play)


def test_large_inputs_are_a_file():
    async def play():
        world = World(handed=True)
        chain = {"a": []} | {f"w{i}": ["a"] for i in range(literals.MOST_CARRIED // 8)}
        chain["c"] = list(chain)
        world.create(workflow(chain))
        async with serving(world):
            await world.ended()
        assert (await world.outputs())["c"] == expected(chain)["c"]
        assert f"{world.node_prefix('c')}/inputs.pb" in world.blobs.content
        assert not [uri for uri in world.blobs.content if "/w1/" in uri]

    run(play)
