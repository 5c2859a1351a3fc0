"""What would come from the catalog if a workflow were launched now: the machine itself, without attempts, and without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from flyte_jupyter.engine.answers import Answers, AnswerSettings, RunContext
from flyte_jupyter.engine.core.actions import Action, Gather, Launch, Probe, Question, ResolveInputs
from flyte_jupyter.engine.core.observations import Observation, Started
from flyte_jupyter.engine.core.plan import LEAVES
from flyte_jupyter.engine.core.scopes import node_at
from flyte_jupyter.engine.core.state import Kept, RunState, Succeeded
from flyte_jupyter.engine.core.step import fold, initial
from flyte_jupyter.engine.ports import (
    Blobs,
    CachedOutputs,
    CacheKey,
    Catalog,
    Ports,
    Reservation,
)
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import Path, path_text

_QUESTIONS = (ResolveInputs, Probe, Gather)
_MOST_STEPS = 10_000
_CHUNK = 64
"""After so many answers others get their turn."""


class Verdict(StrEnum):
    """What would become of a node."""

    HIT = "hit"
    """Its outputs would come from the catalog."""
    MISS = "miss"
    """It would be asked for in vain, and run."""
    RUN = "run"
    """The catalog would not be asked, for it is not cached or what is remembered is to be replaced: it would run."""
    UNKNOWN = "unknown"
    """It waits for something that would run, so its inputs are not known yet."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One task, child execution or item."""

    node: str
    """Its id as clients would see it."""
    task: str
    verdict: Verdict
    source: str = ""
    """Of a hit, whose outputs: ``project/domain/execution/node/attempt``."""


async def preview(
    ports: Ports, settings: AnswerSettings, run: RunContext, inputs: core.LiteralMap
) -> Sequence[Foreseen]:
    """What the catalog would give a run, node by node. Reads, and changes nothing.

    What depends on outputs that do not exist yet is `Verdict.UNKNOWN`, the nodes of graphs that were not entered are left out.
    """
    overlay = _Overlay(ports.blobs)
    where = f"{ports.blobs.root}/preview/{run.id}/inputs.pb"
    await overlay.put(where, inputs.SerializeToString(deterministic=True))
    run.inputs = where
    look = replace(ports, blobs=overlay, catalog=_ReadOnly(ports.catalog))
    answers = Answers(look, settings)
    await answers.begin(run)
    state = initial(run.plans, overwrite_cache=run.spec.overwrite_cache, most_opening=0)
    batch: list[Observation] = [Started()]
    would_run: set[Path] = set()
    for _ in range(_MOST_STEPS):
        if not batch:
            break
        questions: list[Question] = []
        for start in range(0, len(batch), _CHUNK):
            step = fold(run.plans, state, batch[start : start + _CHUNK], ports.clock.now())
            state = step.state
            would_run |= {action.path for action in step.actions if isinstance(action, Launch)}
            questions += _asked(step.actions)
            await asyncio.sleep(0)
        batch = []
        for start in range(0, len(questions), _CHUNK):
            part = questions[start : start + _CHUNK]
            batch += [await answers.answer(run, asked, state) for asked in part]
            await asyncio.sleep(0)
    return tuple(_verdicts(run, state, would_run))


def _asked(actions: Sequence[Action]) -> Iterator[Question]:
    return (action for action in actions if isinstance(action, _QUESTIONS))


def _verdicts(run: RunContext, state: RunState, would_run: set[Path]) -> Iterator[Foreseen]:
    untouched = ((name,) for name in run.plans.root.nodes if (name,) not in state.nodes)
    for path in sorted([*state.nodes, *untouched], key=_in_order):
        node = node_at(run.plans, state.nodes, path)
        if node is None or node.kind not in LEAVES:
            continue
        found: Kept | None = state.nodes.get(path)
        source = found.cached if isinstance(found, Succeeded) else ""
        if source:
            verdict = Verdict.HIT
        elif path in would_run:
            asked = node.cache is not None and not state.summary.overwrite_cache
            verdict = Verdict.MISS if asked else Verdict.RUN
        else:
            verdict = Verdict.UNKNOWN
        yield Foreseen(path_text(path), node.task_name, verdict, source)


def _in_order(path: Path) -> tuple[tuple[bool, str | int], ...]:
    return tuple((isinstance(part, str), part) for part in path)


class _Overlay:
    """Blobs that are read from below and written only here."""

    def __init__(self, below: Blobs) -> None:
        self.root = below.root
        self._below = below
        self._own: dict[str, bytes] = {}

    async def get(self, uri: str) -> bytes:
        """The content, ours first."""
        return self._own[uri] if uri in self._own else await self._below.get(uri)

    async def several(self, uris: Collection[str]) -> Mapping[str, bytes]:
        """The contents of many, ours first."""
        below = await self._below.several([uri for uri in uris if uri not in self._own])
        return {**below, **{uri: self._own[uri] for uri in uris if uri in self._own}}

    async def put(self, uri: str, data: bytes) -> None:
        """Keep it here."""
        self._own[uri] = data

    async def exists(self, uri: str) -> bool:
        """Whether there is content, here or below."""
        return uri in self._own or await self._below.exists(uri)

    async def names(self, folder: str) -> Mapping[str, int]:
        """What stands below."""
        return await self._below.names(folder)

    async def copy(self, source: str, target: str) -> None:
        """Keep a copy here."""
        self._own[target] = await self.get(source)


class _ReadOnly:
    """A catalog that is asked and never told."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def lookup(
        self, key: CacheKey, *, newer_than: datetime | None = None
    ) -> CachedOutputs | None:
        """What is remembered."""
        return await self._catalog.lookup(key, newer_than=newer_than)

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Nothing is."""

    async def reserve(
        self, key: CacheKey, owner: str, ttl: timedelta, now: datetime
    ) -> Reservation:
        """Whoever asks would get it, or wait for outputs that are not there yet either."""
        del key
        return Reservation(owner, now + ttl)

    async def release(self, key: CacheKey, owner: str) -> None:
        """There is nothing to give back."""
