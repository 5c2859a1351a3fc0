"""Remembered outputs, and who computes what just now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Same key, same outputs. The digests cover the interface and the inputs that are not ignored."""

    project: str
    domain: str
    task: str
    version: str
    interface: str
    inputs: str


@dataclass(frozen=True, slots=True)
class CachedOutputs:
    """Remembered outputs and whose they were."""

    outputs: str
    source: str
    created_at: datetime
    digest: str = ""
    """Of the outputs' content, when it is known."""
    size: int = 0
    """Of the outputs in bytes, when it is known."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Who computes the outputs of a key, and until when that holds unless it is extended."""

    owner: str
    expires: datetime


class Catalog(Protocol):
    """Remembers outputs. Any exception means: could not be asked."""

    async def lookup(
        self, key: CacheKey, *, newer_than: datetime | None = None
    ) -> CachedOutputs | None:
        """What is remembered under this key, if it is not older than that."""

    async def remember(self, key: CacheKey, value: CachedOutputs) -> None:
        """Remember; the newest wins."""

    async def reserve(
        self, key: CacheKey, owner: str, ttl: timedelta, now: datetime
    ) -> Reservation:
        """Take the key's reservation, or extend it when `owner` has it, or take it over when it has run out.

        Returns the reservation that holds now: another's, if that is still good.
        """

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give the reservation back; nothing if it is not `owner`'s."""
