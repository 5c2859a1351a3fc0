"""Telling listeners on one event loop that something was committed, without ever holding more than what is new."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Subscription(AsyncIterator[T]):
    """What was announced since it was made, each distinct item once until it is taken. Never ends by itself."""

    def __init__(self) -> None:
        self._waiting: dict[T, None] = {}
        self._news = asyncio.Event()

    def offer(self, item: T) -> None:
        """Have the item taken by the next `anext`, unless it already waits."""
        self._waiting[item] = None
        self._news.set()

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        item = next(iter(self._waiting))
        del self._waiting[item]
        return item


class Announcements(Generic[T]):
    """One publisher, many subscriptions; a subscription that nobody holds any more is dropped."""

    def __init__(self) -> None:
        self._subscriptions: tuple[weakref.ref[Subscription[T]], ...] = ()

    def subscribe(self) -> Subscription[T]:
        """Begin to listen: what is announced from now on."""
        subscription: Subscription[T] = Subscription()
        # Those that are held no more are dropped here, not by a callback: it would run in whatever thread collects garbage.
        held = (each for each in self._subscriptions if each() is not None)
        self._subscriptions = (*held, weakref.ref(subscription))
        return subscription

    def publish(self, item: T) -> None:
        """Offer the item to every subscription. On the event loop only."""
        for each in self._subscriptions:
            if (subscription := each()) is not None:
                subscription.offer(item)
