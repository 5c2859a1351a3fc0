"""What other processes have committed to a shared database, told as what this one commits is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, func, select

from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.neighbours import Neighbours
from flyte_jupyter.store.opening import commits_of
from flyte_jupyter.store.tables import inbox, runs

log = logging.getLogger(__name__)

_LOOK_ANYWAY = 1.0
"""Seconds between two looks that nobody asked for: touches may be lost."""
_last = select(func.max(inbox.c.id))
_arrived = (
    select(runs.c.project, runs.c.domain, runs.c.name, func.max(inbox.c.id))
    .select_from(inbox.join(runs, runs.c.id == inbox.c.run_id))
    .where(inbox.c.id > bindparam("last"))
    .group_by(runs.c.id)
    .order_by(func.min(inbox.c.id))
)


class Read(Protocol):
    """How a database is read."""

    def __call__(self, query: Callable[[Connection], Any]) -> Awaitable[Any]:
        """Run `query` on a consistent snapshot."""


class Elsewhere:
    """Looks whenever a neighbour touches, and every second; `news` then hears which runs got durable messages."""

    def __init__(
        self,
        path: Path,
        read: Read,
        news: Callable[[Sequence[RunId]], None],
        connection: Connection,
    ) -> None:
        self._read = read
        self._news = news
        self._commits = commits_of(connection)
        self._last = connection.execute(_last).scalar() or 0
        self._asked = asyncio.Event()
        self._neighbours = Neighbours(path, self._asked.set)
        self._looking = asyncio.get_running_loop().create_task(self._look_for_ever())

    def touch(self) -> None:
        """This process has committed something that others want to hear of."""
        self._neighbours.touch()

    async def close(self) -> None:
        """Look no more."""
        self._neighbours.close()
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_for_ever(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _LOOK_ANYWAY)
            self._asked.clear()
            try:
                await self._look()
            except Exception:
                log.exception("what other processes have committed cannot be seen, looking again")
                await asyncio.sleep(_LOOK_ANYWAY)

    async def _look(self) -> None:
        commits, rows = await self._read(partial(_see, before=self._commits, last=self._last))
        if commits == self._commits:
            return
        self._commits = commits
        self._last = max([self._last, *(last for *_, last in rows)])
        self._news([RunId(*name) for *name, _ in rows])


def _see(connection: Connection, *, before: int, last: int) -> tuple[int, Sequence[Any]]:
    commits = commits_of(connection)
    if commits == before:
        return commits, ()
    return commits, connection.execute(_arrived, {"last": last}).all()
