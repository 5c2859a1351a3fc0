"""What can be wrong with a workflow, in Flyte's own codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable names of problems (Flyte: ``compiler/errors``; `NOT_SUPPORTED` and `NESTED_TOO_DEEP` are ours)."""

    AMBIGUOUS_UNION_VALUE = "AmbiguousBindingUnionValue"
    BINDING_TWICE = "ParameterBoundMoreThanOnce"
    BRANCH_HAS_NO_CONDITION = "BranchNodeHasNoCondition"
    BRANCH_HAS_NO_DEFAULT = "BranchNodeHasNoDefault"
    BRANCH_NODE_NOT_FOUND = "BranchNodeIdNotFound"
    CYCLE = "CycleDetected"
    DUPLICATE_ALIAS = "DuplicateAlias"
    DUPLICATE_ID = "DuplicateId"
    FIELD_NOT_FOUND = "FieldNotFound"
    ILLEGAL_ENUM_VALUE = "IllegalEnumValue"
    INCOMPATIBLE_UNION_VALUE = "IncompatibleBindingUnionValue"
    INVALID_VALUE = "InvalidValue"
    MISMATCHING_BINDINGS = "MismatchingBindings"
    MISMATCHING_TYPES = "MismatchingTypes"
    NESTED_TOO_DEEP = "NestedTooDeep"
    NODE_NOT_FOUND = "NodeReferenceNotFound"
    NO_CONDITION = "NoConditionFound"
    NO_NODES = "NoNodesFound"
    NOT_SUPPORTED = "NotSupported"
    PARAMETER_NOT_BOUND = "ParameterNotBound"
    TASK_NOT_FOUND = "TaskReferenceNotFound"
    UNREACHABLE = "UnreachableNodes"
    VALUE_REQUIRED = "ValueRequired"
    VARIABLE_NOT_FOUND = "VariableNameNotFound"
    WORKFLOW_NOT_FOUND = "WorkflowReferenceNotFound"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (a node's id, ``""`` for the workflow; a field of it) and why."""

    code: Code
    node: str
    field: str
    message: str
    workflow: str = ""
    """The sub-workflow that it is in; ``""``: the workflow that was to be compiled."""

    def __str__(self) -> str:
        where = ".".join(part for part in (self.node, self.field) if part)
        inside = f"in sub-workflow {self.workflow}: " if self.workflow else ""
        return f"{self.code.value}: {inside}{where + ': ' if where else ''}{self.message}"


class CompileError(Exception):
    """A workflow cannot run as written. Holds every problem that was found, not only the first."""

    def __init__(self, workflow: str, problems: Sequence[Problem]) -> None:
        self.workflow = workflow
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"workflow {workflow} has {len(problems)} problem(s):\n{lines}")
