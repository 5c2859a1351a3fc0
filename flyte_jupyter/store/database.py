"""The database file: one writer that commits for many, readers beside it, and the checks at the door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store import dialect, opening
from flyte_jupyter.store.announcements import Announcements
from flyte_jupyter.store.elsewhere import Elsewhere
from flyte_jupyter.store.errors import DatabaseReadOnly, StoreClosed
from flyte_jupyter.store.folded import Folded
from flyte_jupyter.store.holding import Holding
from flyte_jupyter.store.mark import CleanEnd
from flyte_jupyter.store.writer import Transaction, Writer
from flyte_jupyter.supervisor.filesystems import mount_table

T = TypeVar("T")

__all__ = ["Database", "Transaction"]


class Database:
    """An open database. All methods belong to one event loop. A file has one writing process, unless all of them share it."""

    def __init__(self, path: Path, readers: Engine, writer: Writer | None, held: ExitStack) -> None:
        self.path = path
        self.arrivals: Announcements[RunId] = Announcements()
        """Runs that got a durable message."""
        self.changes: Announcements[None] = Announcements()
        """That the change feed has grown."""
        self.folded: Folded[Any] = Folded()
        """Records of open executions, for writes only."""
        self.appended = 0
        """How many changes this process has put into the feed since it last pruned it, for writes only."""
        self._readers = readers
        self._writer = writer
        self._held = held
        self._pool = ThreadPoolExecutor(dialect.READERS, thread_name_prefix="store-reader")
        self._elsewhere: Elsewhere | None = None
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, *, readonly: bool = False, shared: bool = False, mounts: str | None = None
    ) -> Database:
        """Open the file, made anew if it is absent, at this program's schema. Blocks; call before the loop serves.

        A read-only database is for looking beside a running control plane; it takes no lock and changes nothing.
        A `shared` one lets other processes in that share it too, and hears at once of what they commit: to be opened on the running
        event loop, and once in a process. `mounts` is the mount table to judge the file system by; the system's own unless given.

        Raises:
            DatabaseDamaged, DatabaseTooNew, NetworkFileSystem, DatabaseReadOnly, DatabaseBusy: the file cannot be used;
                the message is one line with the remedy.
            StoreFull: no space to make or migrate it.
        """
        opening.refuse_network(path, mount_table() if mounts is None else mounts)
        with ExitStack() as held:
            if readonly:
                opening.ensure_file(path, create=False)
                readers = _engine(path, held, writer=False)
                try:
                    with readers.connect() as looking:
                        opening.refuse_other_schema(looking, path)
                except dialect.DRIVER_ERRORS as error:
                    raise dialect.translated(error, path) from error
                return cls(path, readers, None, held.pop_all())
            opening.prepare_folder(path)
            holding = Holding(path, shared=shared)
            held.callback(holding.let_go)
            end = CleanEnd(path, holding.leave)
            held.callback(end.note)
            if holding.alone:
                opening.make_ready(path)
            else:
                opening.ensure_file(path)
            engine = _engine(path, held, writer=True)
            try:
                connection = held.enter_context(engine.connect())
            except dialect.DRIVER_ERRORS as error:
                raise dialect.translated(error, path) from error
            opening.refuse_other_schema(connection, path)
            writer = Writer(connection, path, shared=shared)
            held.callback(writer.close)
            database = cls(path, _engine(path, held, writer=False), writer, held)
            holding.join()
            if shared:
                database._elsewhere = Elsewhere(path, database.read, database._hear, connection)
            writer.start()
            end.begun = True
            database._held = held.pop_all()
            return database

    def wake(self) -> None:
        """Tell that the change feed has grown."""
        self.changes.publish(None)
        self._tell_others()

    def arrived(self, run: RunId) -> None:
        """Tell that this run got a durable message."""
        self.arrivals.publish(run)
        self._tell_others()

    def _tell_others(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.touch()

    def _hear(self, runs: Sequence[RunId]) -> None:
        """Other processes have committed something, messages for these runs among it."""
        self.changes.publish(None)
        for run in runs:
            self.arrivals.publish(run)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` on a consistent snapshot in a reader thread. Raises `StoreClosed`, `DatabaseDamaged`."""
        if self._closed:
            raise StoreClosed(f"{self.path} is closed: open it again to read")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, query)

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._readers.connect() as connection:
                dialect.begin(connection, write=False)
                try:
                    return query(connection)
                finally:
                    dialect.rollback(connection)
        except dialect.DRIVER_ERRORS as error:
            raise dialect.translated(error, self.path) from error

    async def write(
        self, change: Callable[[Transaction], T], nearly: Callable[[], None] | None = None
    ) -> T:
        """Run `change` in the writer thread and return when it is on disk; what it raises undoes it alone.

        `nearly` is called on the event loop when it has been run and the disk is waited for.
        Many writes that wait at the same time share one commit, so `change` must not wait for another write.
        A caller that is cancelled does not take its write along.

        Raises:
            StoreFull: no space; nothing was changed.
            StoreClosed, DatabaseReadOnly: this database takes no writes.
        """
        if self._writer is None:
            raise DatabaseReadOnly(
                f"{self.path} was opened for reading: open it for writing", self.path
            )
        return await self._writer.submit(change, nearly)

    async def close(self) -> None:
        """Finish what was handed in, then let go of the file. Closing twice is nothing."""
        if self._closed:
            return
        self._closed = True
        if self._elsewhere is not None:
            await self._elsewhere.close()
        await asyncio.get_running_loop().run_in_executor(None, self._shut)

    def _shut(self) -> None:
        self._pool.shutdown()
        self._held.close()


def _engine(path: Path, held: ExitStack, *, writer: bool) -> Engine:
    engine = dialect.engine(path, writer=writer)
    held.callback(engine.dispose)
    return engine
