"""What a launch may be given, and whether it was: before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.types import describe, mismatch
from flyte_jupyter.server.admin.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Target:
    """What a launch runs: a closure, and what may be given to it."""

    workflow: core.Identifier
    closure: core.CompiledWorkflowClosure
    expected: core.ParameterMap
    fixed: core.LiteralMap
    plan: admin.LaunchPlanSpec
    """The launch plan's policies; empty for a single task."""
    shown: str
    """How messages call it: ``workflow wf`` or ``task t``."""


def complete_inputs(target: Target, given: core.LiteralMap) -> core.LiteralMap:
    """The given inputs with defaults and fixed ones.

    Raises:
        InvalidArgument: an input is unknown, fixed, missing or of another type; all such problems in one message.
    """
    problems = [*_not_expected(target, given), *_unsuitable(target, given)]
    if problems:
        raise InvalidArgument(f"{target.shown}: " + "; ".join(problems))
    inputs = core.LiteralMap()
    for key, parameter in target.expected.parameters.items():
        if key in given.literals:
            inputs.literals[key].CopyFrom(given.literals[key])
        elif parameter.HasField("default"):
            inputs.literals[key].CopyFrom(parameter.default)
    for key, literal in target.fixed.literals.items():
        inputs.literals[key].CopyFrom(literal)
    return inputs


def without(given: core.LiteralMap, fixed: core.LiteralMap) -> core.LiteralMap:
    """The literals whose names are not among the fixed ones."""
    kept = core.LiteralMap()
    for key, literal in given.literals.items():
        if key not in fixed.literals:
            kept.literals[key].CopyFrom(literal)
    return kept


def _not_expected(target: Target, given: core.LiteralMap) -> Iterator[str]:
    for key in sorted(given.literals):
        if key in target.fixed.literals:
            yield f"input {key!r} is fixed by the launch plan and cannot be given"
        elif key not in target.expected.parameters:
            known = ", ".join(sorted(target.expected.parameters)) or "none"
            yield f"there is no input {key!r} (inputs: {known})"


def _unsuitable(target: Target, given: core.LiteralMap) -> Iterator[str]:
    for key, parameter in sorted(target.expected.parameters.items()):
        if key in given.literals:
            why = mismatch(given.literals[key], parameter.var.type)
            if why is not None:
                yield f"input {key!r}: {why}"
        elif parameter.required and not parameter.HasField("default"):
            kind = describe(parameter.var.type)
            yield f"expected_inputs {key} missing: give a value of type {kind}"
