"""Runs as the engine keeps them: the `Runs` port over the database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, bindparam, or_, select, true

from flyte_jupyter.engine.core import codec
from flyte_jupyter.engine.core.state import RunState
from flyte_jupyter.engine.ports import (
    Commit,
    Committed,
    Fenced,
    Lease,
    OwedAction,
    Stale,
    StoredRun,
)
from flyte_jupyter.idl.ids import Path, RunId
from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.feed import append
from flyte_jupyter.store.recording import record
from flyte_jupyter.store.rows import moment
from flyte_jupyter.store.tables import closures, inbox, lease, log, nodes, outbox, runs

_of_name = (
    runs.c.project == bindparam("project"),
    runs.c.domain == bindparam("domain"),
    runs.c.name == bindparam("name"),
)
_lease = select(lease.c.holder, lease.c.epoch, lease.c.expires)
_take = lease.update()
_head = dialect.Prepared(
    select(runs.c.id, runs.c.version, lease.c.epoch)
    .select_from(runs.join(lease, true()))
    .where(*_of_name)
)
_open = (
    select(runs.c.project, runs.c.domain, runs.c.name)
    .where(or_(runs.c.final.is_(False), runs.c.id.in_(select(outbox.c.run_id))))
    .order_by(runs.c.id)
)
_load = (
    select(*runs.columns, closures.c.body)
    .join(closures, closures.c.digest == runs.c.closure_digest)
    .where(*_of_name)
)
_advance = dialect.Prepared(
    runs.update()
    .where(runs.c.id == bindparam("key"))
    .values({name: bindparam(name) for name in ("version", "final", "summary")})
)
_nodes = select(nodes.c.path, nodes.c.state).where(nodes.c.run_id == bindparam("run_id"))
_put_node = dialect.Prepared(dialect.upsert(nodes, ["run_id", "path"]))
_log = dialect.Prepared(log.insert())
_owe = dialect.Prepared(outbox.insert())
_owed = (
    select(outbox.c.id, outbox.c.action)
    .where(outbox.c.run_id == bindparam("run_id"))
    .order_by(outbox.c.id)
)
_settle = dialect.Prepared(
    outbox.delete().where(outbox.c.run_id == bindparam("run"), outbox.c.id == bindparam("key"))
)
_inbox = (
    select(inbox.c.id, inbox.c.observation)
    .where(inbox.c.run_id == bindparam("run_id"))
    .order_by(inbox.c.id)
)
_consume = dialect.Prepared(
    inbox.delete().where(inbox.c.run_id == bindparam("run"), inbox.c.id == bindparam("key"))
)


def named(run: RunId) -> dict[str, str]:
    """What binds a run's name in a statement."""
    return {"project": run.project, "domain": run.domain, "name": run.name}


def path_key(path: Path) -> str:
    """A path as text that can be read back."""
    return json.dumps(path, separators=(",", ":"))


def path_of(key: str) -> Path:
    """The path that `path_key` wrote."""
    return tuple(json.loads(key))


class SqlRuns:
    """Implements `flyte_jupyter.engine.ports.Runs`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def acquire(
        self, holder: str, ttl: timedelta, now: datetime, *, force: bool = False
    ) -> Lease | None:
        """Take or renew the lease; None when another holder's is still good. A new holder gets a higher epoch."""

        def take(transaction: Transaction) -> Lease | None:
            held = transaction.connection.execute(_lease).one()
            good = held.expires > moment(now)
            mine = held.holder == holder and held.expires > 0
            if not mine and good and not force:
                return None
            taken = Lease(held.epoch if mine else held.epoch + 1, now + ttl)
            transaction.connection.execute(
                _take,
                {"holder": holder, "epoch": taken.epoch, "expires": moment(taken.expires)},
            )
            return taken

        return await self._db.write(take)

    async def release(self, holder: str) -> None:
        """Give the lease back; nothing if another holds it."""
        statement = lease.update().where(lease.c.holder == holder).values(expires=0)
        await self._db.write(lambda transaction: transaction.connection.execute(statement))

    async def open_runs(self) -> Sequence[RunId]:
        """Runs that are not final, oldest first, and ended ones that still owe an action."""
        return await self._db.read(lambda c: [RunId(*row) for row in c.execute(_open)])

    async def load(self, run: RunId) -> StoredRun:
        """The run as last committed. Raises `NotFound`."""
        return await self._db.read(partial(_read_run, run=run))

    async def commit(self, commit: Commit) -> Committed:
        """All or nothing. Raises `Fenced`, `Stale` or `StoreFull`."""
        return await self._db.write(partial(self._commit, commit=commit))

    def _commit(self, transaction: Transaction, commit: Commit) -> Committed:
        connection = transaction.connection
        run_id, at = _checked(connection, commit.run, commit.epoch)
        if at != commit.expect:
            raise Stale(f"{commit.run} is at version {at}, not {commit.expect}: load it again")
        version = commit.expect + 1
        _write_state(connection, run_id, version, commit)
        owed = [{"run_id": run_id, "action": codec.encode_action(a)} for a in commit.owed]
        numbers = dialect.insert_numbered(connection, _owe, owed)
        _delete(connection, _settle, run_id, commit.settled)
        _delete(connection, _consume, run_id, commit.consumed)
        append(self._db, transaction, record(connection, run_id, commit.run, commit.events))
        return Committed(
            version, [OwedAction(*pair) for pair in zip(numbers, commit.owed, strict=True)]
        )

    async def settle(self, run: RunId, settled: Sequence[int], epoch: int) -> None:
        """Mark owed actions as done without changing the run. Raises `Fenced`, `NotFound` or `StoreFull`."""

        def mark(transaction: Transaction) -> None:
            run_id, _ = _checked(transaction.connection, run, epoch)
            _delete(transaction.connection, _settle, run_id, settled)

        await self._db.write(mark)

    def arrivals(self) -> AsyncIterator[RunId]:
        """Runs for which a durable message has been committed since this call; a run once until it is taken."""
        return self._db.arrivals.subscribe()


def send(db: Database, transaction: Transaction, run_id: int, run: RunId, message: bytes) -> None:
    """Put an encoded observation into a run's durable inbox, and announce it once it is on disk."""
    _send.run(transaction.connection, {"run_id": run_id, "observation": message})
    transaction.after_commit(partial(db.arrivals.publish, run))


_send = dialect.Prepared(inbox.insert())


def _checked(connection: Connection, run: RunId, epoch: int) -> tuple[int, int]:
    """The run's row id and version, if the lease is still this epoch's."""
    head = _head.first(connection, named(run))
    if head is None:
        raise NotFound(f"There is no run {run}: it was never created in this database")
    run_id, version, held = head
    if held != epoch:
        raise Fenced(
            f"Another engine holds the lease (epoch {held}, this one's was {epoch}): stop writing"
        )
    return run_id, version


def _write_state(connection: Connection, run_id: int, version: int, commit: Commit) -> None:
    _advance.run(
        connection,
        {
            "key": run_id,
            "version": version,
            "final": commit.summary.phase.final,
            "summary": codec.encode_summary(commit.summary),
        },
    )
    if commit.nodes:
        _put_node.run_many(
            connection,
            [
                {"run_id": run_id, "path": path_key(path), "state": codec.encode_node(state)}
                for path, state in commit.nodes.items()
            ],
        )
    if commit.log:
        _log.run_many(
            connection,
            [
                {
                    "run_id": run_id,
                    "version": version,
                    "position": position,
                    "at": moment(at),
                    "observation": codec.encode_observation(seen),
                }
                for position, (at, seen) in enumerate(commit.log)
            ],
        )


def _delete(
    connection: Connection, statement: dialect.Prepared, run_id: int, keys: Sequence[int]
) -> None:
    if keys:
        statement.run_many(connection, [{"run": run_id, "key": key} for key in keys])


def _read_run(connection: Connection, run: RunId) -> StoredRun:
    row = connection.execute(_load, named(run)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run}: it was never created in this database")
    only = {"run_id": row.id}
    states = {
        path_of(key): codec.decode_node(state) for key, state in connection.execute(_nodes, only)
    }
    return StoredRun(
        id=run,
        version=row.version,
        closure=row.body,
        plan=row.closure_digest,
        state=RunState(codec.decode_summary(row.summary), states),
        owed=[
            OwedAction(number, codec.decode_action(action))
            for number, action in connection.execute(_owed, only)
        ],
        inbox=[
            (number, codec.decode_observation(seen))
            for number, seen in connection.execute(_inbox, only)
        ],
        inputs=row.inputs,
        env=json.loads(row.env),
    )
