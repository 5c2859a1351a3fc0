"""The engine over the real database and real files."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from engine_worlds import RUN, World, expected, workflow

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.core.state import RunPhase, Succeeded
from flyte_jupyter.engine.core.step import initial
from flyte_jupyter.engine.program import plan_of
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.identifiers import execution_identifier
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.artifacts import Artifacts
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions, NewExecution
from flyte_jupyter.store.runs import SqlRuns

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


class StoredWorld(World):
    """A world whose runs, catalog and blobs are real."""

    def __init__(self, database, folder, **settings):
        super().__init__(**settings)
        self.database = database
        self.executions = Executions(database)
        self.runs = SqlRuns(database)
        self.catalog = Artifacts(database)
        self.blobs = FolderBlobs(folder)

    async def launch(self, compiled, run=RUN, **policies):
        execution = admin.Execution(id=execution_identifier(run))
        execution.closure.created_at.FromDatetime(self.clock.now())
        state = initial(plan_of(compiled.closure), **policies)
        closure = compiled.closure.SerializeToString(deterministic=True)
        await self.executions.create(
            NewExecution(execution, closure, compiled.digest, state, inputs="")
        )
        return run


@asynccontextmanager
async def stored_world(tmp_path, **settings):
    database = Database.open(tmp_path / "flyte.db")
    try:
        yield StoredWorld(database, tmp_path / "blobs", **settings)
    finally:
        await database.close()


def test_a_run_is_told_to_clients_as_it_went(tmp_path):
    async def main():
        async with stored_world(tmp_path) as world:
            engine = world.engine()
            await engine.start()
            await world.launch(workflow(DIAMOND))
            assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
            assert await world.outputs() == expected(DIAMOND)
            told = await world.executions.get(RUN)
            assert told.closure.phase == core.WorkflowExecution.SUCCEEDED
            node = await world.executions.node_execution(RUN, "d")
            assert node.closure.phase == core.NodeExecution.SUCCEEDED
            attempt = await world.executions.task_execution(RUN, "d", 0)
            assert attempt.closure.phase == core.TaskExecution.SUCCEEDED
            await engine.stop()

    asyncio.run(main())


def test_an_abort_comes_through_the_database(tmp_path):
    async def main():
        async with stored_world(tmp_path, by_itself=False) as world:
            engine = world.engine()
            await engine.start()
            await world.launch(workflow(DIAMOND))
            async with asyncio.timeout(20):
                while not world.executor.queued:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0)
            await world.executions.request_abort(RUN, "enough", "me", world.clock.now())
            assert (await world.ended()).state.summary.phase is RunPhase.ABORTED
            assert not world.executor.queued
            await engine.stop()

    asyncio.run(main())


def test_the_catalog_serves_the_next_run(tmp_path):
    async def main():
        async with stored_world(tmp_path) as world:
            engine = world.engine()
            await engine.start()
            compiled = workflow(DIAMOND, discoverable=True, discovery_version="1")
            await world.launch(compiled)
            await world.ended()
            again = await world.launch(compiled, RunId("p", "d", "r2"))
            stored = await world.ended(again)
            cached = [s.cached for s in stored.state.nodes.values() if isinstance(s, Succeeded)]
            assert "p/d/r1/a/0" in cached
            assert not [a for a in world.executor.created if a.run == again]
            await engine.stop()

    asyncio.run(main())


def test_the_next_engine_goes_on_from_the_rows(tmp_path):
    async def main():
        async with stored_world(tmp_path, by_itself=False) as world:
            first = world.engine()
            await first.start()
            await world.launch(workflow(DIAMOND))
            for node in ("a", "b"):
                async with asyncio.timeout(20):
                    while not any(a.path == (node,) for a in world.executor.queued):  # noqa: ASYNC110 - it has no event
                        await asyncio.sleep(0)
                attempt = next(a for a in world.executor.queued if a.path == (node,))
                world.executor.begin(attempt)
                if node == "a":
                    await world.executor.finish(attempt)
            await first.stop()
            running = next(iter(world.executor.running))
            await world.executor.finish(running)
            second = world.engine()
            await second.start()
            async with asyncio.timeout(20):
                while await world.phase() is not RunPhase.SUCCEEDED:
                    for queued in sorted(world.executor.queued):
                        world.executor.begin(queued)
                        await world.executor.finish(queued)
                    await asyncio.sleep(0)
            assert await world.outputs() == expected(DIAMOND)
            assert sorted(a.path[0] for a in world.executor.created) == list("abcd")
            await second.stop()

    asyncio.run(main())
