"""A process that shares a database: told what to do by lines of JSON, it answers each with one. ``sharer.py FILE [LOOK_SECONDS]``."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

from store_world import NOW, commit_of, new_execution, node_event, run

from flyte_jupyter.engine.ports import Fenced
from flyte_jupyter.idl import core
from flyte_jupyter.store import elsewhere
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.feed import Feed
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.runs import SqlRuns


class Sharer:
    def __init__(self, db: Database) -> None:
        self.db = db
        self.executions, self.runs = Executions(db), SqlRuns(db)
        self.arrivals = self.runs.arrivals()
        self.changes = Feed(db).subscribe()
        self.epoch = 0
        self.heard = []

    async def create(self, name):
        await self.executions.create(new_execution(name))

    async def take(self, holder):
        lease = await self.runs.acquire(holder, timedelta(days=1), NOW, force=True)
        self.epoch = lease.epoch

    async def event(self, name, node, phase):
        version = (await self.runs.load(run(name))).version
        told = [node_event(run(name), node, phase)]
        try:
            done = await self.runs.commit(commit_of(run(name), version, self.epoch, events=told))
        except Fenced:
            return "fenced"
        return done.version

    async def phase(self, name, node):
        seen = await self.executions.node_executions(run(name), Query(limit=100))
        (found,) = [n for n in seen.items if n.id.node_id == node]
        return core.NodeExecution.Phase.Name(found.closure.phase)

    async def hear(self, name):
        """Wait for a message for this run. Others that come first are remembered."""
        while name not in self.heard:
            self.heard.append((await anext(self.arrivals)).name)
        self.heard.remove(name)
        return name

    async def change(self):
        await anext(self.changes)

    async def abort(self, name):
        await self.executions.request_abort(run(name), "enough", "ann", NOW)

    async def commits(self):
        return await self.db.read(
            lambda c: c.exec_driver_sql("SELECT commits FROM ledger").scalar()
        )

    async def hold(self):
        """Stand still in the middle of a write, until there is another line."""

        def stand_still(transaction):
            print(json.dumps("writing"), flush=True)
            sys.stdin.readline()

        await self.db.write(stand_still)
        return "written"


async def main() -> None:
    if len(sys.argv) > 2:
        elsewhere._LOOK_ANYWAY = float(sys.argv[2])
    sharer = Sharer(Database.open(Path(sys.argv[1]), shared=True))
    print(json.dumps("open"), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        name, *arguments = json.loads(line)
        print(json.dumps(await getattr(sharer, name)(*arguments)), flush=True)
    await sharer.db.close()


if __name__ == "__main__":
    asyncio.run(main())
