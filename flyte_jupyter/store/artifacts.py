"""Remembered outputs: the catalog behind caching, and who computes what just now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select

from flyte_jupyter.engine.ports import CachedOutputs, CacheKey, Reservation
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store import dialect
from flyte_jupyter.store.database import Database, Transaction
from flyte_jupyter.store.listings import ARTIFACTS
from flyte_jupyter.store.query import Page, Query
from flyte_jupyter.store.rows import at, moment
from flyte_jupyter.store.selecting import page
from flyte_jupyter.store.tables import artifacts, reservations

KEY = ("project", "domain", "task", "version", "interface", "inputs")
_FACTS = ("outputs", "source", "created_at", "digest", "size")
_of_key = [artifacts.c[name] == bindparam(name) for name in KEY]
_lookup = dialect.Prepared(select(*(artifacts.c[name] for name in _FACTS)).where(*_of_key))
_remember = dialect.Prepared(dialect.upsert(artifacts, KEY))
_of_reservation = [reservations.c[name] == bindparam(name) for name in KEY]
_holder = dialect.Prepared(
    select(reservations.c.owner, reservations.c.expires).where(*_of_reservation)
)
_reserve = dialect.Prepared(dialect.upsert(reservations, KEY))
_release = dialect.Prepared(
    reservations.delete().where(*_of_reservation, reservations.c.owner == bindparam("owner"))
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Remembered outputs and the key they are found by."""

    key: CacheKey
    value: CachedOutputs


class Artifacts:
    """Implements `flyte_jupyter.engine.ports.Catalog`, and what people ask of one."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def lookup(
        self, key: CacheKey, *, newer_than: datetime | None = None
    ) -> CachedOutputs | None:
        """What is remembered under this key, if it is not older than that."""
        return (await self.hits([key], newer_than=newer_than)).get(key)

    async def hits(
        self, keys: Sequence[CacheKey], *, newer_than: datetime | None = None
    ) -> Mapping[CacheKey, CachedOutputs]:
        """What is remembered under each of these keys, all of one moment: what would hit if it were launched now."""

        def find(connection: Connection) -> Mapping[CacheKey, CachedOutputs]:
            found = {key: _lookup.first(connection, asdict(key)) for key in keys}
            values = {key: _value(*row) for key, row in found.items() if row is not None}
            if newer_than is None:
                return values
            return {key: value for key, value in values.items() if value.created_at >= newer_than}

        return await self._db.read(find)

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""
        row = {**asdict(key), **asdict(value), "created_at": moment(value.created_at)}
        await self._db.write(lambda transaction: _remember.run(transaction.connection, row))

    async def reserve(
        self, key: CacheKey, owner: str, ttl: timedelta, now: datetime
    ) -> Reservation:
        """Take the key's reservation, or extend it when `owner` has it, or take it over when it has run out.

        Returns the reservation that holds now: another's, if that is still good.
        """
        of = asdict(key)

        def take(transaction: Transaction) -> Reservation:
            held = _holder.first(transaction.connection, of)
            if held is not None and held[0] != owner and held[1] > moment(now):
                return Reservation(held[0], at(held[1]))
            taken = Reservation(owner, now + ttl)
            row = {**of, "owner": owner, "expires": moment(taken.expires)}
            _reserve.run(transaction.connection, row)
            return taken

        return await self._db.write(take)

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give the reservation back; nothing if it is not `owner`'s."""
        row = {**asdict(key), "owner": owner}
        await self._db.write(lambda transaction: _release.run(transaction.connection, row))

    # -- people --

    async def list(self, project: str, domain: str, query: Query) -> Page[Artifact]:
        """What is remembered, newest first unless the query sorts."""
        statement = select(artifacts).where(
            artifacts.c.project == project, artifacts.c.domain == domain
        )
        return await self._db.read(partial(_page, statement=statement, query=query))

    async def of_execution(self, run: RunId, query: Query) -> Page[Artifact]:
        """What is remembered of an execution's outputs, newest first unless the query sorts."""
        statement = select(artifacts).where(*_from_run(run))
        return await self._db.read(partial(_page, statement=statement, query=query))

    async def evict(self, keys: Sequence[CacheKey]) -> int:
        """Forget what is remembered under these keys; returns how many there were. The outputs themselves stay."""
        statement = dialect.Prepared(artifacts.delete().where(*_of_key))

        def forget(transaction: Transaction) -> int:
            return sum(statement.run(transaction.connection, asdict(k)).rowcount for k in keys)

        return await self._db.write(forget)

    async def evict_task(self, project: str, domain: str, task: str, version: str = "") -> int:
        """Forget what is remembered of a task, in one of its cache's versions or all; returns how many there were."""
        of = [artifacts.c.project == project, artifacts.c.domain == domain]
        of.append(artifacts.c.task == task)
        if version:
            of.append(artifacts.c.version == version)
        return await self._forget(*of)

    async def evict_execution(self, run: RunId) -> int:
        """Forget what is remembered of an execution's outputs; returns how many there were."""
        return await self._forget(*_from_run(run))

    async def _forget(self, *which: Any) -> int:
        statement = artifacts.delete().where(*which)
        return await self._db.write(
            lambda transaction: transaction.connection.execute(statement).rowcount
        )


def _from_run(run: RunId) -> tuple[Any, Any]:
    """Sources that begin with the run's name, as a range of the index. ``0`` is the character after ``/``."""
    return artifacts.c.source >= f"{run}/", artifacts.c.source < f"{run}0"


def _page(connection: Connection, *, statement: Select[Any], query: Query) -> Page[Artifact]:
    found = page(connection, statement, ARTIFACTS, query)
    return Page([_artifact(row) for row in found.items], found.token)


def _artifact(row: Row[Any]) -> Artifact:
    return Artifact(
        CacheKey(*(getattr(row, name) for name in KEY)),
        _value(*(getattr(row, name) for name in _FACTS)),
    )


def _value(outputs: str, source: str, created_at: int, digest: str, size: int) -> CachedOutputs:
    return CachedOutputs(outputs, source, at(created_at), digest, size)
