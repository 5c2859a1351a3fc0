"""Handles that ask for what is not registered yet: when each of them is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flyte_jupyter.engine.adapters.kubernetes.alarms import Alarms
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Json
from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.ports import Clock


@dataclass(slots=True)
class _Wait:
    asked: tuple[str, object]
    """Which object, and which generation of its spec: another one asks for something else."""
    backoff: Backoff
    until: datetime


class Postponed:
    """Rings for each of them with growing pauses, for as long as it asks for the same."""

    def __init__(self, clock: Clock, api: Api, alarms: Alarms[Key]) -> None:
        self._clock = clock
        self._api = api
        self._alarms = alarms
        self._waits: dict[Key, _Wait] = {}

    def is_due(self, key: Key, handle: Json) -> bool:
        """Whether it is to be tried now: what it was told, and whatever else changes beside its spec, is no reason."""
        wait = self._waits.get(key)
        return wait is None or wait.asked != _asked(handle) or self._clock.now() >= wait.until

    def postpone(self, key: Key, handle: Json) -> None:
        """It could not be done now."""
        wait = self._waits.get(key)
        if wait is None or wait.asked != _asked(handle):
            backoff = Backoff(self._api.pace, self._api.dice)
            wait = self._waits[key] = _Wait(_asked(handle), backoff, self._clock.now())
        wait.until = self._clock.now() + timedelta(seconds=wait.backoff.next())
        self._alarms.set(key, wait.until)

    def forget(self, key: Key) -> None:
        """Nothing is waited for any more."""
        if self._waits.pop(key, None) is not None:
            self._alarms.set(key, None)


def _asked(handle: Json) -> tuple[str, object]:
    metadata = handle["metadata"]
    return metadata["uid"], metadata.get("generation")
