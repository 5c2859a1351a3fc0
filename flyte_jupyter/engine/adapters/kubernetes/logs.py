"""Logs of attempts: read from the cluster while a pod is there, kept in a folder afterwards."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path
from typing import IO

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.entries import Entry
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.ports import LogSlice

log = logging.getLogger(__name__)

_SILENCE = 3600.0
"""Seconds after which a followed log that says nothing is asked for anew."""
_PAUSE = 1.0
_CUT = b"\n[flyte-jupyter] The log was cut off here: it had reached its size limit.\n"


class PodLogs:
    """One file per attempt below a folder: ``<namespace>/<pod>.log``, or ``.live`` while it is still followed.

    The API server gives a log from its beginning only, so a log that somebody watches is followed into its file, and read there.
    With a folder for what is `watched`, that file stands there and goes once another process has kept the log.
    """

    def __init__(
        self,
        api: Api,
        folder: Path,
        most_bytes: int,
        seconds: float,
        *,
        watched: Path | None = None,
    ) -> None:
        self._api = api
        self._folder = folder
        self._most = most_bytes
        self._seconds = seconds
        self._watched = watched
        self._followers: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Stop following."""
        tasks = list(self._followers.values())
        self._followers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def keep(self, entry: Entry) -> None:
        """Keep the whole log of an ended attempt, as far as the cluster still has it. Never raises for want of it."""
        if self._seconds <= 0:
            return
        path = self._path(entry.key)
        follower = self._followers.get(entry.uid)
        try:
            async with asyncio.timeout(self._seconds):
                if follower is not None:
                    await asyncio.wait([follower])
                if path.exists() and follower is not None:
                    return
                data = await self._read_all(entry)
        except (Refused, Unreachable, TimeoutError) as error:
            log.info("the log of %s is not kept: %s", entry.id, error)
            return
        finally:
            self._followers.pop(entry.uid, None)
        if len(data) >= self._most:
            data += _CUT
        await asyncio.to_thread(_write, path, data)

    async def read(self, key: Key, entry: Entry | None, offset: int, limit: int) -> LogSlice:
        """Up to `limit` bytes from `offset`; of a pod that is there, by following it from now on."""
        over = entry is None or entry.how is not None
        if over and (kept := await self.kept(key, offset, limit)) is not None:
            return kept
        if entry is None:
            return LogSlice(b"", offset, complete=True)
        if not over:
            self._follow(entry)
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
        """The same of an ended attempt's log that is still the cluster's alone."""
        try:
            data = (await self._read_all(entry))[offset : offset + limit]
        except (Refused, Unreachable) as error:
            log.info("the log of %s cannot be read: %s", entry.id, error)
            data = b""
        return LogSlice(data, offset, complete=False)

    async def put(self, key: Key, data: bytes) -> None:
        """Keep a log that was read elsewhere."""
        await asyncio.to_thread(_write, self._path(key), data)

    def _path(self, key: Key) -> Path:
        namespace, name = key
        return self._folder / namespace / f"{name}.log"

    def _live(self, key: Key) -> Path:
        namespace, name = key
        return (self._watched or self._folder) / namespace / f"{name}.live"

    async def _read_all(self, entry: Entry) -> bytes:
        query = {"container": entry.container, "limitBytes": str(self._most)}
        return await self._api.text(objects.pod_log(entry.key), query, self._seconds)

    def _follow(self, entry: Entry) -> None:
        follower = self._followers.get(entry.uid)
        if entry.began and follower is None:
            self._followers[entry.uid] = asyncio.create_task(self._copy(entry))

    async def _copy(self, entry: Entry) -> None:
        """Copy a growing log to its file until its container has ended."""
        live = self._live(entry.key)
        await asyncio.to_thread(live.parent.mkdir, parents=True, exist_ok=True)
        with await asyncio.to_thread(live.open, "wb") as file:
            while True:
                try:
                    await self._copy_on(entry, file)
                    break
                except Unreachable as error:
                    log.info("the log of %s broke off: %s", entry.id, error)
                except Refused as error:
                    if error.status == objects.NOT_FOUND or entry.how is not None:
                        return
                await asyncio.sleep(_PAUSE)
        if self._watched is None:
            await asyncio.to_thread(live.replace, self._path(entry.key))

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
        if file.tell() >= self._most:
            file.write(_CUT)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
    path.with_suffix(".live").unlink(missing_ok=True)


def _slice(path: Path, offset: int, limit: int) -> tuple[bytes, int] | None:
    """A part of the file and the file's size; None when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, offset))
            return file.read(max(0, limit)), size
    except FileNotFoundError:
        return None
