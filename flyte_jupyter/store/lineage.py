"""Whose outputs were taken over by whom: by hits of the cache and by recoveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.tables import runs, uses

_uses = select(
    runs.c.project, runs.c.domain, runs.c.name, uses.c.node, uses.c.source, uses.c.how
).join(runs, runs.c.id == uses.c.run_id)


@dataclass(frozen=True, slots=True)
class Use:
    """A node took its outputs from an earlier task execution, ``project/domain/execution/node/attempt``.

    `node` is its id, of an item ``map/3``; rows that were written earlier have ``map-3``, which may be a node's too.
    """

    run: RunId
    node: str
    source: str
    how: str


class Lineage:
    """Looks up uses from both sides."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of_consumer(self, run: RunId) -> Sequence[Use]:
        """What the nodes of an execution took over."""
        only = _uses.where(
            runs.c.project == run.project, runs.c.domain == run.domain, runs.c.name == run.name
        )
        return await self._db.read(lambda c: _found(c, only.order_by(uses.c.node)))

    async def of_producer(self, run: RunId) -> Sequence[Use]:
        """Who took over outputs of an execution."""
        # A range of the index: "0" is the character after "/".
        only = _uses.where(uses.c.source >= f"{run}/", uses.c.source < f"{run}0")
        return await self._db.read(lambda c: _found(c, only.order_by(uses.c.run_id, uses.c.node)))


def _found(connection: Connection, statement: Select[Any]) -> list[Use]:
    rows = connection.execute(statement)
    return [Use(RunId(*row[:3]), *row[3:]) for row in rows]
