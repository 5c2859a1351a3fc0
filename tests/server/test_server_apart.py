"""A control plane without an engine says whether one decides, and hears at once of what another process commits."""

from __future__ import annotations

import subprocess
import sys

from processes import eventually

from flyte_jupyter.server import ownership

TAKE_THE_LEASE = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from flyte_jupyter.server.assembly import open_database
from flyte_jupyter.store.runs import SqlRuns

async def main():
    database = open_database(Path(sys.argv[1]), shared=True)
    runs = SqlRuns(database)
    await runs.acquire("another", timedelta(hours=1), datetime.now(UTC))
    print("taken", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await runs.release("another")
    await database.close()

asyncio.run(main())
"""


def test_it_says_whether_some_engine_decides(make_server):
    server = make_server(engine=False)
    said = server.ok("GET", "/x/v1/status")
    assert said["engine"] == "absent"
    (notice,) = said["notices"]
    assert f"flyte-jupyter engine --data-dir {server.data}" in notice
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", TAKE_THE_LEASE, str(server.data)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as engine:
        assert engine.stdout.readline() == b"taken\n"
        said = server.ok("GET", "/x/v1/status")
        assert (said["engine"], said["notices"]) == ("active", [])
        engine.stdin.close()
        assert engine.wait(30) == 0
    eventually(lambda: server.ok("GET", "/x/v1/status")["engine"] == "absent")


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
