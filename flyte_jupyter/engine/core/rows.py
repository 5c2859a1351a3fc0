"""What a row of the machine's table is given, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from flyte_jupyter.engine.core import policy
from flyte_jupyter.engine.core.actions import Action
from flyte_jupyter.engine.core.plan import NodePlan
from flyte_jupyter.engine.core.state import NodeState, Tries
from flyte_jupyter.idl.ids import Path

_FIRST = Tries()


class At(NamedTuple):
    """Where and when a row applies."""

    path: Path
    node: NodePlan
    now: datetime
    overwrite_cache: bool

    @property
    def timed_from(self) -> datetime | None:
        """From when the node's own time limit counts, if it is first queued now; None when it has none."""
        return self.now if policy.counts_time(self.node) else None

    @property
    def first(self) -> Tries:
        """The count of a node that has had no attempt yet: of most it is one and the same."""
        since = self.timed_from
        return _FIRST if since is None else Tries(since=since)


class Inside(NamedTuple):
    """What begins inside of a node that becomes `Nested`."""

    plan: str = ""
    """Digest of the expansion; ``""``: the node's own body."""
    arm: str = ""
    """Of a branch: the arm that is taken."""


class Next(NamedTuple):
    """What a row says: the node's next state and what is owed for it."""

    state: NodeState
    actions: tuple[Action, ...] = ()
    inside: Inside | None = None


Row = Callable[[At, Any, Any], Next]
