"""Everything that is SQLite's own: connecting, transactions, row numbers, and what its errors mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Table,
    bindparam,
    create_engine,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.compiler import SQLCompiler

from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.store.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseError,
    DatabaseReadOnly,
)
from flyte_jupyter.store.restoring import restore_command

SIDE_FILES = ("-wal", "-shm", ".mark")
READERS = 4
_PATIENCE = 10
"""Seconds to wait while another process writes."""
_LOOK = 0.001
DRIVER_ERRORS = (DBAPIError, sqlite3.Error)
"""What statements raise, with SQLAlchemy between or without."""

# The codes' low byte is the class of error, the whole says which one.
_CLASS = 0xFF
_FULL = frozenset(
    {sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE}
)

_ALWAYS = ("synchronous=FULL", "temp_store=MEMORY", "cache_size=-16384")
# The commit that moves the log into the file waits for the disk several times: rarely is better.
_WRITER = ("journal_size_limit=67108864", "wal_autocheckpoint=8000")
_READER = ("query_only=ON",)


def engine(path: Path, *, writer: bool) -> Engine:
    """Connections to an existing file, which this never creates; each statement stands alone until `begin`."""

    def connect() -> sqlite3.Connection:
        # Mode "rw" recovers a write-ahead log, which a reader must be able to do too; query_only keeps readers from writing.
        made = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_PATIENCE,
            check_same_thread=False,
        )
        try:
            for setting in (*_ALWAYS, *(_WRITER if writer else _READER)):
                made.execute(f"PRAGMA {setting}")
        except BaseException:
            made.close()
            raise
        return made

    return create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=1 if writer else READERS,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
    )


def begin(connection: Connection, *, write: bool) -> None:
    """Begin a transaction: for writing it waits for its turn now, for reading it sees one moment."""
    _driver(connection).execute("BEGIN IMMEDIATE" if write else "BEGIN")


def begin_in_turn(connection: Connection) -> None:
    """Begin a transaction for writing beside other processes that write too. Raises the driver's error when there is no turn.

    SQLite's own waiting looks ever more rarely, up to ten times a second: who comes between the commits of a busy process would be
    found waiting for long.
    """
    driver, until = _driver(connection), time.monotonic() + _PATIENCE
    driver.execute("PRAGMA busy_timeout=0")
    while not _begun(driver):
        if time.monotonic() > until:
            driver.execute("BEGIN IMMEDIATE")
            return
        time.sleep(_LOOK)


def _begun(driver: sqlite3.Connection) -> bool:
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & _CLASS != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def commit(connection: Connection) -> None:
    """End the transaction; what it wrote is on disk when this returns."""
    _driver(connection).execute("COMMIT")


def rollback(connection: Connection) -> None:
    """Undo the transaction; nothing if an error has already ended it."""
    if in_transaction(connection):
        _driver(connection).execute("ROLLBACK")


def in_transaction(connection: Connection) -> bool:
    """Whether a transaction is open: a full disk, for one, ends it without being asked."""
    return _driver(connection).in_transaction


def begin_part(connection: Connection) -> None:
    """Begin a part of a transaction that can be undone by itself."""
    _driver(connection).execute("SAVEPOINT part")


def undo_part(connection: Connection) -> None:
    """Undo what the part has written so far."""
    _driver(connection).execute("ROLLBACK TO part")


def end_part(connection: Connection) -> None:
    """Keep the part, as long as the transaction is kept."""
    _driver(connection).execute("RELEASE part")


class Prepared:
    """A statement compiled once and run on the driver itself, for the few that every commit needs.

    Values are bound by name, as the driver takes them: text, whole numbers, bytes, None. A column that is not named is None.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement

    def run(self, connection: Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        """Run it once."""
        sql, bound = self._compiled
        return _driver(connection).execute(sql, bound(values))

    def run_many(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run it for each row; nothing when there is none."""
        sql, bound = self._compiled
        _driver(connection).executemany(sql, map(bound, rows))

    def all(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """The rows as tuples."""
        return self.run(connection, values).fetchall()

    def first(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """The first row as a tuple; None when there is none."""
        return self.run(connection, values).fetchone()

    @cached_property
    def _compiled(self) -> tuple[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
        """The statement's text, and what puts values in its order; made at the first use, not at import."""
        compiled = _compiled(self._statement)
        names = tuple(compiled.positiontup or ())
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        if fixed:
            return str(compiled), lambda values: tuple(
                values[name] if name in values else fixed.get(name) for name in names
            )
        return str(compiled), lambda values: tuple(map(values.get, names))


class Batch:
    """A statement for the rows of a commit, each a tuple of its values in the order of `names`. Otherwise as `Prepared`."""

    def __init__(self, statement: ClauseElement, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = tuple(names)

    def run(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> int:
        """Run it for each row, nothing when there is none; returns how many rows of the table were written."""
        sql, in_order = self._compiled
        return (
            _driver(connection).executemany(sql, map(in_order, rows) if in_order else rows).rowcount
        )

    @cached_property
    def _compiled(self) -> tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]] | None]:
        """The statement's text, and what puts a row in its order, unless it stands in it."""
        inserts = isinstance(self._statement, Insert)
        compiled = _compiled(self._statement, self._names if inserts else None)
        places = [self._names.index(name) for name in compiled.positiontup or ()]
        if places == list(range(len(self._names))):
            return str(compiled), None
        return str(compiled), itemgetter(*places)


def _compiled(statement: ClauseElement, columns: Sequence[str] | None = None) -> SQLCompiler:
    """The statement's text for the driver; of an insertion only the `columns`, if they are given."""
    spoken = sqlite_dialect(paramstyle="qmark")
    return cast("SQLCompiler", statement.compile(dialect=spoken, column_keys=columns))


def among(column: Column[str], name: str) -> ColumnElement[bool]:
    """Whether the column's value is in the JSON list of texts that is bound under `name`: one statement, however many."""
    listed = func.json_each(bindparam(name)).table_valued("value")
    return column.in_(select(listed.c.value))


def upsert(table: Table, keys: Sequence[str]) -> Insert:
    """Insert a row, or replace the row of the same keys."""
    statement = insert(table)
    columns = [c.name for c in table.columns if c.name not in keys and not c.primary_key]
    if not columns:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: statement.excluded[name] for name in columns}
    )


def insert_new(table: Table) -> Insert:
    """Insert a row unless its key is taken."""
    return insert(table).on_conflict_do_nothing()


def insert_numbered(
    connection: Connection, insertion: Prepared, rows: Sequence[Mapping[str, Any]]
) -> range:
    """Insert and return the rows' new numbers, in order. Inside a write transaction SQLite numbers without gaps."""
    if not rows:
        return range(0)
    first = insertion.run(connection, rows[0]).lastrowid
    assert first is not None
    insertion.run_many(connection, rows[1:])
    return range(first, first + len(rows))


def translated(error: Exception, path: Path) -> Exception:
    """The store's own error for one of the driver's that says something about the file; any other error as it is."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        if isinstance(cause, sqlite3.DatabaseError) and "not a database" in str(cause):
            return damaged(path, str(cause))
        return error
    if code & _CLASS == sqlite3.SQLITE_FULL or code in _FULL:
        return StoreFull(
            f"No space to write {path} (disk, quota or file size limit): nothing was changed; free some space and it goes on"
        )
    match code & _CLASS:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(cause))
        case sqlite3.SQLITE_READONLY:
            return read_only(path, str(cause))
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PERM:
            return DatabaseError(
                f"{path} could not be read or written ({cause}): look at the disk and at who owns the folder",
                path,
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseBusy(
                f"{path} is locked by another program ({cause}): close what has it open; a process that was stopped"
                " while it wrote must be continued or killed",
                path,
            )
    return error


def damaged(path: Path, why: str, otherwise: str = "") -> DatabaseDamaged:
    """The error for a damaged file, with the command that restores it and what may be done otherwise."""
    remedy = f"{otherwise}; or, {restore_command(path)}" if otherwise else restore_command(path)
    return DatabaseDamaged(f"{path} is damaged ({why}); {remedy}", path)


def read_only(path: Path, why: str) -> DatabaseReadOnly:
    """The error for a file that may not be written."""
    return DatabaseReadOnly(
        f"{path} cannot be written ({why}); make the file and its folder writable (chmod u+w) or choose another data folder",
        path,
    )


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)
