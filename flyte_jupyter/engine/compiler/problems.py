"""What can be wrong with a workflow, in Flyte's own codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable names of problems (Flyte: ``compiler/errors``; `NOT_SUPPORTED` is ours)."""

    BINDING_TWICE = "ParameterBoundMoreThanOnce"
    CYCLE = "CycleDetected"
    DUPLICATE_ID = "DuplicateId"
    MISMATCHING_TYPES = "MismatchingTypes"
    NODE_NOT_FOUND = "NodeReferenceNotFound"
    NO_NODES = "NoNodesFound"
    NOT_SUPPORTED = "NotSupported"
    PARAMETER_NOT_BOUND = "ParameterNotBound"
    TASK_NOT_FOUND = "TaskReferenceNotFound"
    UNREACHABLE = "UnreachableNodes"
    VALUE_REQUIRED = "ValueRequired"
    VARIABLE_NOT_FOUND = "VariableNameNotFound"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (a node's id, ``""`` for the workflow; a field of it) and why."""

    code: Code
    node: str
    field: str
    message: str

    def __str__(self) -> str:
        where = ".".join(part for part in (self.node, self.field) if part)
        return f"{self.code.value}: {where + ': ' if where else ''}{self.message}"


class CompileError(Exception):
    """A workflow cannot run as written. Holds every problem that was found, not only the first."""

    def __init__(self, workflow: str, problems: Sequence[Problem]) -> None:
        self.workflow = workflow
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"workflow {workflow} has {len(problems)} problem(s):\n{lines}")
