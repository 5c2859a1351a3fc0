"""Attempts through an executor that is restarted at any time, on a cluster where everything goes wrong, in virtual time.

A small engine of the test's own does what the real one's outbox and survey do: it asks again until it is answered, believes a
listing only as of its time, reaps what it has recorded. ``KUBERNETES_SEEDS=1000`` runs more than the suite does.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, field, replace

import pytest
from fake_cluster import FakeCluster, Fault, refuse, to
from kubernetes_bench import QUICK, attempt_id, spec_of
from virtual_time import VirtualClock, virtually

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.executor import KubernetesExecutor
from flyte_jupyter.engine.adapters.kubernetes.leaving import PodStillThere
from flyte_jupyter.engine.adapters.kubernetes.making import StillLeaving
from flyte_jupyter.engine.adapters.kubernetes.settings import PaceSettings, WatchSettings
from flyte_jupyter.engine.pods.naming import attempt_of
from flyte_jupyter.engine.ports import Accepted

SEEDS = int(os.environ.get("KUBERNETES_SEEDS", "150"))
SETTINGS = replace(
    QUICK,
    pace=PaceSettings(qps=50, burst=20, first_wait=0.1, longest_wait=3.0),
    watch=WatchSettings(page=3, silence=20.0, lifetime=40.0, resync=120.0),
    patience=2.0,
)
PASSING = (Refused, Unreachable, PodStillThere, StillLeaving)


class NoBlobs:
    root = "s3://bucket"


@dataclass
class World:
    """One cluster, one engine at a time, and what both did."""

    seed: int
    cluster: FakeCluster = field(init=False)
    dice: random.Random = field(init=False)
    open: dict = field(default_factory=dict)
    """Attempts that the engine has recorded as launched and not as ended -> since when."""
    ended: dict = field(default_factory=dict)
    killed: set = field(default_factory=set)
    wanted: set = field(default_factory=set)
    made: dict = field(default_factory=dict)
    hurt: set = field(default_factory=set)
    """Attempts whose pod somebody deleted."""
    lanes: dict = field(default_factory=dict)
    calm: bool = False
    executor: KubernetesExecutor | None = None

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        self.clock = VirtualClock()
        self.cluster = FakeCluster(self.clock.now)
        self.cluster.kubelet = self.schedule

    # -- the kubelet --

    def schedule(self, pod):
        attempt = attempt_of(pod)
        self.made.setdefault(attempt, []).append(pod["metadata"]["uid"])
        loop = asyncio.get_running_loop()
        started = self.dice.uniform(0, 2)
        loop.call_later(started, self.cluster.run, pod)
        code = self.dice.choice([0, 0, 0, 1])
        loop.call_later(started + self.dice.uniform(0.01, 10), self.cluster.finish, pod, code)

    # -- what goes wrong --

    async def misbehave(self):
        while not self.calm:
            await asyncio.sleep(self.dice.uniform(0.02, 0.8))
            if not self.calm:
                self.wrong()

    def wrong(self):
        cluster, dice = self.cluster, self.dice
        match dice.randrange(10):
            case 0 | 1:
                method = dice.choice(["POST", "DELETE", "GET"])
                cluster.faults.append(Fault(to(method, "pods"), 1, after=dice.random() < 0.5))
            case 2:
                answer = dice.choice([
                    refuse(429, "TooManyRequests", "busy", "1"),
                    refuse(500, "InternalError", "etcd"),
                    refuse(503, "ServiceUnavailable", "away"),
                    refuse(409, "Conflict", "the quota has been changed; please try again"),
                ])  # fmt: skip
                cluster.faults.append(
                    Fault(
                        to(dice.choice(["POST", "DELETE", "GET"]), "pods"),
                        dice.randrange(1, 4),
                        answer,
                    )
                )
            case 3:
                cluster.faults.append(Fault(to("WATCH"), 1, refuse(410, "Expired", "too old")))
            case 4:
                cluster.compact()
            case 5 | 6:
                faults = cluster.watch_faults
                faults.close_after = dice.choice([None, 1, 5])
                faults.repeat = dice.choice([0, 1])
                faults.silent = dice.random() < 0.3
            case 7:
                cluster.ghosts = not cluster.ghosts
                if not cluster.ghosts:
                    cluster.let_go()
            case 8 if cluster.pods(alive=True):
                pod = dice.choice(cluster.pods(alive=True))
                self.hurt.add(attempt_of(pod))
                cluster.remove_pod(pod)
            case 9:
                cluster.quota["p-d"] = dice.choice([2, 5, 100])

    def settle(self):
        self.calm = True
        self.cluster.faults.clear()
        self.cluster.watch_faults.silent = False
        self.cluster.watch_faults.close_after = None
        self.cluster.quota.clear()
        self.cluster.let_go()
        self.cluster.end_watches()

    # -- the engine --

    def news(self, news):
        if news.how is not None:
            self.record(news.id, news.how)

    def record(self, attempt, how):
        if attempt in self.open:
            del self.open[attempt]
            assert attempt not in self.ended, "an end is recorded once"
            self.ended[attempt] = how

    async def begin(self):
        self.lanes.clear()
        api = Api(self.cluster, SETTINGS.pace, dice=random.Random(self.seed))
        self.executor = KubernetesExecutor(api, self.clock, NoBlobs(), None, settings=SETTINGS)

        async def keep(_):
            await asyncio.sleep(0.01)

        self.executor._logs.keep = keep
        await self.executor.start(self.news)

    async def insist(self, attempt, deed, needed=lambda: True):
        """As an outbox: one thing after the other for each attempt, again until it is done or no longer needed."""
        async with self.lanes.setdefault(attempt, asyncio.Lock()):
            while needed():
                try:
                    return await deed()
                except PASSING:
                    await asyncio.sleep(self.dice.uniform(0.05, 0.5))
        return None

    async def launch(self, attempt):
        executor = self.executor
        await asyncio.sleep(self.dice.uniform(0, 15))
        answer = await self.insist(
            attempt, lambda: executor.launch(spec_of(attempt)), lambda: attempt in self.wanted
        )
        assert answer in (None, Accepted()), answer
        if attempt in self.wanted:
            self.wanted.discard(attempt)
            if attempt not in self.ended:
                self.open[attempt] = self.clock.now()

    async def survey(self):
        listing = await self.executor.listing()
        for attempt, how in listing.ended.items():
            if attempt in self.wanted:  # its launch was never answered
                self.wanted.discard(attempt)
                self.open[attempt] = self.clock.now()
            self.record(attempt, how)
        for attempt, since in list(self.open.items()):
            if attempt not in listing.all and since < listing.as_of:
                self.record(attempt, "lost")
        executor = self.executor
        for attempt in listing.all:
            if attempt in self.killed:
                await self.insist(attempt, lambda a=attempt: executor.kill(a))
            elif attempt in self.ended:
                await self.insist(attempt, lambda a=attempt: executor.reap(a))

    async def reign(self, seconds, *, last=False):
        """One engine, for a while; the last one sees the trouble end, and goes on until everything is over."""
        await self.begin()
        until = asyncio.get_running_loop().time() + seconds
        launches = asyncio.gather(*(self.launch(a) for a in sorted(self.wanted)))
        try:
            while asyncio.get_running_loop().time() < until or (last and not self.over()):
                if last and not self.calm and asyncio.get_running_loop().time() >= until:
                    self.settle()
                await self.survey()
                if self.open and not self.calm and self.dice.random() < 0.1:
                    await self.abort(self.dice.choice(sorted(self.open)))
                await asyncio.sleep(1.0)
        finally:
            launches.cancel()
            await asyncio.gather(launches, return_exceptions=True)
            await self.executor.stop()

    async def abort(self, attempt):
        self.open.pop(attempt, None)
        self.killed.add(attempt)
        executor = self.executor
        await self.insist(attempt, lambda: executor.kill(attempt))

    def over(self):
        return not self.open and not self.wanted and not self.cluster.pods()


async def live(seed: int) -> World:
    world = World(seed)
    nodes = [attempt_id(f"n{i}") for i in range(world.dice.randrange(1, 12))]
    world.wanted.update(nodes)
    trouble = asyncio.create_task(world.misbehave())
    async with asyncio.timeout(3000):
        for _ in range(world.dice.choice([0, 0, 1, 2, 3])):
            await world.reign(world.dice.uniform(1, 15))
        await world.reign(world.dice.uniform(5, 40), last=True)
    world.settle()
    await trouble
    return world


@pytest.mark.parametrize("batch", range(10))
def test_every_attempt_ends_once_and_nothing_is_left(batch):
    for seed in range(batch * SEEDS // 10, (batch + 1) * SEEDS // 10):
        world = virtually(lambda seed=seed: live(seed))
        where = f"seed {seed}"
        assert not world.cluster.pods(), where
        assert world.cluster.watching == 0, where
        for attempt, pods in world.made.items():
            again = attempt in world.killed or attempt in world.hurt
            assert len(pods) == 1 or again, f"{where}: {attempt} had {len(pods)} pods"
            if attempt in world.ended and attempt not in world.hurt | world.killed:
                how = world.ended[attempt]
                assert how != "lost", f"{where}: {attempt} was thought lost"
                assert how.why is None, f"{where}: {attempt} {how.why}"
        assert set(world.made) <= set(world.ended) | world.killed, where


def test_a_seed_is_told_the_same_way_twice():
    first, second = (virtually(lambda: live(7)) for _ in range(2))
    assert [e.kind for e in first.cluster.history] == [e.kind for e in second.cluster.history]
    assert first.ended == second.ended
