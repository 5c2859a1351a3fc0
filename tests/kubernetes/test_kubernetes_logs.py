"""Logs of pods: shown while they grow, kept whole when their attempts have ended."""

from __future__ import annotations

import asyncio

import pytest
from fake_cluster import Fault, refuse
from kubernetes_bench import attempt_id, bench, spec_of


async def shown(b, attempt, text, limit=100):
    """Read its log again and again until it says so, as a reader does who waits for more."""
    async with asyncio.timeout(20):
        while text not in (await b.executor.read_log(attempt, 0, limit)).data:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)


async def kept(b, spec, code=0, limit=100):
    """The whole log, after the attempt's end."""
    b.cluster.finish(b.pod_of(spec.id), code)
    await b.ended(spec.id)
    await b.executor.reap(spec.id)
    return await b.executor.read_log(spec.id, 0, limit)


def test_a_log_that_nobody_reads_any_more_is_no_longer_followed(tmp_path):
    async def main():
        async with bench(tmp_path, log_idle_seconds=0.05) as b:
            spec = await b.running()
            b.cluster.say(b.pod_of(spec.id), b"hello")
            await shown(b, spec.id, b"hello")
            await b.until(lambda: b.cluster.following == 0)
            b.cluster.say(b.pod_of(spec.id), b" again")
            await shown(b, spec.id, b"hello again")
            part = await kept(b, spec)
            assert (part.data, part.complete) == (b"hello again", True)
            assert not list((tmp_path / "logs").rglob("*.live"))

    asyncio.run(main())


def logs_read(b):
    return [c.path for c in b.cluster.calls if c.path.endswith("/log")]


def test_what_follows_from_an_end_goes_before_its_log(tmp_path):
    async def main():
        async with bench(tmp_path, log_after=3600.0) as b:
            spec, following = await b.running(), spec_of(attempt_id("n1"))
            b.cluster.say(b.pod_of(spec.id), b"hello")
            b.cluster.finish(b.pod_of(spec.id), 0)
            await b.ended(spec.id)
            await b.executor.launch(following)
            assert logs_read(b) == []
            await b.executor.reap(spec.id)
            assert len(logs_read(b)) == 1
            part = await b.executor.read_log(spec.id, 0, 100)
            assert (part.data, part.complete) == (b"hello", True)

    asyncio.run(main())


def test_a_log_is_kept_although_nobody_reaps_its_attempt(tmp_path):
    async def main():
        async with bench(tmp_path, log_after=0.0) as b:
            spec = await b.running()
            b.cluster.say(b.pod_of(spec.id), b"hello")
            b.cluster.finish(b.pod_of(spec.id), 0)
            await b.until(lambda: list((tmp_path / "logs").rglob("*.log")))

    asyncio.run(main())


def test_what_goes_on_after_an_attempts_end_is_deleted_at_once(tmp_path):
    async def main():
        async with bench(tmp_path, log_after=3600.0) as b:
            spec = await b.running()
            pod = b.pod_of(spec.id)
            began = {"startedAt": b.cluster.stamp()}
            ended = {"exitCode": 1, "finishedAt": b.cluster.stamp(), **began}
            states = [("task", {"terminated": ended}), ("beside", {"running": began})]
            statuses = [{"name": name, "state": state} for name, state in states]
            b.cluster.set_status(pod, phase="Running", containerStatuses=statuses)
            await b.ended(spec.id)
            await b.until(lambda: any(change.startswith("DELETE") for change in b.changes()))

    asyncio.run(main())


def test_more_logs_are_shown_than_are_followed_at_once(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            specs = [await b.running(f"n{number}") for number in range(60)]
            for spec in specs:
                b.cluster.say(b.pod_of(spec.id), spec.id.path[0].encode())
            for spec in specs:
                await shown(b, spec.id, spec.id.path[0].encode())
            assert 0 < b.cluster.following < len(specs)

    asyncio.run(main())


def test_a_log_that_has_reached_its_limit_is_shown_while_its_attempt_goes_on(tmp_path):
    async def main():
        async with bench(tmp_path, log_bytes=10) as b:
            spec = await b.running()
            b.cluster.say(b.pod_of(spec.id), b"0123456789ABC")
            await shown(b, spec.id, b"size limit")
            part = await b.executor.read_log(spec.id, 0, 10)
            assert (part.data, part.complete) == (b"0123456789", False)

    asyncio.run(main())


@pytest.mark.parametrize("watched", [False, True])
def test_a_log_that_is_too_long_keeps_its_last_lines_too(tmp_path, watched):
    """Who has read on to the limit finds them right behind it."""

    async def main():
        async with bench(tmp_path, log_bytes=1000) as b:
            spec = await b.running()
            lines = [b"line %d\n" % number for number in range(1000)]
            b.cluster.say(b.pod_of(spec.id), b"".join(lines))
            if watched:
                await shown(b, spec.id, b"size limit", 2000)
                read = (await b.executor.read_log(spec.id, 0, 2000)).data
            b.cluster.say(b.pod_of(spec.id), b"ValueError: the reason\n")
            whole = (await kept(b, spec, 1, 5000)).data
            head, said, end = whole.partition(
                b"\n[flyte-jupyter] The log has reached its size limit"
            )
            assert head == b"".join(lines)[:1000]
            shown_end = end.partition(b"\n")[2]
            assert said
            assert shown_end.endswith(b"line 998\nline 999\nValueError: the reason\n")
            assert 900 < len(shown_end) <= 1000
            assert shown_end.startswith(b"line ")
            if watched:
                assert whole.startswith(read)

    asyncio.run(main())


def test_nothing_is_said_twice_of_a_log_that_is_hardly_too_long(tmp_path):
    async def main():
        async with bench(tmp_path, log_bytes=1000) as b:
            spec = await b.running()
            said = b"".join(b"%d\n" % number for number in range(300))
            b.cluster.say(b.pod_of(spec.id), said)
            head, _, end = (await kept(b, spec, 0, 5000)).data.partition(b"\n[flyte-jupyter]")
            assert 1000 < len(said) < 1100
            assert head + end.partition(b"\n")[2] == said

    asyncio.run(main())


def test_a_log_whose_last_lines_cannot_be_read_keeps_its_beginning(tmp_path):
    async def main():
        async with bench(tmp_path, log_bytes=1000) as b:
            spec = await b.running()
            b.cluster.say(b.pod_of(spec.id), b"x" * 2000)
            refused = refuse(400, "BadRequest", "no")
            b.cluster.faults.append(Fault(lambda call: "tailLines" in call.query, 99, refused))
            said = (await kept(b, spec, 0, 5000)).data
            assert said.startswith(b"x" * 1000 + b"\n[flyte-jupyter] The log has reached")

    asyncio.run(main())


def test_a_log_whose_stream_broke_off_without_a_word_is_whole_in_the_end(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            b.cluster.logs_break_off = True
            b.cluster.say(b.pod_of(spec.id), b"first, ")
            await shown(b, spec.id, b"first")
            b.cluster.say(b.pod_of(spec.id), b"second, ")
            await shown(b, spec.id, b"first, second")
            b.cluster.say(b.pod_of(spec.id), b"and the reason")
            assert (await kept(b, spec, 1)).data == b"first, second, and the reason"

    asyncio.run(main())


def test_of_a_log_that_went_with_its_pod_there_is_what_was_watched(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = await b.running()
            b.cluster.say(b.pod_of(spec.id), b"last words")
            await shown(b, spec.id, b"last words")
            b.cluster.remove_pod(b.pod_of(spec.id))
            await b.ended(spec.id)
            await b.executor.reap(spec.id)
            part = await b.executor.read_log(spec.id, 0, 100)
            assert (part.data, part.complete) == (b"last words", True)

    asyncio.run(main())
