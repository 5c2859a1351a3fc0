"""Asking the catalog, and telling it. Whatever goes wrong there is no reason not to run."""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.message import DecodeError

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers.places import Place
from flyte_jupyter.engine.core.observations import (
    CacheHit,
    CacheMiss,
    CacheReserved,
    Observation,
)
from flyte_jupyter.engine.core.state import CacheOutcome
from flyte_jupyter.engine.ports import BlobOutside, Blobs, CachedOutputs, CacheKey, Catalog, Clock
from flyte_jupyter.idl import core, digests, literals
from flyte_jupyter.idl.ids import AttemptId, Path, RunId, path_text

log = logging.getLogger(__name__)

_LOOKS = 64
"""So many who wait for one key may look at a time; of more, the next ones look later."""
_MOST_QUEUES = 1024
"""How many keys are remembered that somebody waits for."""


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How the catalog is used."""

    max_age: timedelta | None = None
    """Older outputs are computed again; None: they hold for ever."""
    heartbeat: timedelta = timedelta(seconds=10)
    """How often a reservation is extended (Flyte's figure)."""
    again: timedelta = timedelta(seconds=1)
    """How often those who wait for a reservation look whether it is given back, or what it was for is there.

    Where more than 64 wait for one, the next 64 look half as often and so on, but each at least once a heartbeat.
    """
    missed: int = 3
    """After so many heartbeats that did not come somebody else may take a reservation over."""

    @property
    def ttl(self) -> timedelta:
        """How long a reservation holds without a heartbeat."""
        return self.heartbeat * self.missed


@dataclass(frozen=True, slots=True)
class Remembered:
    """Outputs for the catalog: by which attempt, the digest of their content, their size in bytes."""

    attempt: int
    digest: str
    size: int


class Damaged(Exception):
    """Remembered outputs that are no longer what they were: computed again, as if there were none."""


class Cache:
    """One run's node at a time: is there something remembered, who computes it, remember it."""

    def __init__(
        self, catalog: Catalog, blobs: Blobs, clock: Clock, settings: CacheSettings
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        self._queues: OrderedDict[CacheKey, _Queue] = OrderedDict()

    async def probe(self, run: RunId, place: Place, digest: str) -> Observation:
        """What the catalog says. Of a serialised cache a miss comes with the reservation."""
        path = place.path
        try:
            key = key_of(place, digest)
            found = await self._lookup(key)
            if found is None and _serialised(place):
                found, waits = await self._reserve(run, path, key)
                if waits is not None:
                    return waits
            if found is None:
                return CacheMiss(path)
            target = layout.outputs_uri(self._blobs.root, AttemptId(run, path, 0))
            await self._blobs.put(target, await self._intact(found))
        except Exception as error:  # noqa: BLE001 - a catalog that fails in any way is no reason not to run
            log.warning("%s: the catalog cannot be asked: %r", run, error)
            return CacheMiss(path, broken=True)
        return CacheHit(path, target, found.source)

    async def remember(
        self, run: RunId, place: Place, digest: str, what: Remembered
    ) -> CacheOutcome:
        """Have the catalog take a node's outputs. Never raises."""
        if place.plan.cache is None:
            return CacheOutcome.NONE
        of = AttemptId(run, place.path, what.attempt)
        value = CachedOutputs(
            outputs=layout.outputs_uri(self._blobs.root, of),
            source=source_text(of),
            created_at=self._clock.now(),
            digest=what.digest,
            size=what.size,
        )
        try:
            await self._catalog.remember(key_of(place, digest), value)
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("outputs of %s not remembered: %r", of, error)
            return CacheOutcome.PUT_FAILURE
        return CacheOutcome.POPULATED

    async def hold(self, run: RunId, place: Place, digest: str) -> None:
        """A heartbeat: the node still computes. Raises whatever the catalog raises."""
        key, owner = key_of(place, digest), owner_text(run, place.path)
        await self._catalog.reserve(key, owner, self._settings.ttl, self._clock.now())

    async def release(self, run: RunId, place: Place, digest: str) -> None:
        """The node computes no longer. What cannot be given back runs out."""
        try:
            await self._catalog.release(key_of(place, digest), owner_text(run, place.path))
        except Exception as error:  # noqa: BLE001 - see above
            log.warning("%s: a reservation is left to run out: %r", run, error)

    async def _intact(self, found: CachedOutputs) -> bytes:
        """What is remembered, if it is still what was remembered; raises `Damaged` or whatever the blobs raise."""
        data = await self._blobs.get(found.outputs)
        try:
            remembered = core.LiteralMap.FromString(data)
        except DecodeError as error:
            raise Damaged(f"{found.outputs} holds no literals: {error}") from error
        if found.digest and digests.literals_digest(remembered) != found.digest:
            raise Damaged(f"{found.outputs} is not what was remembered: its content has changed")
        for literal in remembered.literals.values():
            for uri in literals.offloaded(literal):
                # What lies outside is its reader's to find.
                with suppress(BlobOutside):
                    if not await self._blobs.exists(uri):
                        raise Damaged(f"{uri}, a part of {found.outputs}, is gone")
        return data

    async def _lookup(self, key: CacheKey) -> CachedOutputs | None:
        age = self._settings.max_age
        oldest = self._clock.now() - age if age is not None else None
        return await self._catalog.lookup(key, newer_than=oldest)

    async def _reserve(
        self, run: RunId, path: Path, key: CacheKey
    ) -> tuple[CachedOutputs | None, CacheReserved | None]:
        owner, now = owner_text(run, path), self._clock.now()
        held = await self._catalog.reserve(key, owner, self._settings.ttl, now)
        if held.owner != owner:
            until = min(held.expires, now + self._patience(key, now))
            return None, CacheReserved(path, until, held.owner)
        # Whoever had it may have finished between the question and the reservation.
        found = await self._lookup(key)
        if found is not None:
            await self._catalog.release(key, owner)
        return found, None

    def _patience(self, key: CacheKey, now: datetime) -> timedelta:
        """How long the next of those who wait for a key does so before it looks again.

        A map over many equal elements would otherwise have nothing done but its own looks: each is a write and a change of state.
        """
        queue = self._queues.pop(key, None)
        if queue is None or now - queue.since >= self._settings.again:
            queue = _Queue(now)
        self._queues[key] = queue
        if len(self._queues) > _MOST_QUEUES:
            self._queues.popitem(last=False)
        turns = 1 + queue.length // _LOOKS
        queue.length += 1
        return min(
            self._settings.again * turns, max(self._settings.heartbeat, self._settings.again)
        )


@dataclass(slots=True)
class _Queue:
    """Those who have been told to wait for one key lately."""

    since: datetime
    length: int = 0


def _serialised(place: Place) -> bool:
    return place.plan.cache is not None and place.plan.cache.serialize


def key_of(place: Place, digest: str) -> CacheKey:
    """What the outputs of a node are remembered under."""
    cache, task = place.plan.cache, place.task.id
    assert cache is not None, f"{place.name} is not cached"
    return CacheKey(
        project=task.project,
        domain=task.domain,
        task=task.name,
        version=cache.version,
        interface=place.template.interface_digest(place.name),
        inputs=digest,
    )


def owner_text(run: RunId, path: Path) -> str:
    """Who holds a reservation: the node, whatever attempt or engine computes for it."""
    return f"{run}/{path_text(path)}"


def source_text(of: AttemptId) -> str:
    """Whose outputs they are: ``project/domain/execution/node/attempt``."""
    return f"{of.run}/{path_text(of.path)}/{of.attempt}"
