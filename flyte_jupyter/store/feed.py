"""The change feed: which records each commit touched, in order, for whoever shows them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, select

from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.dialect import Prepared
from flyte_jupyter.store.tables import feed

KEEP = 100_000
"""How many changes are kept: a client that was away for longer takes a snapshot."""
PRUNE_EVERY = 1_000
"""Changes, by the writer's own count since the database was opened."""


class ChangeKind(StrEnum):
    """What kind of record changed."""

    EXECUTION = "execution"
    NODE_EXECUTION = "node_execution"
    TASK_EXECUTION = "task_execution"


class Touched(NamedTuple):
    """Records that a commit changed: an execution, node executions of it, or task executions of one number, each by its node."""

    kind: ChangeKind
    run: RunId
    nodes: Iterable[str] = ("",)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One record changed: look it up to see how. `seq` grows with every change and is a cursor."""

    seq: int
    kind: ChangeKind
    run: RunId
    node: str = ""
    attempt: int = 0


_listed = func.json_each(bindparam("nodes")).table_valued("key", "value")
# One statement for many rows: as many statements would take six times as long.
_append = Prepared(
    feed.insert().from_select(
        ["kind", "project", "domain", "execution", "node", "attempt"],
        select(
            *(bindparam(name) for name in ("kind", "project", "domain", "execution")),
            _listed.c.value,
            bindparam("attempt"),
        ).order_by(_listed.c.key),
    )
)
_latest = select(func.max(feed.c.seq))
_oldest = select(func.min(feed.c.seq))
_forget = feed.delete().where(feed.c.seq <= bindparam("last"))
_since = select(*feed.columns).where(feed.c.seq > bindparam("cursor")).order_by(feed.c.seq)


def append(db: Database, transaction: Transaction, touched: Iterable[Touched]) -> None:
    """Add to the feed what a write touched, and wake the listeners once it is on disk."""
    count = 0
    for kind, run, nodes, attempt in touched:
        if names := list(nodes):
            project, domain, execution = run
            row = {"kind": kind.value, "project": project, "domain": domain, "execution": execution}
            _append.run(
                transaction.connection, {**row, "nodes": json.dumps(names), "attempt": attempt}
            )
            count += len(names)
    if not count:
        return
    transaction.after_commit(db.wake)
    db.appended += count
    if db.appended >= PRUNE_EVERY:
        db.appended = 0
        last = transaction.connection.execute(_latest).scalar() or 0
        transaction.connection.execute(_forget, {"last": last - KEEP})


def _changes(connection: Connection, *, statement: Select[Any], cursor: int) -> list[Change]:
    return [
        Change(
            row.seq,
            ChangeKind(row.kind),
            RunId(row.project, row.domain, row.execution),
            row.node,
            row.attempt,
        )
        for row in connection.execute(statement, {"cursor": cursor})
    ]


class Feed:
    """What changed, since when, and a wake-up when there is more."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def since(
        self,
        cursor: int,
        *,
        run: RunId | None = None,
        project: str = "",
        domain: str = "",
        limit: int = 1000,
    ) -> Sequence[Change]:
        """Up to `limit` changes after `cursor`, oldest first: of one run, or of all in a project and domain (empty: any)."""
        wanted = _since.limit(limit)
        if run is not None:
            project, domain = run.project, run.domain
            wanted = wanted.where(feed.c.execution == run.name)
        if project:
            wanted = wanted.where(feed.c.project == project)
        if domain:
            wanted = wanted.where(feed.c.domain == domain)
        return await self._db.read(partial(_changes, statement=wanted, cursor=cursor))

    async def latest(self) -> int:
        """The cursor of the last change; 0 when there is none."""
        return await self._db.read(lambda connection: connection.execute(_latest).scalar() or 0)

    async def too_old(self, cursor: int) -> bool:
        """Whether changes after `cursor` have been pruned, or it is none of this database's: take a snapshot instead."""

        def judge(connection: Connection) -> bool:
            first = connection.execute(_oldest).scalar() or 1
            last = connection.execute(_latest).scalar() or 0
            return not first - 1 <= cursor <= last

        return await self._db.read(judge)

    async def prune(self, keep: int = KEEP) -> None:
        """Forget all but the last `keep` changes; as the feed grows it forgets by itself."""

        def forget(transaction: Transaction) -> None:
            last = transaction.connection.execute(_latest).scalar() or 0
            transaction.connection.execute(_forget, {"last": last - keep})

        await self._db.write(forget)

    def subscribe(self) -> AsyncIterator[None]:
        """Wake-ups: one after every commit with changes since this call; those nobody waited for become one."""
        return self._db.changes.subscribe()
