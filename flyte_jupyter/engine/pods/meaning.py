"""What a pod's status says about its attempt: one pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.core.state import Stage
from flyte_jupyter.engine.pods.settings import Graces


@dataclass(frozen=True, slots=True)
class Pending:
    """The task's container has not started. At `until` it is to be asked again, if nothing changes before."""

    stage: Stage
    reason: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The task's container runs, or has ended while what carries its outputs away still works."""

    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt is over. `delete`: the pod goes on, or would, and must be deleted at once (with its grace)."""

    how: Exit
    delete: bool = False


Meaning = Pending | Running | Ended


def meaning(pod: Mapping[str, Any], now: datetime, graces: Graces) -> Meaning:
    """What the status of a pod of ours, that we have not deleted, means at `now`."""
    raise NotImplementedError


def vanished(last: Meaning | None) -> Ended:
    """What it means that a pod which we have not deleted is gone; `last` is what it meant when it was last seen."""
    raise NotImplementedError
