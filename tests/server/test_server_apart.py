"""A control plane without an engine says whether one decides, and hears at once of what another process commits."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from server_under_test import follow

from flyte_jupyter.server import ownership

TAKE_THE_LEASE = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from flyte_jupyter.server.assembly import open_database
from flyte_jupyter.server.living import LivingEngine, is_dead
from flyte_jupyter.store.runs import SqlRuns

async def main():
    data = Path(sys.argv[1])
    database, living = open_database(data, shared=True), LivingEngine(data)
    runs = SqlRuns(database, partial(is_dead, data_dir=data))
    got = await runs.acquire(living.holder, timedelta(hours=1), datetime.now(UTC))
    print("taken" if got else "refused", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await runs.release(living.holder)
    living.leave()
    await database.close()

asyncio.run(main())
"""


@pytest.fixture
def engine():
    """Starts a process that takes the lease for an hour, if it can."""
    with ExitStack() as held:

        def start(data):
            pipe = subprocess.PIPE
            command = [sys.executable, "-c", TAKE_THE_LEASE, str(data)]
            process = held.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe))
            held.callback(process.kill)
            return process, process.stdout.readline().decode().strip()

        yield start


def test_it_says_whether_some_engine_decides(make_server, engine):
    server = make_server(engine=False)
    said = server.ok("GET", "/x/v1/status")
    assert said["engine"] == "absent"
    (notice,) = said["notices"]
    assert f"flyte-jupyter engine --data-dir {server.data}" in notice
    process, word = engine(server.data)
    assert word == "taken"
    said = server.ok("GET", "/x/v1/status")
    assert (said["engine"], said["notices"]) == ("active", [])
    process.stdin.close()
    assert process.wait(30) == 0
    assert server.ok("GET", "/x/v1/status")["engine"] == "absent"


def test_a_dead_engines_lease_has_ended_and_a_stopped_ones_has_not(make_server, engine):
    server = make_server(engine=False)
    first, word = engine(server.data)
    assert word == "taken"
    first.send_signal(signal.SIGSTOP)
    assert engine(server.data)[1] == "refused"
    assert server.ok("GET", "/x/v1/status")["engine"] == "active"
    first.kill()
    first.wait(30)
    assert server.ok("GET", "/x/v1/status")["engine"] == "absent"
    assert engine(server.data)[1] == "taken"


def aged(file, hours):
    """Have a file be that old."""
    since = file.stat().st_mtime - 3600 * hours
    os.utime(file, (since, since))


def test_an_engine_that_had_lived_long_is_known_to_be_dead_until_long_after(make_server, engine):
    data = make_server(engine=False).data
    first, word = engine(data)
    assert word == "taken"
    (mark,) = (data / "db" / "engines").iterdir()
    aged(mark, 24)
    first.kill()
    first.wait(30)
    assert engine(data)[1] == "taken", "its lease has ended with it"
    assert mark.exists()
    aged(mark, 2)
    assert engine(data)[1] == "refused", "the second one lives"
    assert not mark.exists()


SHARER = Path(__file__).parents[1] / "store" / "sharer.py"


def test_whoever_watches_hears_of_what_another_process_commits(make_server):
    server = make_server(engine=False)
    command = [sys.executable, str(SHARER), str(server.data / "db" / "flyte.db"), "3600"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=SHARER.parent) as other:

        def ask(*words):
            other.stdin.write(json.dumps(words).encode() + b"\n")
            other.stdin.flush()
            return json.loads(other.stdout.readline())

        async def talk(line):
            where = {"project": "flytesnacks", "domain": "development"}
            await line.write_message(
                json.dumps({"id": 1, "op": "subscribe", "topic": "executions", **where})
            )
            assert json.loads(await line.read_message())["items"] == []
            await asyncio.to_thread(ask, "create", "seen")
            await asyncio.to_thread(ask, "create", "seen-too")
            named = set()
            while len(named) < 2:
                frame = json.loads(await line.read_message())
                named |= {item["value"]["id"]["name"] for item in frame["items"]}
            return named

        try:
            assert json.loads(other.stdout.readline()) == "open"
            assert follow(server, talk) == {"seen", "seen-too"}
            status, _ = server.call("DELETE", "/api/v1/executions/flytesnacks/development/seen", {})
            assert status == 200
            assert ask("hear", "seen") == "seen"
        finally:
            other.kill()


def test_processes_that_start_at_once_have_one_secret(tmp_path):
    command = "import sys; from pathlib import Path; from flyte_jupyter.server.ownership import load_secret; print(load_secret(Path(sys.argv[1])).hex())"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", command, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    secrets = {process.communicate(timeout=60)[0].strip() for process in started}
    assert secrets == {ownership.load_secret(tmp_path).hex()}
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]
