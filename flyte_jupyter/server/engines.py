"""The engine of a control plane: in its own process, or apart from it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from flyte_jupyter.engine.engine import Engine, EngineSettings, EngineState
from flyte_jupyter.engine.ports import AttemptNews
from flyte_jupyter.server.control_plane import EngineStatus
from flyte_jupyter.server.living import is_dead, new_holder
from flyte_jupyter.server.wiring import Ground, Parts
from flyte_jupyter.store.runs import SqlRuns

_LITTLE_SPACE = 64 * 1024 * 1024
_LOOK = timedelta(seconds=1)
"""An engine that has died is known to be dead at once: who stands by need not wait for its lease to run out."""


def engine_over(parts: Parts, holder: str = "") -> Engine:
    """An engine that shares the database under this name; without one it has it alone, and knows that no other lives."""
    settings = EngineSettings(
        holder=holder or new_holder(), look=_LOOK, take_over=not holder, answers=parts.answers
    )
    return Engine(parts.ports, settings)


class EmbeddedEngine:
    """The engine as the process holds it, with what the status endpoint wants to know."""

    def __init__(self, parts: Parts) -> None:
        self._engine = engine_over(parts)
        self._ground = parts.ground

    async def start(self) -> None:
        """Begin; runs that were under way go on."""
        await self._engine.start()

    async def stop(self) -> None:
        """Stop deciding; attempts go on."""
        await self._engine.stop()

    async def status(self) -> EngineStatus:
        """How it stands, and whether the disk has room."""
        status = self._engine.status()
        notices = [status.notice] if status.notice else []
        notices += [f"{run}: {why}" for run, why in sorted(status.troubles.items())]
        active = status.state is EngineState.ACTIVE
        return _status(self._ground, "active" if active else "standby", notices)


class EngineApart:
    """No engine here: others that share the database decide, one of them at a time."""

    def __init__(self, parts: Parts) -> None:
        self._ground = parts.ground
        dead = partial(is_dead, data_dir=Path(parts.ground.settings.data_dir))
        self._runs = SqlRuns(parts.ground.database, dead)

    async def start(self) -> None:
        """Be able to show what attempts say."""
        await self._ground.machine.executor.start(_heed_nothing)

    async def stop(self) -> None:
        """Show nothing more."""
        await self._ground.machine.executor.stop()

    async def status(self) -> EngineStatus:
        """Whether some engine decides, and whether the disk has room."""
        if await self._runs.holder(self._ground.now()):
            return _status(self._ground, "active", [])
        data = self._ground.settings.data_dir
        notice = f"No engine runs, so executions stand still: start one with flyte-jupyter engine --data-dir {data}"
        return _status(self._ground, "absent", [notice])


def _heed_nothing(_: AttemptNews) -> None:
    """An engine elsewhere hears of attempts."""


def _status(ground: Ground, state: str, notices: Sequence[str]) -> EngineStatus:
    data = Path(ground.settings.data_dir)
    writable = shutil.disk_usage(data).free > _LITTLE_SPACE
    full = [] if writable else [f"Little space is left for {data}: free some."]
    return EngineStatus(state, [*notices, *full], writable)
