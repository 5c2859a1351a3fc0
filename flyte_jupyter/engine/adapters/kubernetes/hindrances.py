"""Why a pod does not start whose status does not say it: its last warning. A secret that a volume lacks is told nowhere else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes import objects
from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.reflect import Key
from flyte_jupyter.engine.pods.status import moment

log = logging.getLogger(__name__)

_OVER = "FailedScheduling"
"""What no longer holds once there is a node, however new it is."""
_MOST = "100"
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_SHORTEST, _LONGEST = 1.0, 300.0


async def warnings(api: Api, key: Key, uid: str, pause: float) -> AsyncIterator[str]:
    """What hinders a pod, as often as that changes. Asked after so many seconds, and ever less often, until nobody wants to know."""
    told = ""
    while True:
        await asyncio.sleep(pause)
        why = await _last_warning(api, key, uid)
        if why not in ("", told):
            told = why
            yield why
        pause = min(max(2 * pause, _SHORTEST), _LONGEST)


async def _last_warning(api: Api, key: Key, uid: str) -> str:
    """The newest warning among a pod's events; empty when there is none, or it cannot be read."""
    query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning", "limit": _MOST}
    try:
        found = (await api.read(objects.events(key[0]), query)).get("items") or ()
    except (Refused, Unreachable) as error:
        log.info("why %s/%s does not start cannot be read (see deploy/rbac.yaml): %s", *key, error)
        return ""
    warnings = [event for event in found if event.get("reason") != _OVER]
    if not warnings:
        return ""
    last = max(warnings, key=_when)
    return f"{last.get('reason', '')}: {str(last.get('message') or '').strip()}"


def _when(event: Mapping[str, Any]) -> datetime:
    series = event.get("series") or {}
    said = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((when for each in said if (when := moment(each))), _BEFORE_ALL)
