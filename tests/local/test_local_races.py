"""What happens at one moment, or while somebody stands still: between a control plane, its zygotes and what they run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from local_attempts import Bench, attempt_id, bench, children, seen
from test_local_ahead import ONE, gate, launched, notes, opened, order
from test_local_warmth import imported, library, warm_bench

from flyte_jupyter.engine.adapters.local.entries import LocalSettings
from flyte_jupyter.engine.adapters.local.resources import Capacity
from flyte_jupyter.engine.ports import AttemptSpec

ROOM = Capacity(cpu=4, memory=1 << 40)
WAIT = """
    import os

    def do_wait(inputs):
        place, me = os.environ["PLACE"], os.environ["FLYTE_INTERNAL_NODE_ID"]
        with open(f"{place}/ran", "a") as file:
            file.write(f"{me}\\n")
        open(f"{place}/gate-{me}").read()
"""


def waits(b: Bench, names: list[str], place: Path, **config: str) -> list[AttemptSpec]:
    """Attempts that wait at their gates."""
    made = [b.task(WAIT, "wait", attempt_id(name), **config) for name in names]
    for name in names:
        if not (place / f"gate-{name}").exists():
            gate(place, name)
    return [replace(one, template=made[0].template, env={"PLACE": str(place)}) for one in made]


def ran(place: Path) -> list[str]:
    path = place / "ran"
    return path.read_text().split() if path.exists() else []


async def left(b: Bench, spec: AttemptSpec) -> None:
    async def outputs():
        return b.outputs(spec) is not None

    await seen(outputs)


async def a_while() -> None:
    """Let the loop send what it has been given."""
    for _ in range(5):
        await asyncio.sleep(0)


def parent_of(b: Bench, spec: AttemptSpec) -> int:
    zygotes = b.executor._zygotes._live.values()
    (pid,) = (z.hello.pid for z in zygotes if b.executor._entries[spec.id].key in z.keys)
    return pid


def test_who_is_killed_in_the_moment_of_its_end_takes_nobody_along(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            specs = notes(b, ["first", "second", "third"], tmp_path)
            held = gate(tmp_path, "first")
            await launched(b, specs[:1])
            await b.started(specs[0].id)
            await launched(b, specs[1:])
            pid = parent_of(b, specs[0])
            os.kill(pid, signal.SIGSTOP)
            killing = asyncio.create_task(b.executor.kill(specs[0].id))
            await a_while()
            await opened(held)
            await left(b, specs[0])
            os.kill(pid, signal.SIGCONT)
            await killing
            assert [(await b.ended(spec.id)).code for spec in specs[1:]] == [0, 0]
            assert order(tmp_path) == ["first", "second", "third"]

    asyncio.run(main())


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_a_zygote_that_was_busy_when_its_control_plane_came_back_keeps_what_it_runs(
    tmp_path, reuse
):
    async def main():
        first = Bench(tmp_path, capacity=ROOM)
        await first.executor.start(first.news)
        short, long = waits(first, ["short", "long"], tmp_path, reuse=reuse)
        await launched(first, [short, long])
        await first.started(short.id)
        await first.started(long.id)
        pid = parent_of(first, short)
        await first.executor.stop()
        os.kill(pid, signal.SIGSTOP)
        made = Bench(tmp_path, capacity=ROOM)
        starting = asyncio.create_task(made.executor.start(made.news))
        await a_while()
        await opened(tmp_path / "gate-short")
        await left(made, short)
        os.kill(pid, signal.SIGCONT)
        await starting
        assert (await made.ended(short.id)).code == 0
        assert long.id in (await made.executor.listing()).running
        await opened(tmp_path / "gate-long")
        assert (await made.ended(long.id)).code == 0
        pids = made.zygote_pids()
        await made.executor.stop()
        for one in pids:
            os.kill(one, signal.SIGTERM)

    asyncio.run(main())


def test_ends_are_heard_while_other_zygotes_are_still_being_joined(tmp_path):
    async def main():
        first = Bench(tmp_path, capacity=ROOM)
        await first.executor.start(first.news)
        specs = [
            *waits(first, ["a"], tmp_path, environment="one"),
            *waits(first, ["b"], tmp_path, environment="two"),
        ]
        await launched(first, specs)
        for spec in specs:
            await first.started(spec.id)
        pids = [parent_of(first, spec) for spec in specs]
        await first.executor.stop()
        for stopped, other in ((0, 1), (1, 0)):
            # Whichever of the two is joined first: the one that answers has an end to tell.
            os.kill(pids[stopped], signal.SIGSTOP)
            made = Bench(tmp_path, capacity=ROOM)
            starting = asyncio.create_task(made.executor.start(made.news))
            await a_while()
            if made.outputs(specs[other]) is None:
                await opened(tmp_path / f"gate-{specs[other].id.path[0]}")
            await left(made, specs[other])
            os.kill(pids[stopped], signal.SIGCONT)
            await starting
            assert (await made.ended(specs[other].id)).code == 0
            if stopped == 0:
                await made.executor.stop()
        assert (await made.ended(specs[1].id)).code == 0
        await made.executor.stop()
        for pid in pids:
            os.kill(pid, signal.SIGTERM)

    asyncio.run(main())


def test_a_parent_that_dies_while_a_warm_one_is_tried_costs_nobody_an_attempt(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            source = """
                import csv, html.parser, sqlite3, xml.dom

                def do_nothing(inputs):
                    pass
            """
            spec = b.task(source, "nothing", preload="xml.sax")
            await b.executor.launch(spec)
            zygotes = b.executor._zygotes

            async def asked():
                return zygotes._asked

            await seen(asked)
            ((parent, _),) = zygotes._asked.values()
            os.kill(parent.hello.pid, signal.SIGKILL)
            assert (await b.ended(spec.id)).code == 0

    asyncio.run(main())


def test_who_is_killed_while_libraries_are_imported_waits_for_none_and_leaves_them_to_others(
    tmp_path,
):
    wall = gate(tmp_path, "import")
    library(tmp_path, "slow", f"open({str(wall)!r}).read()\n")
    source = "import slow\ndef do_use(inputs):\n    pass\n"

    async def main():
        async with warm_bench(tmp_path, settings=LocalSettings(kill_patience=0.0)) as b:
            spec = b.task(source, "use", attempt_id("killed"))
            await b.executor.launch(spec)

            async def tried():
                return imported(tmp_path, "slow")

            await seen(tried)
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all
            again = [b.task(source, "use", attempt_id(name)) for name in ("killed", "other")]
            for one in again:
                await b.executor.launch(one)
            await opened(wall)
            assert [(await b.ended(one.id)).code for one in again] == [0, 0]
            assert len(b.zygote_pids()) == 2

    asyncio.run(main())


DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from local_attempts import Bench
from test_local_races import ONE, launched, waits

async def main():
    place = Path({place!r})
    b = Bench(place, capacity=ONE)
    await b.executor.start(b.news)
    specs = waits(b, ["a", "b"], place, reuse={reuse!r})
    await launched(b, specs[:1])
    await b.started(specs[0].id)
    await launched(b, specs[1:])
    print("ready", flush=True)
    await b.ended(specs[0].id)
    print("heard", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_nobody_waits_long_for_the_libraries_of_others(tmp_path):
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    library(tmp_path, "slow", f"open({str(fifo)!r}).read()\n")
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            slow = b.task("def do_use(inputs):\n    import slow\n", "use", attempt_id("slow"))
            await b.executor.launch(slow)

            async def tried():
                return imported(tmp_path, "slow")

            await seen(tried)
            source = "def do_use(inputs):\n    import calm\n"
            for at in range(2):
                assert (await b.run(b.task(source, "use", attempt_id(f"calm{at}")))).code == 0
            assert imported(tmp_path, "calm") == 2
            assert not [news for news in b.said if news.id == slow.id]
            await asyncio.to_thread(fifo.write_text, "go")
            assert (await b.ended(slow.id)).code == 0
            for at in range(2, 5):
                assert (await b.run(b.task(source, "use", attempt_id(f"calm{at}")))).code == 0
            assert (imported(tmp_path, "slow"), imported(tmp_path, "calm")) == (1, 3)

    asyncio.run(main())


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_a_control_plane_that_stood_still_while_another_took_over_starts_nothing_any_more(
    tmp_path, reuse
):
    here = Path(__file__).parent
    code = textwrap.dedent(DRIVER).format(
        tests=str(here.parent), here=str(here), place=str(tmp_path), reuse=reuse
    )

    async def main(driver):
        async with bench(tmp_path, capacity=ONE) as b:
            specs = waits(b, ["a", "b", "c"], tmp_path, reuse=reuse)
            for name, spec in zip("ab", specs, strict=False):
                await opened(tmp_path / f"gate-{name}")
                assert (await b.ended(spec.id)).code == 0
                await b.executor.reap(spec.id)
            driver.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(driver.stdout.readline) == b"heard\n"
            await b.executor.launch(specs[2])
            await opened(tmp_path / "gate-c")
            assert (await b.ended(specs[2].id)).code == 0
            assert ran(tmp_path) == ["a", "b", "c"]

    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as driver:
        try:
            assert driver.stdout.readline() == b"ready\n"
            driver.send_signal(signal.SIGSTOP)
            asyncio.run(main(driver))
        finally:
            driver.kill()


def test_where_there_is_less_room_than_before_it_is_given_back(tmp_path):
    async def main():
        first = Bench(tmp_path, capacity=ROOM)
        await first.executor.start(first.news)
        names = [f"n{at}" for at in range(6)]
        specs = waits(first, names, tmp_path, reuse="true")
        await launched(first, specs[:3])
        for spec in specs[:3]:
            await first.started(spec.id)
        await first.executor.stop()
        async with bench(tmp_path, capacity=ONE) as b:
            again = [replace(spec, template=specs[0].template) for spec in specs]
            await launched(b, again[3:])
            for at, spec in enumerate(specs):
                running = (await b.executor.listing()).running
                assert len(running) == max(1, 3 - at), "nobody begins before there is room"
                await opened(tmp_path / f"gate-{names[at]}")
                assert (await b.ended(spec.id)).code == 0
                if at + 1 < len(specs):
                    await b.started(specs[max(3, at + 1)].id) if at >= 2 else None
            assert ran(tmp_path)[3:] == names[3:]

    asyncio.run(main())


def test_a_process_that_was_stopped_before_it_was_needed_is_ended_like_any_other(tmp_path):
    settings = LocalSettings(stopped_seconds=0.2)

    async def main():
        async with bench(tmp_path, settings=settings) as b:
            assert (await b.run(b.command(["/bin/true"], attempt_id("first")))).code == 0
            (pid,) = b.zygote_pids()

            async def spares():
                found = children(pid)
                return found if len(found) == 2 else None

            found = await seen(spares)
            for spare in found:
                os.kill(spare, signal.SIGSTOP)
            ends = [await b.run(b.command(["/bin/true"], attempt_id(f"n{at}"))) for at in range(2)]
            assert [end.why.code for end in ends] == ["WorkerStopped"] * 2
            assert (await b.run(b.command(["/bin/true"], attempt_id("last")))).code == 0

    asyncio.run(main())


def test_an_environment_larger_than_a_sockets_room_reaches_a_worker(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            source = """
                import os

                def do_measure(inputs):
                    print(sum(len(v) for n, v in os.environ.items() if n.startswith("PART")))
            """
            for at in range(2):
                spec = b.task(source, "measure", attempt_id(f"n{at}"), reuse="true")
                parts = {f"PART{n}": "x" * 100_000 for n in range(8)}
                spec = replace(spec, env=parts)
                assert (await b.run(spec)).code == 0
                assert await b.log(spec) == "800000\n"

    asyncio.run(main())


def test_a_variable_that_can_be_none_fails_its_attempt_and_nobody_elses(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            good, bad = notes(b, ["good", "bad"], tmp_path)
            bad = replace(bad, env={**bad.env, "A=B": "1"})
            assert (await b.run(bad)).code == 126
            assert "environment" in await b.log(bad)
            assert (await b.run(good)).code == 0

    asyncio.run(main())
