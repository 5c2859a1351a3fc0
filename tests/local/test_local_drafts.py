"""What is made ready for a launch that may never come: it waits with its zygote, and begins when it is launched, once."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from dataclasses import replace

import local_attempts
import pytest
from local_attempts import Bench, attempt_id, bench

from flyte_jupyter.engine.adapters.local import link
from flyte_jupyter.engine.adapters.local.folders import Folders
from flyte_jupyter.engine.adapters.local.link import Link
from flyte_jupyter.engine.adapters.local.resources import Capacity
from flyte_jupyter.engine.ports import Accepted, AttemptSpec
from flyte_jupyter.idl import core

TASKS = """
    import os

    def do_note(inputs):
        place = os.environ["PLACE"]
        node = os.environ["FLYTE_INTERNAL_NODE_ID"]
        with open(f"{place}/order", "a") as file:
            file.write(f"{node}{os.environ.get('MINE', '')}\\n")
        if os.path.exists(f"{place}/gate-{node}"):
            open(f"{place}/gate-{node}").read()
        print(node, os.getcwd())
"""
ONE = Capacity(cpu=1, memory=1 << 40)


@pytest.fixture(params=["reused worker", "fork"])
def place(request, tmp_path):
    """A folder for notes, and whether a worker serves several attempts there."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder, "true" if request.param == "reused worker" else "false"


@pytest.fixture
def sent(monkeypatch):
    """The names of all messages to zygotes, in turn; of an attempt that is held it says so."""
    said: list[str] = []
    put = Link._put

    def noting(self, message):
        held = " held" if message.get("held") else ""
        said.append(message["op"] + held)
        put(self, message)

    monkeypatch.setattr(Link, "_put", noting)
    return said


def notes(b: Bench, names: list[str], place) -> list[AttemptSpec]:
    folder, reuse = place
    return local_attempts.notes(b, TASKS, names, folder, reuse)


def order(place) -> list[str]:
    return local_attempts.order(place[0])


def test_who_is_prepared_begins_when_it_is_launched_and_not_before(tmp_path, place, sent):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, second, third = notes(b, ["first", "second", "third"], place)
            assert not b.executor.prepare(first), "no zygote knows its like yet"
            assert (await b.run(first)).code == 0
            assert b.executor.prepare(second)
            assert second.id not in (await b.executor.listing()).all
            assert (await b.run(third)).code == 0
            assert order(place) == ["first", "third"]
            del sent[:]
            assert (await b.run(second)).code == 0
            assert order(place) == ["first", "third", "second"]
            assert "begin" in sent
            assert not any(said.startswith("launch") for said in sent), "it was there"
            assert b.outputs(second) is not None

    asyncio.run(main())


def test_what_was_prepared_is_launched_as_it_is_asked_for(tmp_path, place):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, second = notes(b, ["first", "second"], place)
            assert (await b.run(first)).code == 0
            assert b.executor.prepare(second)
            other = replace(second, env={**second.env, "MINE": "-other"})
            assert (await b.run(other)).code == 0
            assert order(place) == ["first", "second-other"]

    asyncio.run(main())


def test_who_is_killed_before_its_launch_never_runs_and_may_be_launched_anew(tmp_path, place):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, second, third = notes(b, ["first", "second", "third"], place)
            assert (await b.run(first)).code == 0
            assert b.executor.prepare(second)
            await b.executor.kill(second.id)
            assert (await b.run(third)).code == 0
            assert (await b.run(second)).code == 0
            assert order(place) == ["first", "third", "second"]

    asyncio.run(main())


def test_who_comes_late_waits_for_its_slot_like_anybody_else(tmp_path, place):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, quick, late, last = notes(b, ["first", "quick", "late", "last"], place)
            assert (await b.run(first)).code == 0
            assert b.executor.prepare(late)
            gate = place[0] / "gate-quick"
            os.mkfifo(gate)
            assert await b.executor.launch(quick) == Accepted()
            await b.started(quick.id)
            assert not b.executor.prepare(last), "there is no slot for it"
            for spec in (late, last):
                assert await b.executor.launch(spec) == Accepted()
            assert (await b.executor.listing()).queued == {late.id, last.id}
            await asyncio.to_thread(gate.write_text, "go\n")
            assert [(await b.ended(spec.id)).code for spec in (quick, late, last)] == [0, 0, 0]
            assert order(place) == ["first", "quick", "late", "last"]

    asyncio.run(main())


def test_a_zygote_that_dies_takes_nothing_along_that_was_only_prepared(tmp_path, place):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, second = notes(b, ["first", "second"], place)
            assert (await b.run(first)).code == 0
            assert b.executor.prepare(second)
            zygotes = list(b.executor._zygotes._live.values())
            for zygote in zygotes:
                os.kill(zygote.hello.pid, signal.SIGKILL)
            while any(b.executor._zygotes.lives(z) for z in zygotes):  # noqa: ASYNC110 - it has no event, and nothing is timed
                await asyncio.sleep(0)
            assert (await b.run(second)).code == 0
            assert order(place) == ["first", "second"]

    asyncio.run(main())


def test_another_control_plane_knows_nothing_of_what_was_only_prepared(tmp_path, place):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, second, third = notes(b, ["first", "second", "third"], place)
            assert (await b.run(first)).code == 0
            assert b.executor.prepare(second)
        async with bench(tmp_path, capacity=ONE) as b:
            assert not (await b.executor.listing()).queued
            assert (await b.run(third)).code == 0
            assert (await b.run(second)).code == 0
            assert order(place) == ["first", "third", "second"]

    asyncio.run(main())


def test_directories_that_were_lent_come_back(tmp_path, place):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, *others = notes(b, ["first", *(f"n{at}" for at in range(40))], place)
            assert (await b.run(first)).code == 0
            await b.executor.reap(first.id)
            for spec in others:
                assert b.executor.prepare(spec)
            # Only those that were prepared last are kept; each has a directory.
            assert len(list((tmp_path / "local/attempts").iterdir())) <= 17
            for spec in others:
                await b.executor.kill(spec.id)
            assert (await b.run(others[0])).code == 0
            assert order(place) == ["first", "n0"]

    asyncio.run(main())


def test_who_comes_late_lets_those_before_it_go_first(tmp_path, place):
    async def main():
        async with bench(tmp_path, capacity=Capacity(cpu=2, memory=1 << 40)) as b:
            first, quick, late, large = notes(b, ["first", "quick", "late", "large"], place)
            template = core.TaskTemplate()
            template.CopyFrom(large.template)
            template.container.resources.requests.add(
                name=core.Resources.ResourceName.CPU, value="2"
            )
            large = replace(large, template=template)
            gate = place[0] / "gate-quick"
            os.mkfifo(gate)
            assert (await b.run(first)).code == 0
            assert await b.executor.launch(quick) == Accepted()
            await b.started(quick.id)
            assert b.executor.prepare(late)
            for spec in (large, late):
                assert await b.executor.launch(spec) == Accepted()
            assert (await b.executor.listing()).queued == {large.id, late.id}
            await asyncio.to_thread(gate.write_text, "go\n")
            assert [(await b.ended(spec.id)).code for spec in (quick, large, late)] == [0, 0, 0]
            assert order(place) == ["first", "quick", "large", "late"]

    asyncio.run(main())


def test_a_disk_that_is_full_when_it_is_launched_leaves_nothing_behind(
    tmp_path, place, monkeypatch
):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, second, third = notes(b, ["first", "second", "third"], place)
            assert (await b.run(first)).code == 0
            await b.executor.reap(first.id)
            assert b.executor.prepare(second)
            with monkeypatch.context() as full:
                full.setattr(Folders, "keep", no_room)
                with pytest.raises(OSError, match="No space"):
                    await b.executor.launch(second)
            assert not any(zygote.keys for zygote in b.executor._zygotes._live.values())
            again = replace(second)
            assert (await b.run(again)).code == 0
            assert (await b.run(third)).code == 0
            assert order(place) == ["first", "second", "third"]
            assert len(list((tmp_path / "local/attempts").iterdir())) <= 2

    asyncio.run(main())


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_is_too_long_for_its_zygote_is_not_prepared_and_keeps_no_directory(
    tmp_path, place, monkeypatch
):
    async def main():
        async with bench(tmp_path, capacity=ONE) as b:
            first, second = notes(b, ["first", "second"], place)
            assert (await b.run(first)).code == 0
            await b.executor.reap(first.id)
            for run in ("r1", "another"):  # which brings new variables
                long = replace(second, id=attempt_id("second", run=run))
                with monkeypatch.context() as short:
                    short.setattr(link, "_MOST_SENT", 64)
                    assert not b.executor.prepare(long)
            assert (await b.run(second)).code == 0
            assert len(list((tmp_path / "local/attempts").iterdir())) == 1

    asyncio.run(main())
