"""Records as they were last folded, kept while more is to come, so that the next event of a record needs no reading."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import Generic, TypeVar

from flyte_jupyter.store.writer import Transaction

T = TypeVar("T")

MOST = 10_000
"""How many records are kept; one takes about 1 KB."""


class Folded(Generic[T]):
    """Belongs to the writer's thread. Whenever a write is undone, everything is forgotten: some of it may never have been.

    So it is when another process has written: some of it may have changed.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, T] = {}
        self._era = 0

    def of(self, transaction: Transaction) -> dict[Hashable, T]:
        """What is known to this transaction, to be read and changed as rows are."""
        if transaction.era != self._era:
            self._kept.clear()
            self._era = transaction.era
        excess = len(self._kept) - MOST
        if excess > 0:
            # The oldest, and some more, so that this is not done again at once.
            for key in list(islice(self._kept, excess + MOST // 10)):
                del self._kept[key]
        return self._kept
