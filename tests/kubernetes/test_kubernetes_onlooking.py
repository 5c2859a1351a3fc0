"""What a process without an engine shows of attempts in a cluster, beside the engine that has them."""

from __future__ import annotations

import asyncio

import pytest
from fake_cluster import Fault, refuse, to
from kubernetes_bench import QUICK, attempt_id, bench, spec_of

from flyte_jupyter.engine.adapters.kubernetes.api import Refused
from flyte_jupyter.engine.adapters.kubernetes.onlooking import Onlooker, OnlyLooking


def beside(b, folder):
    """Over the same cluster, with the folder of the engine's logs."""
    return Onlooker(b.api, folder / "logs", QUICK)


async def shown(onlooker, attempt, text):
    """Wait until its log says so."""
    async with asyncio.timeout(20):
        while text not in (await onlooker.read_log(attempt, 0, 100)).data:  # noqa: ASYNC110 - it asks a server
            await asyncio.sleep(0.002)


def test_a_log_is_shown_from_before_it_is_there_until_after_it_is_kept(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            onlooker = beside(b, tmp_path)
            await onlooker.start(b.news)
            spec = spec_of(attempt_id())
            part = await onlooker.read_log(spec.id, 0, 100)
            assert (part.data, part.complete) == (b"", False), "nobody knows it yet"
            await b.executor.launch(spec)
            part = await onlooker.read_log(spec.id, 0, 100)
            assert (part.data, part.complete) == (b"", False), "it has not begun"
            pod = b.pod_of(spec.id)
            b.cluster.run(pod)
            b.cluster.logs["p-d", pod["metadata"]["name"]] = b"hello\n"
            await shown(onlooker, spec.id, b"hello\n")
            watched = list((tmp_path / "logs-watched").rglob("*.live"))
            assert len(watched) == 1
            b.cluster.finish(pod)
            await b.ended(spec.id)
            await b.executor.reap(spec.id)
            part = await onlooker.read_log(spec.id, 2, 100)
            assert (part.data, part.complete) == (b"llo\n", True)
            assert not watched[0].exists(), "what is kept need not be there twice"
            await onlooker.stop()

    asyncio.run(main())


def test_a_log_of_an_ended_pod_that_nobody_has_kept_is_read_from_the_cluster(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            pod = b.pod_of(spec.id)
            await b.executor.stop()
            b.cluster.logs["p-d", pod["metadata"]["name"]] = b"last words\n"
            b.cluster.finish(pod)
            onlooker = beside(b, tmp_path)
            part = await onlooker.read_log(spec.id, 5, 3)
            assert (part.data, part.complete) == (b"wor", False)
            assert b.pod_of(spec.id), "it is the engine's to delete"

    asyncio.run(main())


def test_pods_that_wait_and_run_are_counted_page_by_page(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            running = [(await b.running(f"n{number}")).id for number in range(3)]
            waiting = spec_of(attempt_id("later"))
            await b.executor.launch(waiting)
            listing = await beside(b, tmp_path).listing()
            assert listing.running == set(running)
            assert listing.queued == {waiting.id}
            assert not listing.ended

    asyncio.run(main())


def test_it_decides_nothing(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            onlooker = beside(b, tmp_path)
            for call in (
                onlooker.launch(spec_of(attempt_id("more"))),
                onlooker.kill(spec.id),
                onlooker.reap(spec.id),
            ):
                with pytest.raises(OnlyLooking, match="no engine"):
                    await call
            assert len(b.cluster.pods(alive=True)) == 1

    asyncio.run(main())


def test_a_server_that_refuses_is_no_empty_log(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            answer = refuse(403, "Forbidden", "pods is forbidden")
            b.cluster.faults.append(Fault(to("GET", "/pods/"), answer=answer))
            with pytest.raises(Refused, match="forbidden"):
                await beside(b, tmp_path).read_log(spec.id, 0, 10)

    asyncio.run(main())
