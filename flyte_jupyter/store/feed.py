"""The change feed: which records each commit touched, in order, for whoever shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.database import Database


class ChangeKind(StrEnum):
    """What kind of record changed."""

    EXECUTION = "execution"
    NODE_EXECUTION = "node_execution"
    TASK_EXECUTION = "task_execution"


@dataclass(frozen=True, slots=True)
class Change:
    """One record changed: look it up to see how. `seq` grows with every change and is a cursor."""

    seq: int
    kind: ChangeKind
    run: RunId
    node: str = ""
    attempt: int = 0


class Feed:
    """What changed, since when, and a wake-up when there is more."""

    def __init__(self, db: Database) -> None: ...

    async def since(
        self,
        cursor: int,
        *,
        run: RunId | None = None,
        project: str = "",
        domain: str = "",
        limit: int = 1000,
    ) -> Sequence[Change]:
        """Up to `limit` changes after `cursor`, oldest first: of one run, or of the executions of a project and domain."""
        raise NotImplementedError

    async def latest(self) -> int:
        """The cursor of the last change; 0 when there is none."""
        raise NotImplementedError

    async def too_old(self, cursor: int) -> bool:
        """Whether changes after `cursor` have been pruned (or it is from another database): take a snapshot instead."""
        raise NotImplementedError

    async def prune(self, keep: int = 100_000) -> None:
        """Forget all but the last `keep` changes."""
        raise NotImplementedError

    def subscribe(self) -> AsyncIterator[None]:
        """Wake-ups: one after every commit with changes since this call; those nobody waited for become one."""
        raise NotImplementedError
