"""The whole shell, played by hand: random graphs, random schedules, and an engine dropped at any call it makes."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

import pytest
from engine_worlds import RUN, World, expected, workflow

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import TERMINAL, RunPhase
from flyte_jupyter.engine.engine import Ports
from flyte_jupyter.engine.ports import AttemptNews
from flyte_jupyter.idl import core

SEEDS = 240
SHARDS = 8
CALLS = {
    "runs": ("acquire", "open_runs", "load", "commit", "settle"),
    "executor": ("start", "launch", "kill", "reap", "listing"),
    "blobs": ("get", "put", "exists", "names", "copy"),
    "catalog": ("lookup", "remember"),
}


class Fuse:
    """Lets so many calls through; the next one never returns, done or not done."""

    def __init__(self, calls, *, after_doing):
        self.left = calls
        self.after_doing = after_doing
        self.blown = asyncio.Event()

    async def through(self, call, *args, **kwargs):
        self.left -= 1
        if self.left >= 0:
            return await call(*args, **kwargs)
        if self.left == -1 and self.after_doing:
            await call(*args, **kwargs)
        self.blown.set()
        await asyncio.get_running_loop().create_future()
        return None


class Fused:
    """A port of which every call goes through a fuse."""

    def __init__(self, port, fuse, calls):
        self._port = port
        for name in calls:
            setattr(self, name, self._guard(getattr(port, name), fuse))

    def __getattr__(self, name):
        return getattr(self._port, name)

    @staticmethod
    def _guard(call, fuse):
        def guarded(*args, **kwargs):
            return fuse.through(call, *args, **kwargs)

        return guarded


class Play:
    """One world, one seed: engines come and go until the run is over."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.world = World(by_itself=False)
        self.edges = self.graph()
        self.lost = 0
        metadata = {"retries": core.RetryStrategy(retries=1)}
        if self.rng.random() < 0.3:
            metadata |= {"discoverable": True, "discovery_version": "1"}
        self.fail_some()
        launch = self.world.executor.launch
        self.world.executor.launch = lambda spec: self.watched(launch, spec)
        self.world.create(
            workflow(self.edges, **metadata), max_parallelism=self.rng.choice([0, 1, 2])
        )

    def graph(self):
        names = [f"n{i}" for i in range(self.rng.randint(1, 6))]
        return {
            n: tuple(p for p in names[:i] if self.rng.random() < 0.4) for i, n in enumerate(names)
        }

    def fail_some(self):
        """Failures that the budgets forgive: a user's on the first attempt, the system's on others."""
        recoverable = core.ContainerError(
            code="Flaky", message="again", kind=core.ContainerError.RECOVERABLE
        )
        for node in self.edges:
            if self.rng.random() < 0.25:
                self.world.failures[(node, 0)] = self.rng.choice([recoverable, Exit(signal=9)])

    async def watched(self, launch, spec):
        """No attempt may be made for a node whose end is committed."""
        stored = await self.world.runs.load(spec.id.run)
        node = stored.state.nodes.get(spec.id.path)
        known = spec.id in self.world.executor.queued | self.world.executor.running
        if spec.id not in self.world.executor.ended and not known:
            assert not isinstance(node, TERMINAL), (spec.id, node)
        answer = await launch(spec)
        # The attempt may begin, end and be recorded before the executor's answer arrives.
        for _ in range(self.rng.choice([0, 0, 5, 60])):
            await asyncio.sleep(0)
        return answer

    async def engine(self):
        """Start an engine; None when it was dropped before it had even started."""
        fuse = Fuse(self.rng.randint(0, 120), after_doing=self.rng.random() < 0.5)
        world = self.world
        ports = Ports(
            *(Fused(getattr(world, name), fuse, calls) for name, calls in CALLS.items()),
            world.clock,
            world.children,
            world.signals,
        )
        engine = world.engine("engine" if self.rng.random() < 0.5 else None, ports)
        starting = asyncio.create_task(engine.start())
        blown = asyncio.create_task(fuse.blown.wait())
        await asyncio.wait([starting, blown], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        return fuse

    @staticmethod
    async def drop_everything():
        """As `kill -9` would: nothing of the engine gets another chance."""
        rest = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def until_over(self):
        drops = 0
        fuse = await self.engine()
        for _ in range(5000):
            if fuse.blown.is_set():
                drops += 1
                await self.drop_everything()
                self.world.clock.advance(timedelta(seconds=self.rng.choice([0, 16])))
                fuse = await self.engine()
                continue
            stored = await self.world.runs.load(RUN)
            if stored.state.summary.phase.final and not stored.owed and not stored.inbox:
                break
            await self.something_happens()
            for _ in range(self.rng.randint(0, 12)):
                await asyncio.sleep(0)
        await self.drop_everything()
        return drops

    async def something_happens(self):
        executor, rng = self.world.executor, self.rng
        queued, running = sorted(executor.queued), sorted(executor.running)
        chance = rng.random()
        if chance < 0.45 and queued:
            executor.begin(rng.choice(queued))
        elif chance < 0.85 and running:
            await executor.finish(rng.choice(running))
        elif chance < 0.87 and (queued or running) and self.lost < 1:
            self.lost += 1
            executor.vanish(rng.choice(queued + running))
        elif chance < 0.92 and executor.ended and executor._news is not None:
            again = rng.choice(sorted(executor.ended))
            executor._news(AttemptNews(again, executor.ended[again]))
        elif chance > 0.96:
            self.world.clock.advance(timedelta(seconds=rng.choice([1, 6, 31])))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_run_ends_alike_however_often_its_engine_is_dropped(shard):
    drops = 0
    for seed in range(shard, SEEDS, SHARDS):

        async def main(seed=seed):
            play = Play(seed)
            dropped = await play.until_over()
            stored = await play.world.runs.load(RUN)
            assert stored.state.summary.phase is RunPhase.SUCCEEDED, (seed, stored.state)
            assert await play.world.outputs() == expected(play.edges), seed
            executor = play.world.executor
            assert not stored.owed, (seed, stored.owed)
            assert not executor.queued, seed
            assert not executor.running, seed
            assert not executor.ended, seed
            again = len(play.world.worked) - len(set(play.world.worked))
            assert again <= play.lost, (seed, "finished work was done again")
            for attempt in executor.created:
                forgiven = ((attempt.path[0], 0) in play.world.failures) + play.lost
                assert attempt.attempt <= forgiven, (seed, attempt)
            return dropped

        drops += asyncio.run(main())
    assert drops > 0, "the fuse never blew: this test tests nothing"
