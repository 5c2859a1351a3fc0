"""The system refuses: one attempt fails or waits, by name, and the parent of all serves on."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from local_attempts import attempt_id, bench, children, seen

from flyte_jupyter.engine.adapters.local import homes, starting
from flyte_jupyter.engine.adapters.local.entries import LocalSettings
from flyte_jupyter.engine.adapters.local.resources import Capacity
from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.idl import core

STEPS = """
import os, threading

def do_fine(inputs):
    print("fine")

def do_wait(inputs):
    print("pid", os.getpid(), flush=True)
    threading.Event().wait()

def do_late(inputs):
    print("pid", os.getpid(), flush=True)
    open("{fifo}").read()

def do_hold(inputs):
    return b"x" * (1 << 30)
"""


async def pid_of(b, spec) -> int:
    async def look():
        log = await b.log(spec)
        return int(log.split()[1]) if log.endswith("\n") else 0

    return await seen(look)


async def fine(b, name: str) -> None:
    spec = b.task(STEPS, "fine", attempt_id(name))
    assert (await b.run(spec)).code == 0
    assert b.outputs(spec) is not None


def test_a_stopped_attempt_is_ended_and_its_late_result_never_comes(tmp_path):
    settings = LocalSettings(stopped_seconds=0.3)
    fifo = tmp_path / "go"

    async def main():
        async with bench(tmp_path, settings=settings) as b:
            os.mkfifo(fifo)
            spec = b.task(STEPS.replace("{fifo}", str(fifo)), "late")
            await b.executor.launch(spec)
            pid = await pid_of(b, spec)
            os.kill(pid, signal.SIGSTOP)
            how = await b.ended(spec.id)
            assert (how.why.code, how.why.blame, how.why.retryable) == (
                "WorkerStopped",
                Blame.SYSTEM,
                True,
            )
            assert b.outputs(spec) is None
            await b.executor.reap(spec.id)
            await fine(b, "after")

    asyncio.run(main())


def test_a_stopped_attempt_that_goes_on_in_time_is_left_alone(tmp_path):
    fifo = tmp_path / "go"

    async def main():
        async with bench(tmp_path) as b:
            os.mkfifo(fifo)
            spec = b.task(STEPS.replace("{fifo}", str(fifo)), "late")
            await b.executor.launch(spec)
            pid = await pid_of(b, spec)
            os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
            await asyncio.to_thread(fifo.write_text, "go")
            assert (await b.ended(spec.id)).code == 0
            assert b.outputs(spec) is not None

    asyncio.run(main())


def test_a_parent_that_is_stopped_is_replaced_and_what_it_ran_is_lost_by_name(tmp_path):
    settings = LocalSettings(silence_seconds=0.5)

    async def main():
        async with bench(tmp_path, settings=settings) as b:
            spec = b.task(STEPS, "wait")
            await b.executor.launch(spec)
            await pid_of(b, spec)
            for pid in b.zygote_pids():
                os.kill(pid, signal.SIGSTOP)
            how = await b.ended(spec.id)
            assert (how.why.code, how.why.blame, how.why.retryable) == (
                "WorkerLost",
                Blame.SYSTEM,
                True,
            )
            await b.executor.reap(spec.id)
            await fine(b, "after")

    asyncio.run(main())


def limit(pid: int, kind: int, soft: int) -> tuple[int, int]:
    """Set a soft limit of another process; what it was."""
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    return before


def refused(b):
    return {n.id: n.how for n in b.said if n.how and n.how.why}


def test_with_64_files_only_what_is_too_much_fails(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=Capacity(cpu=100, memory=64 * 2**30)) as b:
            await fine(b, "first")
            for pid in b.zygote_pids():
                limit(pid, resource.RLIMIT_NOFILE, 64)
            many = [b.task(STEPS, "wait", attempt_id(f"m{at}")) for at in range(80)]
            for spec in many:
                await b.executor.launch(spec)
            for spec in many:
                await b.started(spec.id)
            some = refused(b)
            assert 0 < len(some) < len(many)
            for how in some.values():
                assert (how.why.code, how.why.blame, how.why.retryable) == (
                    "NoProcess",
                    Blame.SYSTEM,
                    True,
                )
            for spec in many:
                await b.executor.kill(spec.id)
            await fine(b, "after")

    asyncio.run(main())


def test_without_address_space_a_task_fails_by_name_and_nobody_else(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            await fine(b, "first")
            for pid in b.zygote_pids():
                limit(pid, resource.RLIMIT_AS, virtual_bytes(pid) + (64 << 20))
                for child in children(pid):  # forked before anybody needs them
                    limit(child, resource.RLIMIT_AS, virtual_bytes(pid) + (64 << 20))
            spec = b.task(STEPS, "hold", attempt_id("n1"))
            assert (await b.run(spec)).code == 0
            assert b.error(spec).code == "MemoryError"
            await fine(b, "after")

    asyncio.run(main())


def virtual_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


@pytest.fixture
def few_processes():
    """A group of the kernel's in which no more processes can be made than are in it, if this user may have one."""
    for root in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        group = root / f"fj-{os.getpid()}"
        try:
            group.mkdir()
            (group / "pids.max").write_text("1")
        except OSError:
            if group.exists():
                group.rmdir()
        else:
            yield group
            leave(group)
            group.rmdir()
            return
    pytest.skip("no groups of processes can be made here")


def leave(group: Path) -> None:
    for pid in (group / "cgroup.procs").read_text().split():
        (group.parent / "cgroup.procs").write_text(pid)


def test_when_no_process_can_be_made_the_attempt_may_be_tried_again(tmp_path, few_processes):
    async def main():
        async with bench(tmp_path) as b:
            await fine(b, "first")
            pids = b.zygote_pids()
            for pid in pids:
                (few_processes / "cgroup.procs").write_text(str(pid))
            many = [await b.run(b.task(STEPS, "fine", attempt_id(f"many-{at}"))) for at in range(3)]
            hows = [
                many[-1],  # those before may have found processes that were made before
                await b.run(b.task(STEPS, "fine", attempt_id("n2"), reuse="true")),
                await b.run(b.command(["true"], attempt_id("n3"))),
            ]
            assert all(how.code == 0 or how.why.code == "NoProcess" for how in many)
            for how in hows:
                assert (how.why.code, how.why.blame, how.why.retryable) == (
                    "NoProcess",
                    Blame.SYSTEM,
                    True,
                )
            leave(few_processes)
            await fine(b, "after")
            assert b.zygote_pids() == pids

    asyncio.run(main())


@pytest.mark.parametrize("where", ["describe", "note"])
def test_who_needs_a_parent_waits_for_room_on_the_disk(tmp_path, monkeypatch, where):
    real, full, asked = getattr(homes, where), [True], []

    def refuses(*given):
        asked.append(given)
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*given)

    monkeypatch.setattr(starting, "_PAUSE", 0.01)
    monkeypatch.setattr(homes, where, refuses)

    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(STEPS, "fine")
            killed = b.task(STEPS, "fine", attempt_id("killed"))
            await b.executor.launch(spec)
            await b.executor.launch(killed)

            async def again():
                return len(asked) > 2

            await seen(again)
            await b.executor.kill(killed.id)
            assert (await b.executor.listing()).all == {spec.id}
            full.clear()
            assert (await b.ended(spec.id)).code == 0
            assert len(list((tmp_path / "local" / "zygotes").iterdir())) == 1

    asyncio.run(main())


def test_a_zygote_that_finds_no_room_to_start_in_is_tried_again(tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.touch()
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ -e {full} ] && exit 1\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    real, tried = Path.write_bytes, []

    def refuses(path, data):
        if path.name == "room" and full.exists():
            tried.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, data)

    monkeypatch.setattr(starting, "_PAUSE", 0.01)
    monkeypatch.setattr(Path, "write_bytes", refuses)

    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(STEPS, "fine", interpreter=str(python))
            await b.executor.launch(spec)

            async def again():
                return len(tried) > 1

            await seen(again)
            full.unlink()
            assert (await b.ended(spec.id)).code == 0

    asyncio.run(main())


SIZES = {"of the attempt": (0, 66), "of the task": (66, 0), "together": (31, 31)}


@pytest.mark.parametrize(("task", "own"), SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("reuse", ["true", "false"])
def test_variables_that_are_too_long_are_refused_by_name_and_cost_nobody_else(
    tmp_path, task, own, reuse
):
    async def main():
        async with bench(tmp_path) as b:
            bystander = b.task(STEPS, "wait", attempt_id("bystander"), reuse=reuse)
            await b.executor.launch(bystander)
            await pid_of(b, bystander)
            spec = b.task(STEPS, "fine", reuse=reuse)
            large = core.KeyValuePair(key="OF_TASK", value="x" * (task << 20))
            spec.template.container.env.append(large)
            spec = replace(spec, env={"OWN": "x" * (own << 20)})
            how = await b.run(spec)
            if task + own < 64:
                assert how.code == 0
            else:
                assert (how.why.code, how.why.blame) == ("LaunchTooLarge", Blame.USER)
                assert not how.why.retryable
            assert bystander.id in (await b.executor.listing()).running
            await fine(b, "after")

    asyncio.run(main())
