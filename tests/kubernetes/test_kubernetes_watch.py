"""Watches that break, repeat themselves, forget or fall silent: what is known in the end is what there is."""

from __future__ import annotations

import asyncio
import dataclasses
import random

import pytest
from fake_cluster import FakeCluster, Fault, refuse, to
from kubernetes_bench import QUICK
from virtual_time import virtually

from flyte_jupyter.engine.adapters.kubernetes.api import Api
from flyte_jupyter.engine.adapters.kubernetes.reflect import Reflector
from flyte_jupyter.engine.adapters.kubernetes.settings import WatchSettings

POD = {"spec": {"containers": [{"name": "main"}]}, "status": {"phase": "Pending"}}


class Mirror:
    """A sink that holds what it was told, and sees to it that nothing is told twice."""

    def __init__(self):
        self.there = {}
        self.ended = []
        self.versions = {}

    def seen(self, found):
        metadata = found["metadata"]
        uid, version = metadata["uid"], int(metadata["resourceVersion"])
        assert version > self.versions.get(uid, 0), "told again, or late"
        assert uid not in self.ended
        self.versions[uid] = version
        self.there[metadata["namespace"], metadata["name"]] = found

    def gone(self, key, uid, last):
        assert self.there[key]["metadata"]["uid"] == uid
        self.ended.append(uid)
        del self.there[key]


def add(cluster, name, **labels):
    metadata = {"name": name, "namespace": "p-d", "labels": {"mine": "yes", **labels}}
    return cluster._put("pods", {**POD, "metadata": metadata}, "ADDED")


def truth(cluster):
    return {
        (p["metadata"]["namespace"], p["metadata"]["name"]): p
        for p in cluster.pods()
        if p["metadata"]["labels"].get("mine") == "yes"
    }


async def settled(cluster, mirror):
    async with asyncio.timeout(30):
        while mirror.there != truth(cluster):  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def reflected(main, **watch):
    async def run():
        cluster, mirror = FakeCluster(), Mirror()
        api = Api(cluster, QUICK.pace, dice=random.Random(1))
        settings = dataclasses.replace(QUICK.watch, **watch)
        reflector = Reflector(api, "/api/v1/pods", "mine=yes", mirror, settings)
        reflector.start()
        try:
            await main(cluster, mirror)
            await settled(cluster, mirror)
        finally:
            await reflector.stop()
        assert cluster.watching == 0

    asyncio.run(run())


def lists(cluster):
    return len([c for c in cluster.calls if "watch" not in c.query])


def test_what_is_there_at_the_start_comes_in_pages_and_changes_follow():
    async def main(cluster, mirror):
        for i in range(10):
            add(cluster, f"a{i}")
        await settled(cluster, mirror)
        assert lists(cluster) >= 4
        cluster.run(cluster.pod("a3"))
        cluster.remove_pod(cluster.pod("a4"))
        add(cluster, "b")
        await settled(cluster, mirror)

    reflected(main)


def test_an_expired_version_means_listing_again_and_a_deletion_in_between_is_noticed():
    async def main(cluster, mirror):
        for name in "abc":
            add(cluster, name)
        await settled(cluster, mirror)
        cluster.watch_faults.silent = True
        cluster.remove_pod(cluster.pod("b"))
        cluster.compact()
        cluster.watch_faults.silent = False
        await settled(cluster, mirror)
        assert len(mirror.ended) == 1

    reflected(main)


def test_a_pod_replaced_by_another_of_its_name_has_gone():
    async def main(cluster, mirror):
        first = add(cluster, "a")
        await settled(cluster, mirror)
        cluster.watch_faults.silent = True
        cluster.remove_pod(first)
        add(cluster, "a")
        cluster.compact()
        cluster.watch_faults.silent = False
        await settled(cluster, mirror)
        assert mirror.ended == [first["metadata"]["uid"]]

    reflected(main)


def test_a_silent_watch_is_given_up_and_everything_listed_again():
    async def main(cluster, mirror):
        add(cluster, "a")
        await settled(cluster, mirror)
        cluster.watch_faults.silent = True
        before = lists(cluster)
        cluster.remove_pod(cluster.pod("a"))
        add(cluster, "b")
        await settled(cluster, mirror)
        assert lists(cluster) > before

    reflected(main, silence=0.05)


def test_a_watch_in_which_nothing_happens_but_bookmarks_is_not_given_up():
    """A real server sends one a minute, late by as much as its timers are."""

    async def main():
        cluster = FakeCluster()
        cluster.watch_faults.bookmark_every = 62.0
        api = Api(cluster, dice=random.Random(1))
        reflector = Reflector(api, "/api/v1/pods", "mine=yes", Mirror(), WatchSettings())
        reflector.start()
        await asyncio.sleep(280)  # shorter than a watch lives
        assert lists(cluster) == 1
        assert cluster.watching == 1
        await reflector.stop()

    virtually(main)


def test_an_object_that_loses_its_label_has_gone():
    async def main(cluster, mirror):
        pod = add(cluster, "a")
        await settled(cluster, mirror)
        api = Api(cluster, QUICK.pace)
        path = "/api/v1/namespaces/p-d/pods/a"
        await api.patch(path, {"metadata": {"labels": {"mine": None}}})
        await settled(cluster, mirror)
        assert mirror.ended == [pod["metadata"]["uid"]]

    reflected(main)


def test_a_server_that_refuses_watches_is_asked_again():
    async def main(cluster, mirror):
        cluster.faults += [
            Fault(to("WATCH"), 2, refuse(429, "TooManyRequests", "busy", "0.01")),
            Fault(to("WATCH"), 1, refuse(410, "Expired", "too old")),
            Fault(to("WATCH"), 2),
            Fault(to("GET", "/pods"), 2, refuse(500, "InternalError", "etcd leader changed")),
        ]
        add(cluster, "a")
        await settled(cluster, mirror)
        add(cluster, "b")

    reflected(main)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_befalls_the_watch_the_end_is_the_truth(seed):
    """Closing, repeating, stale, silent and expired watches, lost answers, pods made, changed, replaced and deleted at random."""

    async def main(cluster, mirror):
        dice = random.Random(seed)
        for _ in range(60):
            names = [p["metadata"]["name"] for p in cluster.pods()]
            match dice.choice(
                [
                    "add",
                    "add",
                    "run",
                    "remove",
                    "replace",
                    "compact",
                    "faults",
                    "break",
                    "wait",
                    "wait",
                ]
            ):
                case "add":
                    name = f"x{dice.randrange(12)}"
                    if name not in names:
                        add(cluster, name)
                case "run" if names:
                    cluster.run(cluster.pod(dice.choice(names)))
                case "remove" if names:
                    cluster.remove_pod(cluster.pod(dice.choice(names)))
                case "replace" if names:
                    pod = cluster.pod(dice.choice(names))
                    cluster.remove_pod(pod)
                    add(cluster, pod["metadata"]["name"])
                case "compact":
                    cluster.compact()
                case "faults":
                    faults = cluster.watch_faults
                    faults.close_after = dice.choice([None, 1, 3])
                    faults.repeat = dice.choice([0, 1, 2])
                    faults.silent = dice.random() < 0.2
                    faults.bookmarks = dice.random() < 0.5
                case "break":
                    answer = dice.choice(
                        [None, refuse(503, "Unavailable", "away"), refuse(410, "Expired", "old")]
                    )
                    cluster.faults.append(Fault(to(dice.choice(["GET", "WATCH"])), 1, answer))
                case _:
                    await asyncio.sleep(dice.choice([0, 0.001, 0.01]))
        cluster.watch_faults.silent = False
        cluster.watch_faults.close_after = None
        cluster.end_watches()

    reflected(main, silence=0.03)
