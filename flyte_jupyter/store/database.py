"""The database file: one writer that commits for many, readers beside it, and the checks at the door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Transaction:
    """One write: its connection, and what to do when it is on disk."""

    connection: Connection

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call on the event loop once this write is durable, before whoever awaits it goes on; equal callbacks once."""
        raise NotImplementedError


class Database:
    """An open database. All methods belong to one event loop."""

    path: Path

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Database:
        """Open the file, made anew if it is absent, at this program's schema. Blocks; call before the loop serves.

        Raises:
            DatabaseDamaged, DatabaseTooNew, NetworkFileSystem, DatabaseReadOnly, DatabaseBusy: the file cannot be used;
                the message is one line with the remedy.
            StoreFull: no space to make or migrate it.
        """
        raise NotImplementedError

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` on a consistent snapshot in a reader thread."""
        raise NotImplementedError

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in the writer thread and return when it is on disk. What it raises undoes it alone. Raises `StoreFull`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what was handed in, then let go of the file."""
        raise NotImplementedError
