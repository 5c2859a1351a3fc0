"""User code at its worst: every attempt ends by name, nothing of it is left, and the next one works."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from local_attempts import alive, attempt_id, bench, seen
from processes import eventually

from flyte_jupyter.engine.adapters.local.entries import LocalSettings
from flyte_jupyter.engine.adapters.local.executor import KillPending
from flyte_jupyter.engine.adapters.local.folders import Folders
from flyte_jupyter.engine.core.state import Blame

FAULTS = """
import os, signal, subprocess, sys, time
from pathlib import Path

def do_fine(inputs):
    print("fine")

def do_vanish(inputs):
    os._exit(0)

def do_vanish_badly(inputs):
    os._exit(3)

def do_leave(inputs):
    sys.exit(4)

def do_spin(inputs):
    print("spinning", flush=True)
    while True:
        pass

def do_die(inputs):
    os.kill(os.getpid(), signal.SIGKILL)

def do_orphan(inputs):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)

def do_bomb(inputs):
    for _ in range(50):
        if os.fork() == 0:
            os.write(1, b"child %d\\n" % os.getpid())
            time.sleep(600)
            os._exit(0)
    time.sleep(600)

def do_mute(inputs):
    os.close(1)
    try:
        print("nobody hears this")
    except OSError:
        pass

def do_flood(inputs):
    block = b"x" * (1 << 20)
    for _ in range(50):
        os.write(1, block)

def do_swallow(inputs):
    try:
        sys.exit(5)
    except BaseException:
        pass
    return "swallowed"

def do_daemon(inputs):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        print("daemon", os.getpid(), flush=True)
        time.sleep(600)
    os.wait()

def do_linger(inputs):
    child = subprocess.Popen(["sleep", "600"])
    print("child", child.pid, flush=True)

def do_babble(inputs):
    os.write(3, b"\\x7f\\xff\\xff\\xff hello")
    time.sleep(600)

def do_deep(inputs):
    return do_deep(inputs)
"""


def children(log: str, word: str) -> list[int]:
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith(f"{word} ")]


async def log_with(b, spec, word: str, times: int = 1) -> str:
    async def look():
        text = await b.log(spec)
        return text if text.count(word) >= times else ""

    return await seen(look)


async def fine_after(b, reuse: str) -> None:
    spec = b.task(FAULTS, "fine", attempt_id("after"), reuse=reuse)
    assert (await b.run(spec)).code == 0
    assert b.outputs(spec) is not None
    assert await b.log(spec) == "fine\n"


def open_files(pid: int) -> list[str]:
    return [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]


def network_sockets() -> set[str]:
    tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6", "udp", "udp6")]
    return {f"socket:[{line.split()[9]}]" for t in tables for line in t.splitlines()[1:]}


def private(folder: Path) -> bool:
    return all(f.stat().st_mode & 0o077 == 0 for f in (folder, *folder.iterdir()))


both = pytest.mark.parametrize("reuse", ["true", "false"])


@both
@pytest.mark.parametrize(
    ("name", "code", "number"),
    [("vanish", 0, None), ("vanish_badly", 3, None), ("die", None, signal.SIGKILL)],
)
def test_a_task_that_ends_its_process(tmp_path, reuse, name, code, number):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(FAULTS, name, reuse=reuse)
            how = await b.run(spec)
            assert (how.code, how.signal, how.why) == (code, number, None)
            assert b.outputs(spec) is None
            assert b.error(spec) is None
            await fine_after(b, reuse)

    asyncio.run(main())


@both
@pytest.mark.parametrize(
    ("name", "code", "first"),
    [
        ("leave", "SystemExit", "The task called sys.exit(4)."),
        ("swallow", "TypeError", "TypeError: steps:swallow is not a task"),
        ("deep", "RecursionError", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_a_task_that_ends_without_outputs_leaves_an_error(tmp_path, reuse, name, code, first):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(FAULTS, name, reuse=reuse)
            assert (await b.run(spec)).code == 0
            assert b.error(spec).code == code
            assert b.error(spec).message.startswith(first)
            await fine_after(b, reuse)

    asyncio.run(main())


@both
def test_an_endless_task_is_killed_and_may_run_anew(tmp_path, reuse):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(FAULTS, "spin", reuse=reuse)
            await b.executor.launch(spec)
            await log_with(b, spec, "spinning")
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all
            await fine_after(b, reuse)
            again = b.task(FAULTS, "fine", spec.id, reuse=reuse)
            assert (await b.run(again)).code == 0

    asyncio.run(main())


def test_a_fork_bomb_is_killed_with_its_group(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(FAULTS, "bomb")
            await b.executor.launch(spec)
            pids = children(await log_with(b, spec, "child", times=50), "child")
            await b.executor.kill(spec.id)
            eventually(lambda: not any(alive(pid) for pid in pids), what="50 dead children")
            await fine_after(b, "false")

    asyncio.run(main())


@both
@pytest.mark.parametrize("name", ["daemon", "linger"])
def test_what_a_task_leaves_running_is_killed(tmp_path, reuse, name):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(FAULTS, name, reuse=reuse)
            await b.run(spec)
            assert b.outputs(spec) is not None
            log = await b.log(spec)
            pids = children(log, "daemon") + children(log, "child")
            eventually(lambda: not any(alive(pid) for pid in pids), what=f"{pids} dead")
            await fine_after(b, reuse)

    asyncio.run(main())


def test_a_worker_that_speaks_nonsense_is_killed(tmp_path):
    """The task writes where its worker tells of ends: nobody would hear of its own."""

    async def main():
        async with bench(tmp_path) as b:
            how = await b.run(b.task(FAULTS, "babble", reuse="true"))
            assert how.signal == signal.SIGKILL
            await fine_after(b, "true")

    asyncio.run(main())


@both
def test_a_flood_of_output_harms_nobody(tmp_path, reuse):
    async def main():
        async with bench(tmp_path, settings=LocalSettings(log_bytes=1 << 20)) as b:
            spec = b.task(FAULTS, "flood", reuse=reuse)
            assert (await b.run(spec)).code == 0
            assert b.outputs(spec) is not None
            assert len(await b.log(spec)) <= 1 << 20
            await fine_after(b, reuse)

    asyncio.run(main())


@both
def test_closing_standard_output_hurts_nobody_else(tmp_path, reuse):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(FAULTS, "mute", reuse=reuse)
            await b.run(spec)
            assert b.outputs(spec) is not None
            await fine_after(b, reuse)

    asyncio.run(main())


@both
def test_a_task_that_kills_its_parent_is_lost_by_name(tmp_path, reuse):
    async def main():
        async with bench(tmp_path) as b:
            bystander = b.command(["sleep", "600"], attempt_id("bystander"))
            other = b.task(FAULTS, "spin", attempt_id("other"), reuse=reuse)
            for spec in (bystander, other):
                await b.executor.launch(spec)
                await b.started(spec.id)
            before = b.zygote_pids()
            spec = b.task(FAULTS, "orphan", reuse=reuse)
            assert (await b.run(spec)).why.code == "WorkerLost"
            # It shares the parent.
            assert (await b.ended(other.id)).why.code == "WorkerLost"
            await fine_after(b, reuse)
            assert set(b.zygote_pids()) != set(before)

    asyncio.run(main())


def test_a_killed_worker_ends_with_its_signal(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.command(["/bin/sh", "-c", "kill -STOP $$$$; echo never"])
            await b.executor.launch(spec)
            await b.started(spec.id)
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all
            spec = b.command(["/bin/sh", "-c", "kill -9 $$$$"], attempt_id("n1"))
            assert (await b.run(spec)).signal == signal.SIGKILL

    asyncio.run(main())


def test_who_was_killed_and_ended_later_may_run_anew(tmp_path):
    async def main():
        async with bench(tmp_path, settings=LocalSettings(kill_patience=0.0)) as b:
            spec = b.task(FAULTS, "spin")
            await b.executor.launch(spec)
            await b.started(spec.id)
            with pytest.raises(KillPending):
                await b.executor.kill(spec.id)

            async def ended():
                return (await b.executor.listing()).ended

            await seen(ended)
            assert (await b.run(b.task(FAULTS, "fine", spec.id))).code == 0

    asyncio.run(main())


def test_a_zygote_without_room_for_another_process_says_so(tmp_path):
    import resource

    async def main():
        async with bench(tmp_path) as b:
            await b.run(b.command(["true"], attempt_id("first")))
            (pid,) = b.zygote_pids()
            open_now = len(open_files(pid))
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now, hard))
            apart = {"FLYTE_JUPYTER_NO_FORK": "1"}  # for this one no process waits
            how = await b.run(b.command(["true"], attempt_id("n1"), env=apart))
            assert how.why.code == "NoProcess"
            assert how.why.retryable
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert (await b.run(b.command(["true"], attempt_id("n2")))).code == 0

    asyncio.run(main())


def test_nothing_listens_on_the_network(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(FAULTS, "spin")
            await b.executor.launch(spec)
            await log_with(b, spec, "spinning")
            pids = b.zygote_pids()
            sockets = {name for pid in pids for name in open_files(pid)}
            assert not sockets & network_sockets()
            assert private(tmp_path / "local" / "zygotes")

    asyncio.run(main())


QUIET = """
def do_ok(inputs):
    pass
"""


def test_a_spare_folder_that_somebody_cleared_away_is_made_anew(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            first = b.task(QUIET, "ok")
            assert (await b.run(first)).code == 0
            await b.executor.reap(first.id)
            spares = list((tmp_path / "local" / "attempts").iterdir())
            assert spares
            for spare in spares:
                spare.rmdir()
            (tmp_path / "local" / "attempts").rmdir()
            assert (await b.run(b.task(QUIET, "ok", attempt_id("n1")))).code == 0

    asyncio.run(main())


def test_a_folder_that_goes_before_its_process_is_made_is_the_systems_failure(
    tmp_path, monkeypatch
):
    begin = Folders.begin

    def begin_and_clear(self, key, grant):
        work = begin(self, key, grant)
        Path(work).rmdir()
        return work

    monkeypatch.setattr(Folders, "begin", begin_and_clear)

    async def main():
        async with bench(tmp_path) as b:
            why = (await b.run(b.task(QUIET, "ok"))).why
            assert (why.code, why.blame, why.retryable) == ("BadLaunch", Blame.SYSTEM, True)

    asyncio.run(main())
