"""A catalog in dictionaries."""

from __future__ import annotations

from datetime import datetime, timedelta

from flyte_jupyter.engine.ports import CachedOutputs, CacheKey, Reservation


class MemoryCatalog:
    """What is remembered, and who computes what. Set `broken` to have it fail."""

    def __init__(self) -> None:
        self.content: dict[CacheKey, CachedOutputs] = {}
        self.reservations: dict[CacheKey, Reservation] = {}
        self.broken = False

    async def lookup(
        self, key: CacheKey, *, newer_than: datetime | None = None
    ) -> CachedOutputs | None:
        """What is remembered under this key, if it is not older than that."""
        self._check()
        found = self.content.get(key)
        if found is not None and newer_than is not None and found.created_at < newer_than:
            return None
        return found

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""
        self._check()
        self.content[key] = value

    async def reserve(
        self, key: CacheKey, owner: str, ttl: timedelta, now: datetime
    ) -> Reservation:
        """Take, extend or take over; returns the reservation that holds now."""
        self._check()
        held = self.reservations.get(key)
        if held is None or held.owner == owner or held.expires <= now:
            held = self.reservations[key] = Reservation(owner, now + ttl)
        return held

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give it back; nothing if it is not `owner`'s."""
        self._check()
        held = self.reservations.get(key)
        if held is not None and held.owner == owner:
            del self.reservations[key]

    def _check(self) -> None:
        if self.broken:
            raise ConnectionError("the catalog is down")
