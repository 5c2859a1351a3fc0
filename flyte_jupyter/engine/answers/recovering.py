"""What an earlier execution has done already, when another one recovers it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.core.state import (
    TERMINAL,
    Aborted,
    Failed,
    Kept,
    Scope,
    Skipped,
    Succeeded,
)
from flyte_jupyter.engine.ports import Runs
from flyte_jupyter.idl.ids import AttemptId, Path, RunId

_MOST_SIZES = 10_000


@dataclass(frozen=True, slots=True)
class Earlier:
    """The earlier execution as it ended."""

    run: RunId
    nodes: Mapping[Path, Kept]
    raw_output: str
    """Its own place for raw outputs, if it had one."""
    recovers: RunId | None = None
    """The execution that it recovered itself."""

    def path(self, path: Path) -> Path | None:
        """Where the node of this path stood there: inside the last attempts that there were. None: it never began."""
        found: Path = ()
        for part, inside in zip(path, (*path[1:], None), strict=True):
            # A number before a name is an attempt, any other an item.
            if isinstance(part, int) and isinstance(inside, str):
                last = self.last_attempt(found)
                if last is None:
                    return None
                part = last  # noqa: PLW2901 - the earlier execution's number
            found = (*found, part)
        return found

    def last_attempt(self, path: Path) -> int | None:
        """The number of the last attempt of a node there; None when it had none."""
        state = self.nodes.get(path)
        if isinstance(state, Succeeded | Failed | Aborted):
            return state.attempt
        tries = getattr(state, "tries", None)
        return tries.attempt if tries is not None else None

    def success(self, path: Path) -> AttemptId | None:
        """The attempt by which the node succeeded there; None when it did not."""
        theirs = self.path(path)
        state = self.nodes.get(theirs) if theirs is not None else None
        if theirs is None or not isinstance(state, Succeeded):
            return None
        return AttemptId(self.run, theirs, state.attempt)

    def failed(self, path: Path) -> bool:
        """Whether the node was tried there until it had failed: then nothing earlier had its outputs."""
        theirs = self.path(path)
        return theirs is not None and isinstance(self.nodes.get(theirs), Failed)

    def outputs(self, root: str, attempt: AttemptId) -> str:
        """Where the outputs of a success stand."""
        state = self.nodes[attempt.path]
        assert isinstance(state, Succeeded)
        return state.outputs or layout.outputs_uri(root, attempt)

    def alike(self, path: Path, nodes: Mapping[Path, Kept]) -> bool:
        """Whether the node stands inside the same graphs there as here: a dynamic task that ran again may have made others."""
        theirs = self.path(path)
        return theirs is not None and all(
            _graph(nodes.get(path[:end])) == _graph(self.nodes.get(theirs[:end]))
            for end in range(2, len(path))
        )

    def unfinished(self, path: Path) -> AttemptId | None:
        """The last attempt of a node that did not succeed there; None when it had none."""
        theirs = self.path(path)
        state = self.nodes.get(theirs) if theirs is not None else None
        if theirs is None or state is None or isinstance(state, Succeeded | Skipped | Scope):
            return None
        last = self.last_attempt(theirs)
        return AttemptId(self.run, theirs, last) if last is not None else None

    def expansion(self, attempt: AttemptId) -> str:
        """Digest of the graph that this attempt left; ``""`` when it left none."""
        return _graph(self.nodes.get((*attempt.path, attempt.attempt)))


class Recoveries:
    """Earlier executions by name, each loaded once while somebody recovers it: many small ones (children), or a few large ones."""

    def __init__(self, runs: Runs, most: int = 500_000) -> None:
        self._runs = runs
        self._most = most
        self._loaded: dict[RunId, Earlier] = {}
        self._sizes: dict[RunId, int] = {}
        self._loading = asyncio.Lock()

    async def of(self, run: RunId) -> Earlier:
        """An earlier execution. Raises what the store raises."""
        async with self._loading:
            found = self._loaded.pop(run, None)
            if found is None:
                stored = await self._runs.load(run)
                kept = {p: s for p, s in stored.state.nodes.items() if _matters(s)}
                place = stored.spec.raw_output_data_config.output_location_prefix
                found = Earlier(run, kept, place, stored.recovers)
                left = self._most - len(kept)
                while self._loaded and sum(map(_size, self._loaded.values())) > left:
                    del self._loaded[next(iter(self._loaded))]
                if len(self._sizes) == _MOST_SIZES:
                    self._sizes.clear()
                self._sizes[run] = _size(found)
            self._loaded[run] = found
            return found

    async def beside(self, run: RunId, held: int) -> Earlier | None:
        """An earlier execution, unless so many nodes of others are `held` that it is known not to fit beside them.

        Who asks for several asks for each node: of more than can be held, each would be loaded anew for each.
        """
        if held and held + self._sizes.get(run, 0) > self._most:
            return None
        return await self.of(run)


async def nearest(
    recoveries: Recoveries, run: RunId, path: Path, nodes: Mapping[Path, Kept]
) -> Earlier | None:
    """The execution to take a node over from: of those that recovered one another, from `run` backwards, the first that has done it.

    A recovery that was stopped has not come to all that was done before it. Where none has done it, it is the last one that had the
    same graph; None when there is none.
    """
    found = await backwards(recoveries, run, path, nodes, to_success=True)
    if not found:
        return None
    return found[-1] if found[-1].success(path) is not None else found[0]


async def backwards(
    recoveries: Recoveries,
    run: RunId,
    path: Path,
    nodes: Mapping[Path, Kept],
    *,
    to_success: bool = False,
) -> list[Earlier]:
    """The executions that recovered one another, from `run` on, as far as they had the node and it may have been begun before them.

    No more of them than can be held at once; `to_success`: none before the first that has done it.
    """
    found: list[Earlier] = []
    held, earlier = 0, await recoveries.beside(run, 0)
    while earlier is not None:
        if earlier.alike(path, nodes):
            found.append(earlier)
            if earlier.failed(path) or (to_success and earlier.success(path) is not None):
                break
        held += _size(earlier)
        before = earlier.recovers
        earlier = None if before is None else await recoveries.beside(before, held)
    return found


def _size(earlier: Earlier) -> int:
    return len(earlier.nodes) + 1


def _graph(scope: Kept | None) -> str:
    return scope.plan if isinstance(scope, Scope) else ""


def _matters(state: Kept) -> bool:
    if isinstance(state, Scope):
        return True
    return hasattr(state, "tries") or (
        isinstance(state, TERMINAL) and not isinstance(state, Skipped)
    )
