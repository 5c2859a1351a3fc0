"""Logs of attempts: read from the cluster while a pod is there, kept in a folder afterwards."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.entries import Entry
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.adapters.kubernetes.settings import KubernetesSettings
from flyte_jupyter.engine.ports import LogSlice

log = logging.getLogger(__name__)

_SILENCE = 3600.0
"""Seconds after which a followed log that says nothing is asked for anew."""
_MOST_FOLLOWED = 50
"""Each of them holds a connection, here and at the API server. Further ones are read by a request for each look."""
_CUT = b"\n[flyte-jupyter] The log has reached its size limit here; its last lines follow when the attempt is over.\n"
"""The same while a log grows and once it is kept: its readers go on from where they are."""
_LAST_LINES = 500
_LONGEST_END = 256 * 1024
_ALIKE = 256
"""Bytes by which the place is found where the end of a log begins in what is there of it."""


@dataclass(slots=True, eq=False)
class _Follower:
    """Copies a growing log to its file, until nobody has read it for a while."""

    task: asyncio.Task[None]
    ends: asyncio.TimerHandle | None = None


class PodLogs:
    """One file per attempt below a folder: ``<namespace>/<pod>.log`` once it has ended, ``.live`` while it is watched.

    The API server gives a log from its beginning only, so a log that somebody watches is followed into its file, and read there.
    With a folder for what is `watched`, that file stands there and goes once another process has kept the log.
    """

    def __init__(
        self,
        api: Api,
        folder: Path,
        settings: KubernetesSettings,
        *,
        watched: Path | None = None,
    ) -> None:
        self._api = api
        self._folder = folder
        self._most = settings.log_bytes
        self._seconds = settings.log_seconds
        self._idle_seconds = settings.log_idle_seconds
        self._watched = watched
        self._followers: dict[str, _Follower] = {}

    async def close(self) -> None:
        """Stop following."""
        await asyncio.gather(*(self._unfollow(uid) for uid in list(self._followers)))

    async def keep(self, entry: Entry) -> None:
        """Keep the log of an ended attempt, as far as the cluster still has it; of one that is too long beginning and end.

        Never raises for want of it.
        """
        live = self._live(entry.key)
        if self._seconds <= 0:
            await self._unfollow(entry.uid)
            await asyncio.to_thread(live.unlink, missing_ok=True)
            return
        path, data = self._path(entry.key), None
        try:
            async with asyncio.timeout(self._seconds):
                data = head = await self._last_words(entry)
                if len(head) >= self._most:
                    data = head + _CUT
                    data += _beyond(head, await self._end(entry))
        except (Refused, Unreachable, TimeoutError) as error:
            log.info("the log of %s is kept as far as it was read: %s", entry.id, error)
        await self._unfollow(entry.uid)
        if data is None:
            await asyncio.to_thread(_rename, live, path)
        else:
            await asyncio.to_thread(_write, path, data)

    async def _last_words(self, entry: Entry) -> bytes:
        """The whole log anew: one that was followed may lack what came after its stream broke off."""
        try:
            return await self._read_all(entry, self._most)
        except (Refused, Unreachable):
            follower = self._followers.get(entry.uid)
            if follower is not None:  # what it has under way is all that is left
                await asyncio.wait([follower.task])
            raise

    async def _end(self, entry: Entry) -> bytes:
        query = {"container": entry.container, "tailLines": str(_LAST_LINES)}
        end = await self._api.text(objects.pod_log(entry.key), query, self._seconds)
        most = min(_LONGEST_END, self._most)
        return end if len(end) <= most else end[-most:].partition(b"\n")[2] or end[-most:]

    async def read(self, key: Key, entry: Entry | None, offset: int, limit: int) -> LogSlice:
        """Up to `limit` bytes from `offset`; of a pod that is there by following it, or by a request where many are followed already."""
        over = entry is None or entry.how is not None
        if over and (kept := await self.kept(key, offset, limit)) is not None:
            return kept
        if entry is None:
            return LogSlice(b"", offset, complete=True)
        if not over and entry.began and not self._follow(entry):
            return await self.now(entry, offset, limit)
        live = await asyncio.to_thread(_slice, self._live(key), offset, limit)
        return LogSlice(live[0] if live else b"", offset, complete=False)

    async def kept(self, key: Key, offset: int, limit: int) -> LogSlice | None:
        """The same of a log that is kept; None when it is not."""
        path = self._path(key)
        found = await asyncio.to_thread(_slice, path, offset, limit)
        if found is None:
            return None
        if self._watched is not None:
            await asyncio.to_thread(self._live(key).unlink, missing_ok=True)
        data, size = found
        return LogSlice(data, offset, offset + len(data) >= size)

    async def now(self, entry: Entry, offset: int, limit: int) -> LogSlice:
        """The same of a log that is the cluster's alone, by a request of its own."""
        try:
            data = await self._read_all(entry, min(self._most, offset + limit))
        except (Refused, Unreachable) as error:
            log.info("the log of %s cannot be read: %s", entry.id, error)
            data = b""
        return LogSlice(data[offset : offset + limit], offset, complete=False)

    async def put(self, key: Key, data: bytes) -> None:
        """Keep a log that was read elsewhere."""
        await asyncio.to_thread(_write, self._path(key), data)

    def _path(self, key: Key) -> Path:
        namespace, name = key
        return self._folder / namespace / f"{name}.log"

    def _live(self, key: Key) -> Path:
        namespace, name = key
        return (self._watched or self._folder) / namespace / f"{name}.live"

    async def _read_all(self, entry: Entry, most: int) -> bytes:
        query = {"container": entry.container, "limitBytes": str(most)}
        return await self._api.text(objects.pod_log(entry.key), query, self._seconds)

    def _follow(self, entry: Entry) -> bool:
        """Follow it for as long as somebody reads it. Whether there is a place for that."""
        follower = self._followers.get(entry.uid)
        if follower is None:
            if len(self._followers) >= _MOST_FOLLOWED:
                return False
            follower = _Follower(asyncio.create_task(self._copy(entry)))
            self._followers[entry.uid] = follower
        elif follower.ends is not None:
            follower.ends.cancel()
        loop = asyncio.get_running_loop()
        follower.ends = loop.call_later(self._idle_seconds, self._drop, entry.uid)
        return True

    def _drop(self, uid: str) -> asyncio.Task[None] | None:
        follower = self._followers.pop(uid, None)
        if follower is None:
            return None
        if follower.ends is not None:
            follower.ends.cancel()
        follower.task.cancel()
        return follower.task

    async def _unfollow(self, uid: str) -> None:
        task = self._drop(uid)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _copy(self, entry: Entry) -> None:
        """Copy a growing log to its file until its attempt has ended. That a stream ends says nothing: servers end some."""
        live = self._live(entry.key)
        backoff = Backoff(self._api.pace, self._api.dice)
        await asyncio.to_thread(live.parent.mkdir, parents=True, exist_ok=True)
        with await asyncio.to_thread(live.open, "wb") as file:
            while file.tell() < self._most:
                had, asked = file.tell(), None
                try:
                    await self._copy_on(entry, file)
                except Unreachable as error:
                    log.info("the log of %s broke off: %s", entry.id, error)
                except Refused as error:
                    if error.status == objects.NOT_FOUND:
                        return
                    asked = error.wait
                if entry.how is not None:
                    return
                if file.tell() > had:
                    backoff.reset()
                await asyncio.sleep(backoff.next(asked))
            file.write(_CUT)

    async def _copy_on(self, entry: Entry, file: IO[bytes]) -> None:
        skip = file.tell()
        query = {
            "container": entry.container,
            "follow": "true",
            "limitBytes": str(self._most),
        }
        stream = self._api.follow(objects.pod_log(entry.key), query, _SILENCE)
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                fresh, skip = piece[skip:], max(0, skip - len(piece))
                file.write(fresh)
                file.flush()


def _beyond(head: bytes, end: bytes) -> bytes:
    """What of a log's end does not stand in its beginning: there may be nothing between them."""
    at = head.find(end[:_ALIKE], max(0, len(head) - len(end)))
    return end[len(head) - at :] if at >= 0 and end.startswith(head[at:]) else end


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
    path.with_suffix(".live").unlink(missing_ok=True)


def _rename(live: Path, path: Path) -> None:
    if live.exists():
        live.replace(path)


def _slice(path: Path, offset: int, limit: int) -> tuple[bytes, int] | None:
    """A part of the file and the file's size; None when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, offset))
            return file.read(max(0, limit)), size
    except FileNotFoundError:
        return None
