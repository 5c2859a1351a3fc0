"""Runs as the engine keeps them: the `Runs` port over the database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, or_, select, true

from flyte_jupyter.engine.core import codec
from flyte_jupyter.engine.core.observations import AttemptEnded, Exit, Observation
from flyte_jupyter.engine.core.state import Kept, RunPhase, RunState
from flyte_jupyter.engine.ports import (
    Commit,
    Committed,
    Fenced,
    Lease,
    OwedAction,
    Stale,
    StoredRun,
)
from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import Path, RunId
from flyte_jupyter.store import dialect, literals
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.feed import append
from flyte_jupyter.store.recording import Recording
from flyte_jupyter.store.rows import PathReader, moment, path_key, path_of
from flyte_jupyter.store.tables import (
    closures,
    executions,
    inbox,
    lease,
    log,
    nodes,
    outbox,
    runs,
)

_OWED_BITS = 20
"""One commit owes fewer than a million actions."""

_of_name = (
    runs.c.project == bindparam("project"),
    runs.c.domain == bindparam("domain"),
    runs.c.name == bindparam("name"),
)
_lease = select(lease.c.holder, lease.c.epoch, lease.c.expires)
_take = lease.update()
_head = dialect.Prepared(
    select(runs.c.id, runs.c.version, runs.c.final, runs.c.parent_id, lease.c.epoch)
    .select_from(runs.join(lease, true()))
    .where(*_of_name)
)
_open = (
    select(runs.c.project, runs.c.domain, runs.c.name)
    .where(or_(runs.c.final.is_(False), runs.c.id.in_(select(outbox.c.run_id))))
    .order_by(runs.c.id)
)
_run_number = select(runs.c.id).where(*_of_name)
_recovered = runs.alias("recovered")
_load = (
    select(
        *runs.columns,
        closures.c.body,
        executions.c.body.label("execution"),
        _recovered.c.project.label("recovers_project"),
        _recovered.c.domain.label("recovers_domain"),
        _recovered.c.name.label("recovers_name"),
    )
    .join(closures, closures.c.digest == runs.c.closure_digest)
    .join(executions, executions.c.run_id == runs.c.id)
    .outerjoin(_recovered, _recovered.c.id == runs.c.recovers_id)
    .where(*_of_name)
)
_closure = select(closures.c.body).where(closures.c.digest == bindparam("digest"))
_keep_closure = dialect.Prepared(dialect.insert_new(closures))
_child = runs.alias("child")
_parent = dialect.Prepared(
    select(
        runs.c.id,
        runs.c.project,
        runs.c.domain,
        runs.c.name,
        runs.c.final,
        _child.c.parent_path,
        _child.c.parent_attempt,
    )
    .select_from(_child.join(runs, runs.c.id == _child.c.parent_id))
    .where(_child.c.id == bindparam("run"))
)
# All that a commit must not do is asked for by the one statement that it begins with.
_advance = dialect.Batch(
    runs.update()
    .where(
        runs.c.id == bindparam("key"),
        runs.c.version == bindparam("expect"),
        select(lease.c.epoch).scalar_subquery() == bindparam("held"),
    )
    .values({name: bindparam(name) for name in ("version", "summary")}),
    ("version", "summary", "key", "expect", "held"),
)
# Apart, because the column has an index, which would be written at every commit.
_finish = dialect.Prepared(
    runs.update().where(runs.c.id == bindparam("key")).values(final=bindparam("final"))
)
_nodes = select(nodes.c.path, nodes.c.state).where(nodes.c.run_id == bindparam("run_id"))
_put_node = dialect.Batch(dialect.upsert(nodes, ["run_id", "path"]), ("run_id", "path", "state"))
_log = dialect.Batch(log.insert(), ("run_id", "version", "position", "at", "observation"))
_owe = dialect.Batch(outbox.insert(), ("run_id", "id", "action"))
_owed = (
    select(outbox.c.id, outbox.c.action)
    .where(outbox.c.run_id == bindparam("run_id"))
    .order_by(outbox.c.id)
)
_settle = dialect.Batch(
    outbox.delete().where(outbox.c.run_id == bindparam("run"), outbox.c.id == bindparam("key")),
    ("run", "key"),
)
_inbox = (
    select(inbox.c.id, inbox.c.observation)
    .where(inbox.c.run_id == bindparam("run_id"))
    .order_by(inbox.c.id)
)
_consume = dialect.Batch(
    inbox.delete().where(inbox.c.run_id == bindparam("run"), inbox.c.id == bindparam("key")),
    ("run", "key"),
)


def named(run: RunId) -> dict[str, str]:
    """What binds a run's name in a statement."""
    return {"project": run.project, "domain": run.domain, "name": run.name}


class SqlRuns:
    """Implements `flyte_jupyter.engine.ports.Runs`. The lease of a holder that is `dead` has ended."""

    def __init__(self, db: Database, dead: Callable[[str], bool] = lambda _: False) -> None:
        self._db = db
        self._dead = dead

    async def acquire(
        self, holder: str, ttl: timedelta, now: datetime, *, force: bool = False
    ) -> Lease | None:
        """Take or renew the lease; None when another holder's is still good. A new holder gets a higher epoch."""
        # Who only stands by does not write: each look would be a commit.
        if not force and await self.holder(now) not in ("", holder):
            return None

        def take(transaction: Transaction) -> Lease | None:
            held = transaction.connection.execute(_lease).one()
            good = held.expires > moment(now) and not self._dead(held.holder)
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

    async def holder(self, now: datetime) -> str:
        """Who holds the lease; empty when nobody does."""
        held = await self._db.read(lambda c: c.execute(_lease).one())
        good = held.expires > moment(now) and not self._dead(held.holder)
        return held.holder if good else ""

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

    async def inbox(self, run: RunId) -> Sequence[tuple[int, Observation]]:
        """Its durable messages alone. Raises `NotFound`."""
        return await self._db.read(partial(_read_inbox, run=run))

    async def closure(self, digest: str) -> bytes:
        """A compiled closure, of an execution or made by a dynamic task. Raises `NotFound`."""
        found = await self._db.read(lambda c: c.execute(_closure, {"digest": digest}).scalar())
        if found is None:
            raise NotFound(f"There is no compiled closure {digest} in this database")
        return bytes(found)

    async def commit(self, commit: Commit, nearly: Callable[[], None] | None = None) -> Committed:
        """All or nothing. The end of a child execution is put into its parent's inbox in the same transaction.

        Raises `Fenced`, `Stale`, `NotFound` or `StoreFull`.
        """
        return await self._db.write(partial(self._commit, commit=commit), nearly)

    def _commit(self, transaction: Transaction, commit: Commit) -> Committed:
        connection = transaction.connection
        known = self._db.folded.of(transaction)
        head = _advanced(connection, commit, known.pop(commit.run, None))
        version = commit.expect + 1
        _write_state(connection, head, commit)
        owed = [
            OwedAction((version << _OWED_BITS) + place, action)
            for place, action in enumerate(commit.owed)
        ]
        if owed:
            rows = ((head.run_id, item.id, codec.encode_action(item.action)) for item in owed)
            _owe.run(connection, rows)
        _delete(connection, _settle, head.run_id, commit.settled)
        _delete(connection, _consume, head.run_id, commit.consumed)
        # Only of the outermost graph: what stands deeper may, in a very large graph, share its id with another.
        new = frozenset(str(path[0]) for path in commit.begun if len(path) == 1)
        recording = Recording(connection, head.run_id, commit.run, known, new)
        append(self._db, transaction, recording.record(commit.events, commit.nodes))
        if head.child and commit.summary.phase.final and not head.final:
            self._tell_parent(transaction, head.run_id, commit.summary.phase)
        if not commit.summary.phase.final:
            known[commit.run] = head._replace(version=version, final=False)
        return Committed(version, owed)

    def _tell_parent(self, transaction: Transaction, child: int, phase: RunPhase) -> None:
        """To its parent a child execution is an attempt, and a run that did not succeed one that left no outputs."""
        row = _parent.first(transaction.connection, {"run": child})
        if row is None:
            return
        run_id, project, domain, name, final, path, attempt = row
        if not final:
            how = Exit(code=0 if phase is RunPhase.SUCCEEDED else 1)
            message = codec.encode_observation(AttemptEnded(path_of(path), attempt, how))
            send(self._db, transaction, run_id, RunId(project, domain, name), message)

    async def settle(self, run: RunId, settled: Sequence[int], epoch: int) -> None:
        """Mark owed actions as done without changing the run. Raises `Fenced`, `NotFound` or `StoreFull`."""

        def mark(transaction: Transaction) -> None:
            head = checked(transaction.connection, run, epoch)
            _delete(transaction.connection, _settle, head.run_id, settled)

        await self._db.write(mark)

    def arrivals(self) -> AsyncIterator[RunId]:
        """Runs for which a durable message has been committed since this call; a run once until it is taken."""
        return self._db.arrivals.subscribe()


def send(db: Database, transaction: Transaction, run_id: int, run: RunId, message: bytes) -> None:
    """Put an encoded observation into a run's durable inbox, and announce it once it is on disk."""
    _send.run(transaction.connection, {"run_id": run_id, "observation": message})
    transaction.after_commit(partial(db.arrived, run))


_send = dialect.Prepared(inbox.insert())


class Head(NamedTuple):
    """What a commit must know of the run's row."""

    run_id: int
    version: int
    final: bool
    child: bool


def checked(connection: Connection, run: RunId, epoch: int) -> Head:
    """The run's row, if the lease is still this epoch's. Raises `Fenced` or `NotFound`."""
    found = _head.first(connection, named(run))
    if found is None:
        raise NotFound(f"There is no run {run}: it was never created in this database")
    run_id, version, final, parent, held = found
    if held != epoch:
        raise Fenced(
            f"Another engine holds the lease (epoch {held}, this one's was {epoch}): stop writing"
        )
    return Head(run_id, version, bool(final), parent is not None)


def _advanced(connection: Connection, commit: Commit, known: Head | None) -> Head:
    """Give the run its next version and its summary. Raises `Fenced`, `NotFound` or `Stale`.

    A run that is `known` from the commit before this one is only looked up when that fails, to say why.
    """
    summary = codec.encode_summary(commit.summary)

    def advance(head: Head) -> bool:
        row = (commit.expect + 1, summary, head.run_id, commit.expect, commit.epoch)
        return _advance.run(connection, [row]) == 1

    if known is not None and advance(known):
        return known
    head = checked(connection, commit.run, commit.epoch)
    if head.version != commit.expect or not advance(head):
        raise Stale(
            f"{commit.run} is at version {head.version}, not {commit.expect}: load it again"
        )
    return head


def _write_state(connection: Connection, head: Head, commit: Commit) -> None:
    run_id, version = head.run_id, commit.expect + 1
    if commit.summary.phase.final is not head.final:
        _finish.run(connection, {"key": run_id, "final": commit.summary.phase.final})
    if commit.nodes:
        states = commit.nodes.items()
        rows = ((run_id, path_key(path), codec.encode_node(state)) for path, state in states)
        _put_node.run(connection, rows)
    if commit.closures:
        _keep_closure.run_many(
            connection,
            [{"digest": digest, "body": body} for digest, body in commit.closures.items()],
        )
    literals.keep(connection, commit.literals)
    if commit.log:
        told = enumerate(_told(commit.log))
        _log.run(connection, ((run_id, version, place, *row) for place, row in told))


def _told(heard: Sequence[tuple[datetime, Observation]]) -> Iterator[tuple[int, bytes]]:
    """A row for each moment: a commit hears mostly at one."""
    for at, group in groupby(heard, itemgetter(0)):
        yield moment(at), codec.encode_observations([seen for _, seen in group])


def _delete(
    connection: Connection, statement: dialect.Batch, run_id: int, keys: Sequence[int]
) -> None:
    if keys:
        statement.run(connection, ((run_id, key) for key in keys))


def _read_run(connection: Connection, run: RunId) -> StoredRun:
    row = connection.execute(_load, named(run)).one_or_none()
    if row is None:
        raise NotFound(f"There is no run {run}: it was never created in this database")
    only = {"run_id": row.id}
    recovers = None
    if row.recovers_id is not None:
        recovers = RunId(row.recovers_project, row.recovers_domain, row.recovers_name)
    return StoredRun(
        id=run,
        version=row.version,
        closure=row.body,
        plan=row.closure_digest,
        state=RunState(codec.decode_summary(row.summary), _states(connection, row.id)),
        owed=[
            OwedAction(number, codec.decode_action(action))
            for number, action in connection.execute(_owed, only)
        ],
        inbox=_messages(connection, row.id),
        inputs=row.inputs,
        env=json.loads(row.env),
        spec=admin.Execution.FromString(row.execution).spec,
        recovers=recovers,
    )


def _read_inbox(connection: Connection, run: RunId) -> list[tuple[int, Observation]]:
    number = connection.execute(_run_number, named(run)).scalar()
    if number is None:
        raise NotFound(f"There is no run {run}: it was never created in this database")
    return _messages(connection, number)


def _messages(connection: Connection, run_id: int) -> list[tuple[int, Observation]]:
    return [
        (number, codec.decode_observation(seen))
        for number, seen in connection.execute(_inbox, {"run_id": run_id})
    ]


def _states(connection: Connection, run_id: int) -> dict[Path, Kept]:
    paths, states = PathReader(), codec.NodeReader()
    found = connection.execute(_nodes, {"run_id": run_id})
    return {paths.read(key): states.read(state) for key, state in found}
