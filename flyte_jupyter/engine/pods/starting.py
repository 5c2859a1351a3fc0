"""What a pod waits for before its task's container runs, and when that has taken too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flyte_jupyter.engine.core.state import Blame, Failure, Stage
from flyte_jupyter.engine.pods.settings import Graces
from flyte_jupyter.engine.pods.status import ContainerState, PodStatus, moment

_IMAGE = frozenset(
    {
        "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)  # fmt: skip
_CREATION = frozenset(
    {
        "CreateContainerError", "RunContainerError", "PreStartHookError", "PostStartHookError", "PreCreateHookError",
    }
)  # fmt: skip
ON_ITS_WAY = frozenset({"", "ContainerCreating", "PodInitializing"})
"""What containers wait for that nothing is known to be wrong with."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The task's container has not started. At `until` it is to be asked again, if nothing changes before."""

    stage: Stage
    reason: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """What a pod waits for: for how long (None: for ever) since when, and how it fails then."""

    stage: Stage
    why: Failure
    since: datetime | None
    grace: timedelta | None


def still_starting(status: PodStatus, now: datetime, graces: Graces) -> Pending | Failure:
    """How a pod that has not started its task's container stands: waiting, or for longer than it is given."""
    obstacle = _obstacle(status, graces)
    until = None
    if obstacle.grace is not None:
        until = (obstacle.since or now) + obstacle.grace
        if now >= until:
            return _given_up(obstacle)
    reason = obstacle.why.message
    if graces.pending is not None:
        end = (status.created or now) + graces.pending
        if now >= end:
            text = f"its pod did not start within {graces.pending.total_seconds():g} s: {reason}"
            return Failure("PodPendingTimeout", text, retryable=True)
        until = min(until or end, end)
    return Pending(obstacle.stage, reason, until)


def _given_up(obstacle: _Obstacle) -> Failure:
    why, grace = obstacle.why, obstacle.grace
    waited = f", for more than {grace.total_seconds():g} s" if grace else ""
    return Failure(why.code, f"{why.message}{waited}", why.blame, why.retryable)


def _obstacle(status: PodStatus, graces: Graces) -> _Obstacle:
    scheduled = status.condition("PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return _unscheduled(status, dict(scheduled), graces)
    stuck = [c for c in _waiting(status) if c.reason not in ON_ITS_WAY]
    if stuck:
        return _stuck(status, stuck[0], graces)
    if scheduled is None and not status.containers:
        return _Obstacle(Stage.QUEUED, Failure("", ""), None, None)
    reason = next((c.reason for c in _waiting(status) if c.reason), "ContainerCreating")
    running = next((c.name for c in status.inits.values() if c.running is not None), "")
    text = f"{reason}: {running}" if running and reason == "PodInitializing" else reason
    return _Obstacle(Stage.INITIALIZING, Failure(reason, text), None, None)


def _waiting(status: PodStatus) -> list[ContainerState]:
    """Containers that wait, in the order in which they start; the task's own before its neighbours."""
    inits = [c for c in status.inits.values() if c.waiting is not None]
    others = [c for c in status.containers.values() if c.waiting is not None]
    return inits + sorted(others, key=lambda c: c.name != status.primary_name)


def _unscheduled(status: PodStatus, condition: dict[str, str], graces: Graces) -> _Obstacle:
    code = condition.get("reason") or "Unschedulable"
    text = f"{code}: {condition.get('message', '')}".removesuffix(": ")
    since = moment(condition.get("lastTransitionTime")) or status.created
    return _Obstacle(
        Stage.RESOURCES, Failure(code, text, retryable=True), since, graces.unschedulable
    )


def _stuck(status: PodStatus, container: ContainerState, graces: Graces) -> _Obstacle:
    code = container.reason
    text = f"{code}: container {container.name}: {container.message}".removesuffix(": ")
    since = status.turn_of(container) if container.init else status.starting_since
    if code == "InvalidImageName":
        why, grace = Failure(code, text), timedelta(0)
        return _Obstacle(Stage.INITIALIZING, why, since, grace)
    if code in _IMAGE:
        why = Failure(code, text, retryable=True)
        return _Obstacle(Stage.INITIALIZING, why, since, graces.image_pull)
    if code == "CreateContainerConfigError":
        why = Failure(code, text)
        return _Obstacle(Stage.INITIALIZING, why, since, graces.container_config)
    if code in _CREATION:
        why = Failure(code, text)
        return _Obstacle(Stage.INITIALIZING, why, since, graces.create_container)
    why = Failure(code, text, Blame.SYSTEM, retryable=True)
    return _Obstacle(Stage.INITIALIZING, why, since, graces.create_container)
