"""Attempts that may share a worker wait with their zygote: who is next, and what becomes of them when something ends early."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import local_attempts
import pytest
from local_attempts import Bench, attempt_id, bench, order, seen

from flyte_jupyter.engine.adapters.local.resources import Capacity
from flyte_jupyter.engine.ports import AttemptSpec

TASKS = """
    import os

    def do_note(inputs):
        place = os.environ["PLACE"]
        node = os.environ["FLYTE_INTERNAL_NODE_ID"]
        if os.path.exists(f"{place}/gate-{node}"):
            open(f"{place}/gate-{node}").read()
        os.mkdir(f"{place}/alone")  # fails where two run at once
        with open(f"{place}/order", "a") as file:
            file.write(f"{node}\\n")
        print(node, os.getpid(), os.environ.get("MINE", "-"), os.getcwd())
        os.rmdir(f"{place}/alone")
        if node == "dies":
            os._exit(7)
"""
ONE = Capacity(cpu=1, memory=1 << 40)


def notes(b: Bench, names: list[str], place: Path) -> list[AttemptSpec]:
    return local_attempts.notes(b, TASKS, names, place)


def gate(place: Path, node: str) -> Path:
    path = place / f"gate-{node}"
    os.mkfifo(path)
    return path


async def opened(path: Path) -> None:
    """Let who waits at the gate go on; returns once it has heard."""
    await asyncio.to_thread(path.write_text, "go\n")


async def launched(b: Bench, specs: list[AttemptSpec]) -> None:
    for spec in specs:
        assert not hasattr(await b.executor.launch(spec), "why")


def test_a_worker_goes_on_by_itself_and_everybody_has_what_is_theirs(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            specs = notes(b, [f"n{at}" for at in range(40)], tmp_path)
            specs[7] = replace(specs[7], env={**specs[7].env, "MINE": "seven"})
            await launched(b, specs)
            assert [(await b.ended(spec.id)).code for spec in specs] == [0] * 40
            assert order(tmp_path) == [spec.id.path[0] for spec in specs]
            said = [(await b.log(spec)).split() for spec in specs]
            assert [words[0] for words in said] == [spec.id.path[0] for spec in specs]
            assert len({words[1] for words in said}) == 1, "one worker served them all"
            assert [words[2] for words in said] == ["-"] * 7 + ["seven"] + ["-"] * 32
            assert all(b.outputs(spec) is not None for spec in specs)
            # Each start is told before its end, and no later start before an earlier end.
            told = [(n.id.path[0], n.how is not None) for n in b.said]
            assert told == [(s.id.path[0], over) for s in specs for over in (False, True)]

    asyncio.run(main())


def test_who_is_killed_while_it_waits_never_runs(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            specs = notes(b, ["first", "second", "third"], tmp_path)
            held = gate(tmp_path, "first")
            await launched(b, specs[:1])
            await b.started(specs[0].id)
            await launched(b, specs[1:])
            assert (await b.executor.listing()).queued == {specs[1].id, specs[2].id}
            await b.executor.kill(specs[1].id)
            assert specs[1].id not in (await b.executor.listing()).all
            await opened(held)
            assert (await b.ended(specs[2].id)).code == 0
            assert order(tmp_path) == ["first", "third"]
            # Launched again under the same name it is an attempt like any other.
            assert (await b.run(specs[1])).code == 0
            assert order(tmp_path) == ["first", "third", "second"]

    asyncio.run(main())


def test_a_worker_that_dies_takes_nobody_along_who_waits(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            specs = notes(b, ["a", "dies", "b", "c"], tmp_path)
            held = gate(tmp_path, "a")
            await launched(b, specs)
            await opened(held)
            ends = [await b.ended(spec.id) for spec in specs]
            assert [end.code for end in ends] == [0, 7, 0, 0]
            assert order(tmp_path) == ["a", "dies", "b", "c"]
            pids = [(await b.log(spec)).split()[1] for spec in specs]
            assert pids[0] == pids[1] != pids[2] == pids[3]

    asyncio.run(main())


def test_a_parent_that_dies_loses_what_runs_and_nothing_that_waits(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            specs = notes(b, ["first", "second", "third"], tmp_path)
            gate(tmp_path, "first")
            await launched(b, specs[:1])
            await b.started(specs[0].id)
            await launched(b, specs[1:])
            (parent,) = (z for z in b.executor._zygotes._live.values() if z.keys)
            assert len(parent.keys) == 3
            os.kill(parent.hello.pid, signal.SIGKILL)
            assert (await b.ended(specs[0].id)).why.code == "WorkerLost"
            assert [(await b.ended(spec.id)).code for spec in specs[1:]] == [0, 0]
            assert order(tmp_path) == ["second", "third"]

    asyncio.run(main())


def test_nobody_overtakes_who_waits_for_more(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=Capacity(cpu=2, memory=1 << 40)) as b:
            specs = notes(b, ["first", "later"], tmp_path)
            wide = b.command(
                ["/bin/sh", "-c", f"echo wide >> {tmp_path}/order"], attempt_id("wide")
            )
            wide.template.container.resources.requests.add(name=1, value="2")
            held = gate(tmp_path, "first")
            await launched(b, [specs[0]])
            await b.started(specs[0].id)
            await launched(b, [wide, specs[1]])
            await opened(held)
            assert (await b.ended(specs[1].id)).code == 0
            assert order(tmp_path) == ["first", "wide", "later"]

    asyncio.run(main())


DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from local_attempts import Bench
from test_local_ahead import ONE, launched, notes

async def main():
    place = Path({place!r})
    b = Bench(place, capacity=ONE)
    await b.executor.start(b.news)
    specs = notes(b, ["n0", "n1", "n2", "n3"], place)
    await launched(b, specs[:1])
    await b.started(specs[0].id)
    await launched(b, specs[1:])
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_control_plane_that_dies_finds_them_again_and_each_runs_once(tmp_path):
    held = gate(tmp_path, "n0")
    here = Path(__file__).parent
    code = textwrap.dedent(DRIVER).format(
        tests=str(here.parent), here=str(here), place=str(tmp_path)
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as driver:
        assert driver.stdout.readline() == b"ready\n"
        driver.kill()

    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            ids = [attempt_id(f"n{at}") for at in range(4)]
            listing = await b.executor.listing()
            assert (listing.running, listing.queued) == ({ids[0]}, set(ids[1:]))
            await opened(held)
            assert [(await b.ended(one)).code for one in ids] == [0] * 4
            assert order(tmp_path) == ["n0", "n1", "n2", "n3"]

            async def gone():
                for one in ids:
                    await b.executor.reap(one)
                return not (await b.executor.listing()).all

            assert await seen(gone)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["FLYTE_JUPYTER_NO_FORK", "PYTHONOPTIMIZE"])
def test_who_must_not_be_forked_has_its_slot_before_it_begins(tmp_path, name):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            specs = notes(b, [f"n{at}" for at in range(4)], tmp_path)
            first, *rest = [replace(spec, env={**spec.env, name: "1"}) for spec in specs]
            wait = gate(tmp_path, "n0")
            await launched(b, [first])
            await b.started(first.id)
            await launched(b, rest)
            # Had any been sent, those before it would have begun by the time that it is gone.
            await b.executor.kill(rest[-1].id)
            assert (await b.executor.listing()).running == {first.id}
            await opened(wait)
            for spec in (first, *rest[:-1]):
                assert (await b.ended(spec.id)).code == 0
            said = [(await b.log(spec)).split()[1] for spec in (first, *rest[:-1])]
            assert len(set(said)) == len(said)

    asyncio.run(main())
