"""Names of things: executions, registered entities, and places inside an execution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]
"""Where a node stands in an execution: ``("n0",)``, or ``("n0", "dn3")`` inside a composite.

A string names a node, an integer an item of a map task.
"""


def path_text(path: Path) -> str:
    """The node id that clients see for a path; parts are joined by ``-`` as Flyte joins them."""
    return "-".join(str(part) for part in path)


@dataclass(frozen=True, slots=True, order=True)
class RunId:
    """The name of one execution (Flyte: ``WorkflowExecutionIdentifier``)."""

    project: str
    domain: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.domain}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class AttemptId:
    """One try at one node of one execution: the unit that an executor knows."""

    run: RunId
    path: Path
    attempt: int

    def __str__(self) -> str:
        return f"{self.run}/{path_text(self.path)}/{self.attempt}"


class EntityKind(StrEnum):
    """What can be registered (Flyte: ``ResourceType``)."""

    TASK = "task"
    WORKFLOW = "workflow"
    LAUNCH_PLAN = "launch_plan"


@dataclass(frozen=True, slots=True, order=True)
class EntityId:
    """The name of one version of one registered entity (Flyte: ``Identifier``)."""

    kind: EntityKind
    project: str
    domain: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.project}/{self.domain}/{self.name}@{self.version}"
