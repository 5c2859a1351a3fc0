"""A pod's status, read: containers by name, conditions by type, times as times. Tolerates what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flyte_jupyter.engine.pods.naming import PRIMARY, UPLOADER

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class ContainerState:
    """How one container stands: at most one of the three is there."""

    name: str
    waiting: Mapping[str, Any] | None
    running: Mapping[str, Any] | None
    terminated: Mapping[str, Any] | None
    init: bool

    @property
    def code(self) -> int:
        """The exit status, once terminated."""
        return int((self.terminated or _NOTHING).get("exitCode") or 0)

    @property
    def reason(self) -> str:
        """Kubernetes' word for why it waits or ended."""
        return str((self.waiting or self.terminated or _NOTHING).get("reason") or "")

    @property
    def message(self) -> str:
        """Kubernetes' sentence for why it waits, or the end of what it wrote before it ended."""
        return str((self.waiting or self.terminated or _NOTHING).get("message") or "").strip()

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not well."""
        return self.terminated is not None and (self.code != 0 or self.out_of_memory)

    @property
    def out_of_memory(self) -> bool:
        """Whether it was ended because it outgrew its memory limit."""
        return self.terminated is not None and "OOMKilled" in self.reason

    @property
    def since(self) -> datetime | None:
        """When it started to run."""
        return moment((self.running or self.terminated or _NOTHING).get("startedAt"))

    @property
    def until(self) -> datetime | None:
        """When it ended."""
        return moment((self.terminated or _NOTHING).get("finishedAt"))

    @property
    def ran(self) -> float:
        """Seconds that it ran; 0 when nobody knows."""
        since, until = self.since, self.until
        return max(0.0, (until - since).total_seconds()) if since and until else 0.0


class PodStatus:
    """One pod as it was seen."""

    def __init__(self, pod: Mapping[str, Any]) -> None:
        self._metadata: Mapping[str, Any] = pod.get("metadata") or _NOTHING
        self.spec: Mapping[str, Any] = pod.get("spec") or _NOTHING
        self._status: Mapping[str, Any] = pod.get("status") or _NOTHING
        self.phase = str(self._status.get("phase") or "Pending")
        self.reason = str(self._status.get("reason") or "")
        self.message = str(self._status.get("message") or "").strip()
        self.deleted = moment(self._metadata.get("deletionTimestamp"))
        self.containers = {c.name: c for c in self._states("containerStatuses", init=False)}
        self.inits = {c.name: c for c in self._states("initContainerStatuses", init=True)}
        annotations: Mapping[str, str] = self._metadata.get("annotations") or _NOTHING
        self.primary_name = annotations.get(PRIMARY) or self._only_container()
        self.uploader_name = annotations.get(UPLOADER, "")

    @property
    def primary(self) -> ContainerState | None:
        """The container whose end is the attempt's end; None as long as the kubelet has said nothing of it."""
        return self.containers.get(self.primary_name)

    @property
    def uploader(self) -> ContainerState | None:
        """The container that carries the outputs away, if there is one and the kubelet has spoken of it."""
        return self.inits.get(self.uploader_name)

    @property
    def over(self) -> bool:
        """Whether nothing of the pod will run again."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def deletion_asked(self) -> datetime | None:
        """When somebody asked for the pod's deletion: its timestamp is that moment and its grace."""
        grace = int(self._metadata.get("deletionGracePeriodSeconds") or 0)
        return self.deleted - timedelta(seconds=grace) if self.deleted else None

    @property
    def created(self) -> datetime | None:
        """When the pod was created."""
        return moment(self._metadata.get("creationTimestamp"))

    @property
    def starting_since(self) -> datetime | None:
        """Since when the task's own container could be starting, as exactly as the status tells."""
        for kind in ("Initialized", "PodScheduled"):
            found = self.condition(kind)
            if found and found.get("status") == "True":
                return moment(found.get("lastTransitionTime"))
        return moment(self._status.get("startTime")) or self.created

    @property
    def deadline(self) -> datetime | None:
        """Until when the pod may be active, once it has been seen by its node."""
        most, since = self.spec.get("activeDeadlineSeconds"), moment(self._status.get("startTime"))
        return since + timedelta(seconds=int(most)) if most and since else None

    def turn_of(self, init: ContainerState) -> datetime | None:
        """When an init container could start: those before it had done what it waits for."""
        before = list(self.inits.values())[: list(self.inits).index(init.name)]
        done = (c.until or c.since for c in before)
        return max((when for when in done if when), default=self.scheduled_since)

    @property
    def scheduled_since(self) -> datetime | None:
        """When a node was found for it."""
        found = self.condition("PodScheduled")
        when = found.get("lastTransitionTime") if found else None
        return moment(when) or moment(self._status.get("startTime")) or self.created

    def condition(self, kind: str) -> Mapping[str, Any] | None:
        """The condition of a type."""
        for condition in self._status.get("conditions") or ():
            if condition.get("type") == kind:
                return condition  # type: ignore[no-any-return]  # JSON
        return None

    def memory_limit(self, container: str) -> str:
        """The memory limit of a container as the manifest has it; empty when there is none."""
        for one in (*(self.spec.get("containers") or ()), *(self.spec.get("initContainers") or ())):
            if one.get("name") == container:
                return str(((one.get("resources") or {}).get("limits") or {}).get("memory") or "")
        return ""

    def _only_container(self) -> str:
        """For a pod that has lost its annotation: its container, if there is no doubt which."""
        names = [str(c.get("name")) for c in self.spec.get("containers") or ()]
        return names[0] if len(names) == 1 else ""

    def _states(self, field: str, *, init: bool) -> Iterator[ContainerState]:
        for status in self._status.get(field) or ():
            state: Mapping[str, Any] = status.get("state") or _NOTHING
            yield ContainerState(
                name=str(status.get("name") or ""),
                waiting=state.get("waiting"),
                running=state.get("running"),
                terminated=state.get("terminated"),
                init=init,
            )


def moment(text: object) -> datetime | None:
    """A time as Kubernetes writes it; None for anything else."""
    if isinstance(text, datetime):
        return text
    if not isinstance(text, str) or not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
