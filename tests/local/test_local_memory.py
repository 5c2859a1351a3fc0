"""Memory that attempts really hold: who outgrows a limit is killed and named, whoever only seems large is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from local_attempts import alive, attempt_id, bench, seen

from flyte_jupyter.engine.adapters.local.entries import LocalSettings
from flyte_jupyter.engine.core.state import Blame
from flyte_jupyter.idl import core

MIB = 2**20

GREEDY = """
import mmap, os, time

def hold(mebibytes):
    return b"\\x01" * (mebibytes << 20)

def do_modest(inputs):
    held = hold(8)

def do_grow(inputs):
    held = []
    while True:
        held.append(hold(8))

def do_reserve(inputs):
    space = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
    held = hold(8)
    time.sleep(0.3)

def do_family(inputs):
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            held = hold(60)
            print("child", os.getpid(), flush=True)
            time.sleep(600)
    time.sleep(600)

def do_shared(inputs):
    held = hold(200)
    for _ in range(4):
        if os.fork() == 0:
            print("child", os.getpid(), flush=True)
            time.sleep(600)
    time.sleep(600)
"""


def limited(spec, limit="", request=""):
    """The same attempt with a memory limit, or a request."""
    entry, names = core.Resources.ResourceEntry, core.Resources
    resources = spec.template.container.resources
    if limit:
        resources.limits.append(entry(name=names.MEMORY, value=limit))
    if request:
        resources.requests.append(entry(name=names.MEMORY, value=request))
    return spec


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_who_outgrows_its_limit_is_killed_by_name(tmp_path, reuse):
    async def main():
        async with bench(tmp_path) as b:
            how = await b.run(limited(b.task(GREEDY, "grow", reuse=reuse), "150Mi"))
            assert how.why.code == "OOMKilled"
            assert how.why.blame is Blame.USER
            assert how.why.retryable
            assert "150 MiB" in how.why.message
            assert "steps.task" in how.why.message
            assert how.signal == signal.SIGKILL
            after = limited(b.task(GREEDY, "modest", attempt_id("after"), reuse=reuse), "150Mi")
            assert (await b.run(after)).code == 0
            assert b.outputs(after) is not None

    asyncio.run(main())


def test_a_plain_command_has_its_limit_too(tmp_path):
    words = [sys.executable, "-c", "import time; held = b'x' * 300_000_000; time.sleep(600)"]

    async def main():
        async with bench(tmp_path) as b:
            assert (await b.run(limited(b.command(words), "100Mi"))).why.code == "OOMKilled"

    asyncio.run(main())


def test_address_space_is_not_memory(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = limited(b.task(GREEDY, "reserve"), "150Mi")
            assert (await b.run(spec)).code == 0
            assert b.outputs(spec) is not None

    asyncio.run(main())


@pytest.mark.parametrize("name", ["family", "shared"])
def test_all_processes_of_an_attempt_count_and_end(tmp_path, name):
    """None of them is too large alone: what they share is theirs all the same."""

    async def main():
        async with bench(tmp_path) as b:
            spec = limited(b.task(GREEDY, name), "150Mi")
            assert (await b.run(spec)).why.code == "OOMKilled"
            words = (await b.log(spec)).split()
            pids = [int(word) for word in words if word.isdecimal()]

            async def gone():
                return not any(alive(pid) for pid in pids)

            await seen(gone)

    asyncio.run(main())


def test_a_request_is_no_limit_and_a_default_is(tmp_path):
    source = GREEDY.replace("8)", "200)")

    async def main():
        async with bench(tmp_path) as b:
            spec = limited(b.task(source, "modest"), request="100Mi")
            assert (await b.run(spec)).code == 0
        async with bench(tmp_path / "other", settings=LocalSettings(memory_limit=150 * MIB)) as b:
            assert (await b.run(b.task(GREEDY, "grow"))).why.code == "OOMKilled"

    asyncio.run(main())


def test_a_limit_holds_while_no_control_plane_is_there(tmp_path):
    source = GREEDY.replace("    held = []\n", "    held = []\n    open('{fifo}').read()\n")

    async def main():
        async with bench(tmp_path) as b:
            fifo = tmp_path / "go"
            os.mkfifo(fifo)
            spec = limited(b.task(source.replace("{fifo}", str(fifo)), "grow"), "150Mi")
            await b.executor.launch(spec)
            await b.started(spec.id)
            await b.executor.stop()
            await asyncio.to_thread(fifo.write_text, "go")
            records = tmp_path / "local" / "zygotes"

            async def recorded():
                return any("outgrown" in text(p) for p in records.glob("*/records/journal"))

            await seen(recorded)
            b.executor = b.new_executor()
            await b.executor.start(b.news)
            assert (await b.ended(spec.id)).why.code == "OOMKilled"

    asyncio.run(main())


def text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def memory_group(name: str) -> Path | None:
    """A memory group of the kernel's with a hard limit, if this user may make one."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = root / name
        try:
            group.mkdir()
            (group / limit).write_text(str(200 * MIB))
        except OSError:
            if group.exists():
                group.rmdir()
        else:
            return group
    return None


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def group():
    made = memory_group(f"fj-{os.getpid()}")
    if made is None:
        pytest.skip("no memory groups can be made here")
    yield made
    made.rmdir()


def test_all_whom_the_system_kills_at_once_for_want_of_memory_are_named(tmp_path, group):
    """Their parent hears of their ends in one go. (Of a variable of ours no library knows, so that they have one parent.)"""
    fifos = [tmp_path / f"go{at}" for at in range(3)]
    for fifo in fifos:
        os.mkfifo(fifo)
    source = GREEDY.replace(
        "    held = []\n", "    held = []\n    open(os.environ['FLYTE_GO']).read()\n"
    )
    source = "import os\nprint(os.getpid(), flush=True)\n" + source

    async def main():
        async with bench(tmp_path) as b:
            made = [b.task(source, "grow", attempt_id(f"n{at}")) for at in range(3)]
            specs = [
                replace(s, env={"FLYTE_GO": str(go)}) for s, go in zip(made, fifos, strict=True)
            ]

            async def pid(spec) -> int:
                log = await b.log(spec)
                return int(log) if log.endswith("\n") else 0

            pids = []
            for spec in specs:
                await b.executor.launch(spec)
                pids.append(await seen(partial(pid, spec)))
            *starving, bystander = pids
            (parent,) = {parent_of(each) for each in pids}
            os.kill(parent, signal.SIGSTOP)
            for one, fifo in zip(starving, fifos, strict=False):
                (group / "cgroup.procs").write_text(str(one))
                await asyncio.to_thread(fifo.write_text, "go")

            async def killed() -> bool:
                return not any(map(alive, starving))

            await seen(killed)
            os.kill(parent, signal.SIGCONT)
            for spec in specs[:2]:
                assert (await b.ended(spec.id)).why.code == "OOMKilled"
            os.kill(bystander, signal.SIGKILL)
            how = await b.ended(specs[2].id)
            assert (how.signal, how.why) == (signal.SIGKILL, None)

    asyncio.run(main())


def test_a_kill_by_the_system_for_want_of_memory_is_named(tmp_path, group):
    source = GREEDY.replace("    held = []\n", "    held = []\n    open('{fifo}').read()\n")

    async def main():
        async with bench(tmp_path) as b:
            fifo = tmp_path / "go"
            os.mkfifo(fifo)
            spec = b.task(
                "import os\nprint(os.getpid(), flush=True)\n" + source.replace("{fifo}", str(fifo)),
                "grow",
            )
            await b.executor.launch(spec)

            async def pid():
                log = await b.log(spec)
                return log.strip() if log.endswith("\n") else ""

            (group / "cgroup.procs").write_text(await seen(pid))
            await asyncio.to_thread(fifo.write_text, "go")
            how = await b.ended(spec.id)
            assert how.why.code == "OOMKilled"
            assert "out of memory" in how.why.message

    asyncio.run(main())
