"""The control plane dies with `kill -9`; its attempts go on, and a new one finds them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from local_attempts import alive, attempt_id, bench
from processes import eventually

from flyte_jupyter.engine.adapters.local.resources import Capacity

DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from local_attempts import Bench, attempt_id
from flyte_jupyter.engine.adapters.local.resources import Capacity

async def main():
    b = Bench(Path({folder!r}), capacity=Capacity(cpu=2, memory=1 << 40))
    await b.executor.start(b.news)
    specs = [b.command(["/bin/sh", "-c", "echo $$$$; read x < {fifo}-%d; exit %d" % (n, n)], attempt_id("n%d" % n)) for n in range(3)]
    for spec in specs:
        await b.executor.launch(spec)
    for spec in specs[:2]:
        await b.started(spec.id)
        while not (await b.log(spec)).endswith("\\n"):
            await asyncio.sleep(0)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def killed_control_plane(tmp_path: Path) -> None:
    """Launch n0, n1 (which run) and n2 (which waits for a slot), then die."""
    for at in range(3):
        os.mkfifo(tmp_path / f"fifo-{at}")
    tests = str(Path(__file__).parent.parent)
    code = textwrap.dedent(DRIVER).format(tests=tests, folder=str(tmp_path), fifo=tmp_path / "fifo")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as driver:
        assert driver.stdout.readline() == b"ready\n"
        driver.kill()


def test_running_attempts_go_on_as_the_same_processes(tmp_path):
    killed_control_plane(tmp_path)

    async def main():
        async with bench(tmp_path) as b:
            ids = [attempt_id(f"n{n}") for n in range(3)]
            listing = await b.executor.listing()
            assert {ids[0], ids[1]} <= listing.running
            assert listing.all == set(ids)
            pids = [int((await b.executor.read_log(i, 0, 100)).data) for i in ids[:2]]
            assert all(alive(pid) for pid in pids)
            for at in range(3):
                await asyncio.to_thread((tmp_path / f"fifo-{at}").write_text, "go\n")
            assert [(await b.ended(i)).code for i in ids] == [0, 1, 2]
            for i in ids:
                await b.executor.reap(i)
            assert not (await b.executor.listing()).all
            left = (tmp_path / "local" / "attempts").iterdir()
            assert not [one for folder in left for one in folder.iterdir()]

    asyncio.run(main())


def test_an_end_that_nobody_saw_is_found(tmp_path):
    killed_control_plane(tmp_path)
    (tmp_path / "fifo-1").write_text("go\n")
    records = tmp_path / "local" / "zygotes"
    eventually(lambda: any('"code": 1' in p.read_text() for p in records.rglob("records/journal")))

    async def main():
        async with bench(tmp_path) as b:
            assert (await b.executor.listing()).ended[attempt_id("n1")].code == 1
            assert (await b.ended(attempt_id("n1"))).code == 1
            await b.executor.reap(attempt_id("n1"))
        async with bench(tmp_path) as b:
            assert attempt_id("n1") not in (await b.executor.listing()).all

    asyncio.run(main())


def test_when_the_zygote_died_too_its_attempts_are_lost_by_name(tmp_path):
    killed_control_plane(tmp_path)
    (record, *_) = (tmp_path / "local" / "zygotes").rglob("records/journal")
    pid = int(record.read_text().split('"pid": ')[1].split(",")[0])
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: not alive(parent))

    async def main():
        async with bench(tmp_path) as b:
            for at in range(2):
                assert (await b.ended(attempt_id(f"n{at}"))).why.code == "WorkerLost"
            eventually(lambda: not alive(pid))
            # What had only been queued runs now.
            await asyncio.to_thread((tmp_path / "fifo-2").write_text, "go\n")
            assert (await b.ended(attempt_id("n2"))).code == 2

    asyncio.run(main())


def test_stopping_and_starting_again_loses_nothing(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.command(["sleep", "600"])
            await b.executor.launch(spec)
            await b.started(spec.id)
            await b.executor.stop()
            await b.executor.start(b.news)
            assert (await b.executor.listing()).running == {spec.id}
            await b.executor.kill(spec.id)
            assert not (await b.executor.listing()).all

    asyncio.run(main())


def test_who_has_stopped_begins_nothing_when_a_zygote_dies_meanwhile(tmp_path):
    os.mkfifo(tmp_path / "fifo")

    async def main():
        async with bench(tmp_path, capacity=Capacity(cpu=1, memory=1 << 40)) as b:
            argv = ["/bin/sh", "-c", f"read x < {tmp_path}/fifo"]
            first, second = (b.command(argv, attempt_id(f"n{at}")) for at in range(2))
            await b.executor.launch(first)
            await b.started(first.id)
            await b.executor.launch(second)
            (zygote,) = b.executor._zygotes._live.values()
            os.kill(zygote.hello.pid, signal.SIGKILL)
            eventually(lambda: not alive(zygote.hello.pid))
            await b.executor.stop()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            b.executor = b.new_executor()
            await b.executor.start(b.news)
            assert (await b.ended(first.id)).why.code == "WorkerLost"
            await b.started(second.id)
            await asyncio.to_thread((tmp_path / "fifo").write_text, "go\n")
            assert (await b.ended(second.id)).code == 0

    asyncio.run(main())
