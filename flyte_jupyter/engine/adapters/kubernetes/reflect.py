"""Following a collection of objects: list, then watch, and list again whenever a change may have been missed."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json, Refused, Silent, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.adapters.kubernetes.settings import WatchSettings

log = logging.getLogger(__name__)

_FORBIDDEN, _NOT_FOUND, _GONE = 403, 404, 410
_GRAVES = 10_000
"""Deleted objects that are remembered, so that a late word about one does not bring it back."""
_LIVELY = 1.0
"""Seconds: a watch that ended sooner without a single event is followed by a pause."""
Key = tuple[str, str]
"""Namespace and name."""


class Sink(Protocol):
    """Who wants to know. An object that was replaced by another of its name is `gone` before the new one is `seen`."""

    def seen(self, found: Json) -> None:
        """The object is there, new or changed."""

    def gone(self, key: Key, uid: str, last: Json | None) -> None:
        """The object with this uid is no longer there; `last` is how it looked at the end, if anybody saw."""


@dataclass(frozen=True, slots=True)
class Known:
    """As much of an object as is kept: which one, and its version."""

    uid: str
    version: int


class MissedChanges(Exception):
    """The server no longer has the changes since then, or may have: list again."""


def key_of(found: Json) -> Key:
    """Namespace and name of an object."""
    metadata = found["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def known_of(found: Json) -> Known:
    """Which object it is, and which version of it."""
    metadata = found["metadata"]
    return Known(metadata["uid"], _number(metadata.get("resourceVersion", "")))


def _number(version: str) -> int:
    # Formally opaque, versions are numbers that grow on every server there is. One that is none is never thought old.
    return int(version) if version.isdecimal() else 0


class Reflector:
    """Tells a sink of everything in one collection that matches a label selector. Keeps uid and version of each object."""

    def __init__(
        self, api: Api, path: str, selector: str, sink: Sink, settings: WatchSettings
    ) -> None:
        self._api = api
        self._path = path
        _, _, inside = path.partition("/namespaces/")
        self._namespace = inside.partition("/")[0]
        self._query = {"labelSelector": selector} if selector else {}
        self._sink = sink
        self._settings = settings
        self._backoff = Backoff(api.pace, api.dice)
        self._known: dict[Key, Known] = {}
        self._graves: OrderedDict[str, int] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._listed_at = 0.0
        self._version = ""
        """Up to which everything was heard; empty: list first."""
        self._complained = ""
        self.synced = asyncio.Event()
        """Set while the sink has been told of everything, up to the delay of a watch."""
        self.answered = asyncio.Event()
        """Set once the server has told of everything, or said that it will not."""

    def start(self) -> None:
        """Begin to follow, as one that knows of nothing."""
        self._known.clear()
        self._graves.clear()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop; the sink keeps what it was told."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._version = ""
        self.synced.clear()
        self.answered.clear()

    def covers(self, namespace: str) -> bool:
        """Whether objects of this namespace are in the collection."""
        return self._namespace in ("", namespace)

    def unbury(self, uid: str) -> None:
        """The object is there after all (it had only lost the labels it is found by)."""
        self._graves.pop(uid, None)

    def has_gone(self, uid: str) -> bool:
        """Whether the object with this uid is known to be gone."""
        return uid in self._graves

    def note(self, found: Json) -> bool:
        """The sink has this object from elsewhere (it made it, or looked). Whether that is newer than what it was told from here."""
        key, known = key_of(found), known_of(found)
        before = self._known.get(key)
        if known.uid in self._graves:
            return False
        if before is not None and before.version >= known.version > 0:
            return False
        self._known[key] = known
        return True

    # -- list --

    async def look(self) -> str:
        """List everything now, tell the sink of the differences, and return the version to watch from."""
        found: set[Key] = set()
        query = {**self._query, "limit": str(self._settings.page)}
        while True:
            page = await self._api.read(self._path, query)
            for item in page.get("items") or ():
                found.add(key_of(item))
                self._see(item)
            more = page["metadata"].get("continue")
            if not more:
                break
            query = {**query, "continue": more}
        version = str(page["metadata"]["resourceVersion"])
        self._bury_all_but(found, _number(version))
        self._listed_at = asyncio.get_running_loop().time()
        self.synced.set()
        self.answered.set()
        return version

    def _bury_all_but(self, found: set[Key], version: int) -> None:
        for key in [key for key in self._known if key not in found]:
            # Made after the look, it is not missing.
            if not version or self._known[key].version <= version:
                self._bury(key, self._known[key], None)

    # -- watch --

    async def _follow(self) -> None:
        while True:
            try:
                if not self._version:
                    self._version = await self.look()
                await self._watch()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                wait = self._after(error)
                if wait is not None:
                    await asyncio.sleep(wait)

    def _after(self, error: Exception) -> float | None:
        """What to do about it: how long to wait before going on, and whether to list again."""
        match error:
            case MissedChanges():
                log.info("%s: changes were missed, listing again", self._path)
                self._version = ""
            case Silent():
                self.synced.clear()
                log.warning("%s: the watch fell silent, listing again", self._path)
                self._version = ""
                return None
            case Refused():
                if error.status in (_FORBIDDEN, _NOT_FOUND):
                    self.answered.set()
                if error.status == _GONE:
                    self._version = ""
                self._complain(error)
                return self._backoff.next(error.wait)
            case Unreachable():
                self._complain(error)
            case _:
                log.error("%s cannot be followed, trying again", self._path, exc_info=error)
                self._version = ""
        return self._backoff.next()

    def _complain(self, error: Exception) -> None:
        text = str(error)
        log.log(logging.INFO if text == self._complained else logging.WARNING, "%s", text)
        self._complained = text

    async def _watch(self) -> None:
        """Follow until the server ends it."""
        loop, settings = asyncio.get_running_loop(), self._settings
        began, heard = loop.time(), False
        lifetime = settings.lifetime * self._api.dice.uniform(1.0, 2.0)
        query = {
            **self._query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(lifetime)),
        }
        async with aclosing(self._api.events(self._path, query, settings.silence)) as events:
            async for event in events:
                heard_of = self._hear(event)
                # Never back: what was heard once would be asked for again and again.
                if heard_of and _number(heard_of) >= _number(self._version):
                    self._version = heard_of
                if not heard:
                    heard = True
                    self._backoff.reset()
        if not heard and loop.time() - began < _LIVELY:
            await asyncio.sleep(self._backoff.next())
        if loop.time() - self._listed_at > settings.resync:
            self._version = ""

    def _hear(self, event: Json) -> str:
        """Tell the sink; the version that the event stands for."""
        kind, found = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            if found.get("code") == _GONE:
                raise MissedChanges(str(found.get("message")))
            raise Unreachable(f"{self._path}: the watch ended: {found.get('message')}")
        metadata = found.get("metadata") or {}
        version = str(metadata.get("resourceVersion", ""))
        if kind in ("ADDED", "MODIFIED"):
            self._see(found)
        elif kind == "DELETED":
            self._hear_end(found)
        return version

    def _hear_end(self, found: Json) -> None:
        key, last = key_of(found), known_of(found)
        before = self._known.get(key)
        if before is None:
            self._grave(last.uid, last.version)
        elif before.uid == last.uid:
            self._bury(key, Known(last.uid, max(last.version, before.version)), found)

    def _see(self, found: Json) -> None:
        key, now = key_of(found), known_of(found)
        if now.uid in self._graves:
            return
        before = self._known.get(key)
        if before is not None:
            if now.version and now.version <= before.version:
                return
            if now.uid != before.uid:
                self._bury(key, before, None)
        self._known[key] = now
        self._sink.seen(found)

    def _bury(self, key: Key, known: Known, last: Json | None) -> None:
        self._known.pop(key, None)
        self._grave(known.uid, known.version)
        self._sink.gone(key, known.uid, last)

    def _grave(self, uid: str, version: int) -> None:
        self._graves[uid] = version
        while len(self._graves) > _GRAVES:
            self._graves.popitem(last=False)
