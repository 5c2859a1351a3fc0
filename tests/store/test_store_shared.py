"""One file, several processes: each sees what the others wrote, hears of it, and outlives them."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from store_world import new_execution, run

from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import DatabaseBusy, NotFound
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.mark import closed_cleanly
from flyte_jupyter.store.neighbours import folder_of

HERE = Path(__file__).parent
NEVER = 3600
"""Seconds between two looks that nobody asked for, where only touches may bring news."""


class Sharer:
    """A process that does what it is asked."""

    def __init__(self, path: Path, *arguments: object) -> None:
        command = [sys.executable, str(HERE / "sharer.py"), str(path), *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=HERE)
        self.pid = self.process.pid

    def say(self, *words) -> None:
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "it has ended"
        return json.loads(line)

    def ask(self, *words):
        self.say(*words)
        return self.hear()

    def leave(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(30) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def sharer(path):
    """Starts a process that shares the file, and waits until it has it open."""
    with ExitStack() as held:
        held.callback(shutil.rmtree, folder_of(path), ignore_errors=True)

        def start(*arguments):
            started = Sharer(path, *arguments)
            held.callback(started.kill)
            assert started.hear() == "open"
            return started

        yield start


def test_what_others_wrote_meanwhile_is_built_upon(sharer):
    one, other = sharer(), sharer()
    one.ask("create", "a")
    one.ask("take", "one")
    one.ask("event", "a", "n0", "QUEUED")
    assert other.ask("phase", "a", "n0") == "QUEUED"
    other.ask("take", "other")
    other.ask("event", "a", "n0", "SUCCEEDED")
    one.ask("take", "one")
    # Late word of a node that is over changes nothing, unless it is taken for the one that was known here before.
    one.ask("event", "a", "n0", "RUNNING")
    assert one.ask("phase", "a", "n0") == other.ask("phase", "a", "n0") == "SUCCEEDED"


def test_who_has_lost_the_lease_to_another_process_writes_nothing(sharer):
    one, other = sharer(), sharer()
    one.ask("create", "a")
    one.ask("take", "one")
    one.ask("event", "a", "n0", "RUNNING")
    other.ask("take", "other")
    assert one.ask("event", "a", "n0", "SUCCEEDED") == "fenced"
    assert other.ask("phase", "a", "n0") == "RUNNING"


def test_each_process_counts_the_commits_of_all(sharer):
    one, other = sharer(), sharer()
    before = one.ask("commits")
    for turn in range(6):
        (one, other)[turn % 2].ask("create", f"r{turn}")
    assert one.ask("commits") == other.ask("commits") == before + 6


@pytest.mark.parametrize("how", ["by touches alone", "without touches"])
def test_news_cross_over(sharer, path, how):
    one, other = (sharer(NEVER) if how == "by touches alone" else sharer() for _ in range(2))
    if how == "without touches":
        for socket in folder_of(path).iterdir():
            socket.unlink()
    one.say("hear", "a")
    other.ask("create", "a")
    assert one.hear() == "a"
    one.ask("change")
    other.say("hear", "b")
    one.ask("create", "b")
    assert other.hear() == "b"
    other.ask("change")
    one.ask("hear", "b")
    one.say("hear", "a")
    other.ask("abort", "a")
    assert one.hear() == "a"


def test_many_messages_at_once_are_all_heard(sharer):
    one, other = sharer(NEVER), sharer(NEVER)
    for number in range(60):
        other.ask("create", f"r{number}")
    for number in range(60):
        one.ask("hear", f"r{number}")


def test_one_that_is_killed_leaves_the_others_working(sharer, path):
    one, other, third = sharer(), sharer(), sharer()
    other.ask("create", "a")
    other.kill()
    for name in ("b", "c"):
        one.ask("create", name)
        third.ask("hear", name)
    assert one.ask("commits") == third.ask("commits")
    assert len(list(folder_of(path).iterdir())) == 2, "the dead one's socket is gone"


def test_one_that_is_killed_in_the_middle_of_a_write_holds_nobody_up(sharer):
    one, other = sharer(), sharer()
    other.say("hold")
    assert other.hear() == "writing"
    one.say("create", "a")
    other.kill()
    one.hear()
    one.ask("hear", "a")


WRITE_UNTIL_KILLED = """
import asyncio, sys
from itertools import count
from pathlib import Path
from store_world import new_execution
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions

async def main():
    executions = Executions(Database.open(Path(sys.argv[1]), shared=True))
    async def work(lane):
        for number in count():
            name = f"{sys.argv[2]}-{lane}-{number}"
            await executions.create(new_execution(name))
            print(name, flush=True)
    await asyncio.gather(*map(work, range(4)))

asyncio.run(main())
"""


def test_no_acknowledged_commit_of_any_is_lost_however_often_one_is_killed(path):
    chance = random.Random(9)
    told = []

    def writer(name):
        command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path), name]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE)

    def read(process, lines):
        told.extend(process.stdout.readline() for _ in range(lines))

    writers = [writer("first"), writer("second")]
    for kill in range(6):
        for process in writers:
            read(process, chance.randrange(10, 60))
        one = writers.pop(0)
        one.kill()
        told.extend(one.stdout)
        one.stdout.close()
        one.wait()
        # Whoever is left has to get on with it, or this waits for ever.
        read(writers[0], 20)
        writers.append(writer(f"next-{kill}"))
    for process in writers:
        process.kill()
        told.extend(process.stdout)
        process.stdout.close()
        process.wait()
    # A last line may have been cut off by the kill.
    names = {line.strip() for line in told if line.endswith("\n")}
    assert len(names) > 200

    async def story():
        db = Database.open(path)
        kept = await db.read(lambda c: c.exec_driver_sql("SELECT name FROM runs").scalars().all())
        assert names <= set(kept)
        assert len(kept) == len(set(kept))
        await db.close()

    asyncio.run(story())


def test_one_that_leaves_takes_nothing_of_the_others_along(sharer, path):
    """Its going must not be taken for that of the last: it would take the write-ahead log with it."""
    first, second = sharer(), sharer()
    first.ask("create", "a")
    second.ask("create", "b")
    second.leave()
    first.ask("create", "c")
    second = sharer()
    first.ask("create", "d")
    first.kill()
    second.kill()

    async def story():
        db = Database.open(path)
        for name in "abcd":
            assert (await Executions(db).get(run(name))).id.name == name
        await db.close()

    asyncio.run(story())


def test_a_file_that_is_shared_is_nobodys_alone_and_the_other_way_round(sharer, path):
    async def alone():
        db = Database.open(path)
        await Executions(db).create(new_execution("a"))
        with pytest.raises(DatabaseBusy, match="--no-engine"):
            Database.open(path, shared=True)
        await db.close()

    asyncio.run(alone())
    one, other = sharer(), sharer()
    with pytest.raises(DatabaseBusy, match="--no-engine"):
        Database.open(path)
    one.leave()
    assert not closed_cleanly(path)
    with pytest.raises(DatabaseBusy):
        Database.open(path)
    other.leave()
    assert closed_cleanly(path)
    asyncio.run(Database.open(path).close())


def test_many_that_open_a_new_file_at_once_share_it(path):
    sharers = [Sharer(path) for _ in range(4)]
    try:
        assert [each.hear() for each in sharers] == ["open"] * 4
        for number, each in enumerate(sharers):
            each.ask("create", f"r{number}")
        assert len({each.ask("commits") for each in sharers}) == 1
        for each in sharers:
            each.leave()
        assert closed_cleanly(path)
    finally:
        for each in sharers:
            each.kill()


def test_a_process_that_stands_still_while_it_writes_is_told_of(sharer, path, monkeypatch):
    monkeypatch.setattr(dialect, "_PATIENCE", 0.2)
    other = sharer()

    async def story():
        db = Database.open(path, shared=True)
        executions = Executions(db)
        other.say("hold")
        assert other.hear() == "writing"
        with pytest.raises(DatabaseBusy, match="continued or killed"):
            await executions.create(new_execution("a"))
        with pytest.raises(NotFound):
            await executions.get(run("a"))
        assert other.ask("go on") == "written"
        await executions.create(new_execution("a"))
        await db.close()

    asyncio.run(story())


def test_one_that_was_stopped_goes_on_with_what_was_written_meanwhile(sharer):
    one, other = sharer(), sharer()
    one.ask("create", "a")
    one.ask("take", "one")
    one.ask("event", "a", "n0", "RUNNING")
    one.process.send_signal(signal.SIGSTOP)
    other.ask("take", "other")
    other.ask("event", "a", "n0", "SUCCEEDED")
    one.process.send_signal(signal.SIGCONT)
    assert one.ask("event", "a", "n0", "FAILED") == "fenced"
    assert one.ask("phase", "a", "n0") == "SUCCEEDED"


def test_sockets_find_room_below_a_long_path(tmp_path):
    path = tmp_path / ("long" * 30) / "db" / "flyte.db"
    one, other = Sharer(path, NEVER), Sharer(path, NEVER)
    try:
        assert (one.hear(), other.hear()) == ("open", "open")
        one.ask("create", "a")
        other.ask("hear", "a")
        one.leave()
        other.leave()
    finally:
        for each in (one, other):
            each.kill()
