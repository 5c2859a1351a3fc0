"""Nothing of what is given up goes on: neither a parent that stands still, nor what attempts have started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from dataclasses import replace

import pytest
from local_attempts import Bench, alive, attempt_id, bench, seen
from processes import eventually

from flyte_jupyter.engine.adapters.local import link, processes

NOTES = """
    import os

    def do_note(inputs):
        with open(os.environ["PLACE"], "a") as file:
            file.write(os.environ["FLYTE_INTERNAL_NODE_ID"] + "\\n")
"""


@pytest.fixture
def impatient(monkeypatch):
    """A greeting is waited for only briefly."""
    monkeypatch.setattr(link, "_PATIENCE", 0.5)


async def gone_away(b: Bench) -> list[int]:
    """End the control plane and leave its zygotes standing still. Gives their numbers."""
    pids = b.zygote_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await b.executor.stop()
    return pids


@pytest.mark.usefixtures("impatient")
def test_what_a_parent_that_stood_still_was_sent_runs_once(tmp_path):
    async def main():
        place = tmp_path / "ran"
        first = Bench(tmp_path)
        await first.executor.start(first.news)
        specs = [first.task(NOTES, "note", attempt_id(name)) for name in ("before", "sent")]
        specs = [replace(spec, env={"PLACE": str(place)}) for spec in specs]
        assert (await first.run(specs[0])).code == 0
        await first.executor.reap(specs[0].id)
        pids = first.zygote_pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await first.executor.launch(specs[1])
        assert first.executor._entries[specs[1].id].sent
        await first.executor.stop()
        async with bench(tmp_path) as b:
            assert (await b.ended(specs[1].id)).code == 0
            for pid in pids:
                assert not alive(pid)
            assert place.read_text().split() == ["before", "sent"]

    asyncio.run(main())


@pytest.mark.usefixtures("impatient")
def test_what_runs_below_a_parent_that_stands_still_is_ended_and_lost_by_name(tmp_path):
    async def main():
        first = Bench(tmp_path)
        await first.executor.start(first.news)
        spec = first.command(["/bin/sh", "-c", "echo $$$$; sleep 600"])
        await first.executor.launch(spec)

        async def number():
            return await first.log(spec)

        running = int(await seen(number))
        pids = await gone_away(first)
        async with bench(tmp_path) as b:
            assert (await b.ended(spec.id)).why.code == "WorkerLost"
            assert not any(alive(pid) for pid in pids)
            eventually(lambda: not alive(running), what="the attempt's end")

    asyncio.run(main())


def test_parents_that_stand_still_are_waited_for_together(tmp_path, monkeypatch):
    async def main():
        first = Bench(tmp_path)
        await first.executor.start(first.news)
        for name in ("one", "two", "three"):
            spec = first.task(NOTES, "note", attempt_id(name), environment=name)
            await first.run(replace(spec, env={"PLACE": str(tmp_path / "ran")}))
        pids = await gone_away(first)
        assert len(pids) == 3
        asked, all_asked = [], asyncio.Event()

        async def refuses(socket):
            # Whoever asked one after the other would wait here for ever.
            asked.append(socket)
            if len(asked) == len(pids):
                all_asked.set()
            await all_asked.wait()
            raise link.LinkFailed("nobody answers")

        monkeypatch.setattr(link.Link, "open", refuses)
        again = Bench(tmp_path)
        async with asyncio.timeout(60):
            await again.executor.start(again.news)
        assert not any(alive(pid) for pid in pids)
        await again.executor.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    "text", ["[]", "7", "{}", "", '{"interpreter": 1, "environment": 2, "socket": 3}']
)
def test_a_description_that_is_none_costs_its_folder_and_nothing_else(tmp_path, text):
    folder = tmp_path / "local" / "zygotes" / "abc"
    folder.mkdir(parents=True)
    (folder / "zygote.json").write_text(text)

    async def main():
        async with bench(tmp_path) as b:
            assert not folder.exists()
            assert (await b.run(b.command(["/bin/true"]))).code == 0

    asyncio.run(main())


def test_a_record_whose_process_has_no_number_is_passed_over(tmp_path):
    records = tmp_path / "local" / "zygotes" / "abc" / "records"
    records.mkdir(parents=True)
    line = {"key": "k", "pid": "x", "identity": "y", "exit": None}
    (records / "journal").write_text(json.dumps(line) + "\n")

    async def main():
        async with bench(tmp_path) as b:
            assert (await b.run(b.command(["/bin/true"]))).code == 0

    asyncio.run(main())


CHILDREN = """
    import os, signal, subprocess, time

    def do_start(inputs):
        own = subprocess.Popen(["sleep", "600"])
        apart = subprocess.Popen(["sleep", "600"], start_new_session=True)
        group = subprocess.Popen(["sleep", "600"], process_group=0)
        forked = os.fork()
        if forked == 0:
            time.sleep(600)
        there, here = os.pipe()
        left = os.fork()
        if left == 0:
            os.setsid()
            os.write(here, b"x")
            time.sleep(600)
            os._exit(0)
        os.read(there, 1)
        print(os.getpid(), own.pid, apart.pid, group.pid, forked, left, flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("away", [False, True], ids=["at once", "by the next control plane"])
@pytest.mark.parametrize("made", ["fork", "exec", "worker"])
def test_what_attempts_have_started_ends_with_their_parent(tmp_path, away, made):
    apart = {"FLYTE_JUPYTER_NO_FORK": "1"} if made == "exec" else {}

    async def main():
        first = Bench(tmp_path)
        await first.executor.start(first.news)
        reuse = "true" if made == "worker" else "false"
        spec = replace(first.task(CHILDREN, "start", reuse=reuse), env=apart)
        await first.executor.launch(spec)

        async def numbers():
            return (await first.log(spec)).split()

        started = [int(word) for word in await seen(numbers)]
        leader = started[0]
        pids = first.zygote_pids()
        if away:
            await first.executor.stop()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        # Without the loop: whoever looks finds the attempt's own process gone.
        eventually(lambda: apart or not alive(leader), what="the leader's end")
        if not away:
            assert (await first.ended(spec.id)).why.code == "WorkerLost"
            await first.executor.stop()
        async with bench(tmp_path) as b:
            assert (await b.ended(spec.id)).why.code == "WorkerLost"
            eventually(lambda: not any(alive(pid) for pid in started), what="their end")

    asyncio.run(main())


def test_who_has_the_number_of_another_boot_or_of_somebody_else_is_left_alone():
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        known = processes.identity(stranger.pid)
        boot, _, began = known.partition(":")
        for other in (f"{boot}:{int(began) - 1}", f"another:{began}", ""):
            processes.end_families([(stranger.pid, other)], ["_FLYTE_JUPYTER_ATTEMPT=nobody"])
            assert processes.is_same(stranger.pid, known)
        processes.end_families([(stranger.pid, known)], [])
        assert stranger.wait(60) == -signal.SIGKILL
