"""Containers of attempts that are over, which their engine would not remove: they are tried again until they are gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flyte_jupyter.engine.adapters.local.containers import Engines, NoEngine, name_of

log = logging.getLogger(__name__)
_FIRST, _LONGEST = 10.0, 600.0


class Leftovers:
    """One file for each in `folder`, named by its attempt's key. `lives` tells whether the attempt runs anew: then it is not touched."""

    def __init__(self, folder: Path, engines: Engines, lives: Callable[[str], bool]) -> None:
        self._folder = folder
        self._engines = engines
        self._lives = lives
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go on with what an earlier control plane has left."""
        if self._keys() and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._try_again())

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def remove(self, key: str) -> None:
        """Remove an attempt's container, now or, if its engine refuses, later. Raises `NoEngine` when that gives no answer."""
        if await self._engines.remove(key):
            return
        log.warning("the container %s could not be removed; it is tried again later", name_of(key))
        with suppress(OSError):  # on a full disk: until this process ends it is a stray
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / key).touch()
        self.start()

    async def _try_again(self) -> None:
        pause = _FIRST
        while keys := self._keys():
            for key in keys:
                # Its name would be the new one's by now.
                if not self._lives(key):
                    with suppress(NoEngine, OSError):
                        if await self._engines.remove(key):
                            (self._folder / key).unlink(missing_ok=True)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    def _keys(self) -> list[str]:
        with suppress(OSError):
            return sorted(path.name for path in self._folder.iterdir())
        return []
