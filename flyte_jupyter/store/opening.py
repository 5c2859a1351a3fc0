"""The checks at the door: what must hold before a database file is used, and how a new one comes to be."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path, PurePosixPath

from sqlalchemy import Connection, select

from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.store import dialect, mark
from flyte_jupyter.store.errors import (
    DatabaseError,
    DatabaseTooNew,
    NetworkFileSystem,
    NotFound,
)
from flyte_jupyter.store.holding import of_file
from flyte_jupyter.store.restoring import back_up, copy_aside, copy_is_due
from flyte_jupyter.store.tables import ledger
from flyte_jupyter.supervisor.filesystems import network_file_system

_VERSIONS = "flyte_jupyter.store.migrations.versions"
ALWAYS_CHECKED = 256 * 1024 * 1024
"""Bytes. A file up to this size is checked whenever it is opened, a larger one when more may have befallen it than a process's death."""
MAGIC = b"SQLite format 3\0"
REVISIONS = {
    "0001": "0001_first",
    "0002": "0002_composites",
    "0003": "0003_literals",
    "0004": "0004_names",
    "0005": "0005_tags",
}
"""Every revision and its module in ``migrations/versions``, oldest first."""
HEAD = list(REVISIONS)[-1]
"""The newest revision."""
_commits = dialect.Prepared(select(ledger.c.commits))


def refuse_network(path: Path, mounts: str) -> None:
    """Raise `NetworkFileSystem` when `path` stands on one."""
    kind = network_file_system(PurePosixPath(path.resolve()), mounts)
    if kind is not None:
        raise NetworkFileSystem(
            f"{path} is on a network file system ({kind}), where a database is not safe;"
            " put the data on a local disk: set FLYTE_JUPYTER_DATA_DIR to a folder there",
            path,
        )


def prepare_folder(path: Path) -> None:
    """Make the file's folder, for its owner only, and see that both can be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            os.close(os.open(path, os.O_RDWR))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise dialect.read_only(path, f"no right to write in {path.parent}")
    except OSError as error:
        raise of_file(error, path) from error


def ensure_file(path: Path, *, create: bool = True) -> None:
    """See that there is a database file, or make one; never take the remains of one for a new beginning."""
    if not path.exists():
        remains = [f"{path}{end}" for end in dialect.SIDE_FILES if Path(f"{path}{end}").exists()]
        if remains:
            raise dialect.damaged(path, f"the file is gone, though {remains[0]} is there")
        if not create:
            raise NotFound(f"There is no database at {path}: start a control plane to make one")
        _create(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        raise of_file(error, path) from error
    if start != MAGIC:
        why = "it is empty" if not start else "it does not begin as a database does"
        raise dialect.damaged(path, why)


def _create(path: Path) -> None:
    """Make the whole database under another name, so that a file of the right name is never half made."""
    new = path.with_name(f"{path.name}.new")
    for end in ("", *dialect.SIDE_FILES):
        Path(f"{new}{end}").unlink(missing_ok=True)
    try:
        new.touch(mode=0o600)
    except OSError as error:
        raise of_file(error, path) from error
    engine = dialect.engine(new, writer=True)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            _make(connection)
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    except dialect.DRIVER_ERRORS as error:
        raise dialect.translated(error, path) from error
    finally:
        engine.dispose()
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_ready(path: Path) -> None:
    """See that the file is there, whole, and at this program's schema. For who has it alone, and before it is opened for good.

    The connection is closed again: copying a file lets go of all locks that the process has on it, as POSIX has it, and other
    processes would take a connection that lived on for none.

    Raises:
        DatabaseDamaged, DatabaseTooNew, NetworkFileSystem, StoreFull: it cannot be used.
    """
    ensure_file(path)
    large = _trusted(path)
    engine = dialect.engine(path, writer=True)
    try:
        with engine.connect() as connection:
            _check_whole(connection, path, trusted=large)
            _bring_up_to_date(connection, path)
            mark.refuse_lost(path, commits_of(connection))
    except dialect.DRIVER_ERRORS as error:
        raise dialect.translated(error, path) from error
    finally:
        engine.dispose()
    _keep_copy(path)


def commits_of(connection: Connection) -> int:
    """How many transactions the file has seen."""
    return int(_commits.first(connection, {})[0])


def _trusted(path: Path) -> bool:
    """Whether reading the whole file to check it can be spared: it is large, and stands as it was left, or its users were killed.

    A check reads about 1 GB in two seconds, much more slowly when the file is not in memory. What is about to be copied over an
    older copy is always checked.
    """
    large = path.stat().st_size > ALWAYS_CHECKED
    if not large or copy_is_due(path):
        return False
    return mark.closed_cleanly(path) or mark.only_killed(path)


def _check_whole(connection: Connection, path: Path, *, trusted: bool) -> None:
    """Recover the write-ahead log and check the file's structure, unless it is `trusted`. Raises `DatabaseDamaged`."""
    try:
        mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one()
        said = "ok" if trusted else connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    except dialect.DRIVER_ERRORS as error:
        raise dialect.translated(error, path) from error
    if said != "ok":
        raise dialect.damaged(path, " ".join(str(said).split()))
    if mode != "wal":
        raise NetworkFileSystem(
            f"{path} is on a file system without shared memory (journal mode stays {mode});"
            " set FLYTE_JUPYTER_DATA_DIR to a folder on a local disk",
            path,
        )


def refuse_other_schema(connection: Connection, path: Path) -> None:
    """Raise `DatabaseTooNew` or `DatabaseError` when the file is not at this program's schema, for who may not migrate it."""
    try:
        revision = _revision(connection, path)
    except dialect.DRIVER_ERRORS as error:
        raise dialect.translated(error, path) from error
    if revision != HEAD:
        raise DatabaseError(
            f"{path} was written by an older version of flyte-jupyter (schema {revision}, this one reads {HEAD});"
            " stop all that use it, and start a control plane of this version: it brings the file up to date",
            path,
        )


def _revision(connection: Connection, path: Path) -> str:
    """The file's revision, one of the known ones. Raises `DatabaseTooNew`, `DatabaseDamaged`."""
    known = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
    ).scalar()
    if known is None:
        raise dialect.damaged(path, "it is a database, but not of this program")
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if revision not in REVISIONS:
        raise DatabaseTooNew(
            f"{path} was written by a newer version of flyte-jupyter (schema {revision}, this one knows {HEAD});"
            " upgrade with: pip install --upgrade flyte-jupyter",
            path,
        )
    return str(revision)


def _bring_up_to_date(connection: Connection, path: Path) -> None:
    """Migrate an older schema, with a copy of the file put aside first. Raises `DatabaseTooNew`, `StoreFull`."""
    try:
        revision = _revision(connection, path)
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        if revision != HEAD:
            copy_aside(path, path.with_name(f"{path.name}.before-{HEAD}"))
            _migrate(connection)
    except dialect.DRIVER_ERRORS as error:
        raise dialect.translated(error, path) from error
    except OSError as error:
        raise StoreFull(
            f"{path} could not be copied aside before its migration ({error}): free some space and start again"
        ) from error


def _keep_copy(path: Path) -> None:
    """Keep the regular copy fresh; a full disk is no reason not to start."""
    try:
        back_up(path)
    except OSError:
        return


def _make(connection: Connection) -> None:
    """Every revision as its own module makes it, marked as Alembic marks the newest."""
    dialect.begin(connection, write=True)
    for module in REVISIONS.values():
        import_module(f"{_VERSIONS}.{module}").make(connection)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    dialect.commit(connection)


def _migrate(connection: Connection) -> None:
    # Alembic takes a quarter of a second to import, and is needed once a version.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    dialect.begin(connection, write=True)
    try:
        command.upgrade(config, HEAD)
        dialect.commit(connection)
    except BaseException:
        dialect.rollback(connection)
        raise
