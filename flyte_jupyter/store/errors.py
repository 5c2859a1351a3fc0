"""What can go wrong in the store: one tree, each message one line that ends with what to do next."""

from __future__ import annotations

from pathlib import Path

from flyte_jupyter.engine.ports import StoreBusy


class StoreError(Exception):
    """Anything the store refuses or cannot do."""


class NotFound(StoreError):
    """There is no such record."""


class AlreadyExists(StoreError):
    """There is a record of that name."""


class AlreadyExistsIdentical(AlreadyExists):
    """This very content is registered under that version: nothing was changed."""


class AlreadyExistsDifferent(AlreadyExists):
    """Other content is registered under that version, which never changes: register a new version."""


class AlreadyTerminal(StoreError):
    """The execution has ended: nothing about its run can change."""


class InvalidSignal(StoreError):
    """Nothing waits for this signal, or the value is not what it takes."""


class InvalidQuery(StoreError):
    """A filter, sort key, limit or page token that the listing does not know."""


class StoreClosed(StoreError):
    """The database was closed: nothing can be read or written through this object any more."""


class DatabaseError(StoreError):
    """The database file cannot be used. `path` is the file."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


class DatabaseDamaged(DatabaseError):
    """The file, or its write-ahead log, is not what was last written."""


class DatabaseTooNew(DatabaseError):
    """A newer version of this program wrote the file."""


class NetworkFileSystem(DatabaseError):
    """The file would stand on a network file system, where SQLite's locks and shared memory fail."""


class DatabaseReadOnly(DatabaseError):
    """The file, or its folder, cannot be written."""


class DatabaseBusy(DatabaseError, StoreBusy):
    """Another process has the file open, or does not come to an end of writing it."""
