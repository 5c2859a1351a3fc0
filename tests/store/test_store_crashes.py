"""A process killed in the middle of commits loses nothing that it was told is written."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from store_world import NOW, run

from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.runs import SqlRuns

KILLS = 6
RUNS = 8

WRITE_UNTIL_KILLED = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from store_world import NOW, commit_of, later, new_execution, node_event, run
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import AlreadyExists
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.runs import SqlRuns
from flyte_jupyter.engine.core.state import Succeeded


async def work(runs, executions, name, epoch):
    try:
        await executions.create(new_execution(name))
    except AlreadyExists:
        pass
    version = (await runs.load(run(name))).version
    while True:
        node = f"n{version}"
        event = node_event(run(name), node, "SUCCEEDED")
        done = await runs.commit(
            commit_of(run(name), version, epoch, nodes={(node,): Succeeded(str(version))}, events=[event])
        )
        version = done.version
        print(name, version, done.owed[-1].id, flush=True)


async def main():
    db = Database.open(Path(sys.argv[1]))
    runs, executions = SqlRuns(db), Executions(db)
    lease = await runs.acquire(sys.argv[2], timedelta(days=1), NOW, force=True)
    await asyncio.gather(*(work(runs, executions, f"r{n}", lease.epoch) for n in range(int(sys.argv[3]))))


asyncio.run(main())
"""


def test_no_acknowledged_commit_is_lost(path):
    chance = random.Random(20)
    acknowledged = {f"r{number}": 0 for number in range(RUNS)}
    for kill in range(KILLS):
        told = written_until_killed(path, str(kill), chance.randrange(20, 300))
        for name, version in told:
            acknowledged[name] = max(acknowledged[name], version)
        asyncio.run(holds(path, acknowledged))


def written_until_killed(path: Path, holder: str, lines: int) -> list[tuple[str, int]]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path), holder, str(RUNS)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    told = []
    with writer:
        for line in writer.stdout:
            told.append(line)
            if len(told) == lines:
                writer.send_signal(signal.SIGKILL)
    assert len(told) >= lines
    # The last line may have been cut off by the kill.
    whole = [line.split() for line in told if line.endswith("\n")]
    return [(name, int(version)) for name, version, _ in whole]


async def holds(path: Path, acknowledged: dict[str, int]) -> None:
    db = Database.open(path)
    runs, executions = SqlRuns(db), Executions(db)
    for name, version in acknowledged.items():
        if version == 0:
            continue
        stored = await runs.load(run(name))
        assert stored.version >= version
        # Each commit is there as a whole or not at all: its node, what it owes, what clients see.
        done = {
            path
            for path, state in stored.state.nodes.items()
            if type(state).__name__ == "Succeeded"
        }
        assert done == {(f"n{number}",) for number in range(stored.version)}
        assert len(stored.owed) == stored.version
        seen = await executions.node_executions(run(name), Query(limit=10_000))
        assert {n.id.node_id for n in seen.items} == {
            f"n{number}" for number in range(stored.version)
        }
    lease = await runs.acquire("look", timedelta(seconds=1), NOW, force=True)
    assert lease is not None
    await db.close()
