"""The one writer: a thread that takes what waits, runs it in one transaction, and tells everybody once it is on disk."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, bindparam

from flyte_jupyter.store import dialect, mark
from flyte_jupyter.store.errors import StoreClosed
from flyte_jupyter.store.opening import commits_of
from flyte_jupyter.store.tables import ledger

T = TypeVar("T")

_count = dialect.Prepared(ledger.update().values(commits=bindparam("commits")))

MOST_IN_A_GROUP = 64
"""More would make the first of a group wait for the last without saving much: one fsync in 64 writes is little."""


class Transaction:
    """One write: its connection, and what to do when it is on disk."""

    def __init__(self, connection: Connection, era: int) -> None:
        self.connection = connection
        self.era = era
        """Another number when what was known of rows need not hold any more: a write was undone, or another process has written."""
        self.callbacks: dict[Callable[[], None], None] = {}

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call on the event loop once this write is durable, before whoever awaits it goes on; equal callbacks once."""
        self.callbacks[callback] = None


@dataclass(slots=True)
class _Write:
    change: Callable[[Transaction], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    nearly: Callable[[], None] | None = None
    result: Any = None
    error: Exception | None = None
    callbacks: dict[Callable[[], None], None] = field(default_factory=dict)


class _Ended(Exception):
    """SQLite ended the whole transaction, not only one statement of it."""


class Writer:
    """Group commit: ``BEGIN IMMEDIATE``, a savepoint a write, one ``COMMIT`` (with its fsync) for all that waited.

    After each commit the number of commits is put into ``<file>.mark``: a file that knows of fewer commits than its mark has lost
    some, which is how a cut-off write-ahead log is told from a whole one.

    When the file is `shared`, the same number, read at the beginning of each transaction, tells whether another process has written.
    """

    def __init__(self, connection: Connection, path: Path, *, shared: bool = False) -> None:
        self._connection = connection
        self._path = path
        self._shared = shared
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._era = 0
        self._commits = commits_of(connection)
        self._mark = mark.open_for(path, self._commits)
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Begin to take writes."""
        self._thread.start()

    async def submit(
        self, change: Callable[[Transaction], T], nearly: Callable[[], None] | None = None
    ) -> T:
        """Hand in a write and wait for it. `nearly` is called on the event loop once all that is left is the ``COMMIT``."""
        loop = asyncio.get_running_loop()
        write = _Write(change, loop, loop.create_future(), nearly)
        with self._closing:
            if self._closed:
                raise StoreClosed(f"{self._path} is closed: open it again to write")
            self._queue.put(write)
        return cast("T", await write.future)

    def close(self) -> None:
        """Finish what was handed in and stop. Blocks."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._mark)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, more = [first], True
            while more and len(group) < MOST_IN_A_GROUP:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._queue.put(None)
                    more = False
                else:
                    group.append(following)
            try:
                self._commit_together(group)
            except Exception as error:  # noqa: BLE001 - this thread is the only writer: it tells, and lives on
                for write in group:
                    write.error = write.error or error
            _announce(group)

    def _commit_together(self, group: Sequence[_Write]) -> None:
        try:
            self._begin()
            if len(group) == 1:
                self._alone(group[0])
            else:
                for write in group:
                    self._attempt(write)
            _foretell(group)
            _count.run(self._connection, {"commits": self._commits + 1})
            dialect.commit(self._connection)
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait are told and the next group is tried
            self._undo(group, error)
            return
        self._commits += 1
        # A mark that is behind says nothing wrong: it only notices less.
        with suppress(OSError):
            os.pwrite(self._mark, mark.line(self._commits), 0)

    def _begin(self) -> None:
        if not self._shared:
            dialect.begin(self._connection, write=True)
            return
        dialect.begin_in_turn(self._connection)
        commits = commits_of(self._connection)
        if commits != self._commits:
            self._commits = commits
            self._era += 1

    def _alone(self, write: _Write) -> None:
        """Run the only write of a transaction: its error may take the whole of it along."""
        transaction = Transaction(self._connection, self._era)
        write.result = write.change(transaction)
        write.callbacks = transaction.callbacks

    def _attempt(self, write: _Write) -> None:
        """Run one write in its savepoint; its own error stays its own, unless the transaction went with it."""
        transaction = Transaction(self._connection, self._era)
        dialect.begin_part(self._connection)
        try:
            write.result = write.change(transaction)
        except Exception as error:
            if not dialect.in_transaction(self._connection):
                raise _Ended from error
            write.error = dialect.translated(error, self._path)
            self._era += 1
            dialect.undo_part(self._connection)
        else:
            write.callbacks = transaction.callbacks
        dialect.end_part(self._connection)

    def _undo(self, group: Sequence[_Write], error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, _Ended) else error
        assert isinstance(cause, Exception)
        self._era += 1
        with suppress(*dialect.DRIVER_ERRORS):
            dialect.rollback(self._connection)
        for write in group:
            # One that failed by itself keeps its own reason; the others share the group's.
            write.error = write.error or dialect.translated(cause, self._path)
            write.callbacks = {}


def _foretell(group: Sequence[_Write]) -> None:
    """While this thread waits for the disk the loop can go on: Python's lock is free then, and hardly before."""
    for write in group:
        if write.nearly is not None and write.error is None:
            # A loop that was closed in the meantime has nobody left to tell.
            with suppress(RuntimeError):
                write.loop.call_soon_threadsafe(write.nearly)


def _announce(group: Sequence[_Write]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
    for write in group:
        by_loop.setdefault(write.loop, []).append(write)
    for loop, writes in by_loop.items():
        # A loop that was closed in the meantime has nobody left to tell.
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell, writes)


def _tell(writes: Sequence[_Write]) -> None:
    callbacks: dict[Callable[[], None], None] = {}
    for write in writes:
        callbacks |= write.callbacks
    for callback in callbacks:
        callback()
    for write in writes:
        if write.future.done():
            continue
        if write.error is None:
            write.future.set_result(write.result)
        else:
            write.future.set_exception(write.error)
