"""Runs as the engine keeps them: the `Runs` port over the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from flyte_jupyter.engine.ports import Commit, Committed, Lease, StoredRun
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.database import Database


class SqlRuns:
    """Implements `flyte_jupyter.engine.ports.Runs`."""

    def __init__(self, db: Database) -> None: ...

    async def acquire(
        self, holder: str, ttl: timedelta, now: datetime, *, force: bool = False
    ) -> Lease | None:
        """Take or renew the lease; None when another holder's is still good. A new holder gets a higher epoch."""
        raise NotImplementedError

    async def release(self, holder: str) -> None:
        """Give the lease back."""
        raise NotImplementedError

    async def open_runs(self) -> Sequence[RunId]:
        """Runs that are not final, oldest first, and ended ones that still owe an action."""
        raise NotImplementedError

    async def load(self, run: RunId) -> StoredRun:
        """The run as last committed. Raises `NotFound`."""
        raise NotImplementedError

    async def commit(self, commit: Commit) -> Committed:
        """All or nothing. Raises `Fenced`, `Stale` or `StoreFull`."""
        raise NotImplementedError

    async def settle(self, run: RunId, settled: Sequence[int], epoch: int) -> None:
        """Mark owed actions as done without changing the run. Raises `Fenced` or `StoreFull`."""
        raise NotImplementedError

    def arrivals(self) -> AsyncIterator[RunId]:
        """Runs for which a durable message has been committed since this call; a run once until it is taken."""
        raise NotImplementedError
