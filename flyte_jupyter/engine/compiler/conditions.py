"""Whether the conditions, gates and arrays of a workflow are whole: what can be said without its edges."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flyte_jupyter.engine.compiler.interfaces import cases, scalar_type
from flyte_jupyter.engine.compiler.problems import Code, Problem
from flyte_jupyter.idl import core, types

InputType = Callable[[str], core.LiteralType | None]
"""The type of a branch node's input, by its name; None when nothing is bound to that name."""


def branch_problems(node: core.Node, input_type: InputType) -> Iterator[Problem]:
    """What is wrong with a branch node itself: conditions, arms or a way out that it lacks."""
    block = node.branch_node.if_else
    if not block.HasField("case"):
        message = "the branch has no first case"
        yield Problem(Code.BRANCH_HAS_NO_CONDITION, node.id, "branch_node.if_else.case", message)
    for index, case in enumerate(cases(node)):
        place = f"branch_node.case[{index}]"
        if not case.HasField("then_node"):
            message = "there is a condition, and no node that it leads to"
            yield Problem(Code.BRANCH_NODE_NOT_FOUND, node.id, f"{place}.then_node", message)
        if not case.HasField("condition"):
            message = "the case has no condition"
            yield Problem(Code.BRANCH_HAS_NO_CONDITION, node.id, f"{place}.condition", message)
        else:
            for found in _expression_problems(case.condition, input_type):
                yield Problem(found.code, node.id, f"{place}.condition", found.message)
    if block.WhichOneof("default") is None:
        message = "give the branch an else: a node, or an error to fail with"
        yield Problem(Code.BRANCH_HAS_NO_DEFAULT, node.id, "branch_node.if_else.default", message)


def _expression_problems(
    expression: core.BooleanExpression, input_type: InputType
) -> Iterator[Problem]:
    waiting = [expression]
    while waiting:
        one = waiting.pop()
        match one.WhichOneof("expr"):
            case "conjunction":
                waiting += [one.conjunction.right_expression, one.conjunction.left_expression]
            case "comparison":
                yield from _comparison_problems(one.comparison, input_type)
            case _:
                message = "it is neither a comparison nor made of two conditions"
                yield Problem(Code.VALUE_REQUIRED, "", "", message)


def _comparison_problems(
    comparison: core.ComparisonExpression, input_type: InputType
) -> Iterator[Problem]:
    kinds: list[core.LiteralType] = []
    for side, operand in (("left", comparison.left_value), ("right", comparison.right_value)):
        match operand.WhichOneof("val"):
            case "primitive":
                kinds.append(scalar_type(core.Scalar(primitive=operand.primitive)))
            case "scalar":
                kinds.append(scalar_type(operand.scalar))
            case "var" if operand.var:
                kind = input_type(operand.var)
                if kind is None:
                    message = f"nothing is bound to {operand.var!r}, which it compares"
                    yield Problem(Code.VARIABLE_NOT_FOUND, "", "", message)
                else:
                    kinds.append(kind)
            case _:
                message = f"the {side} side of a comparison has no value"
                yield Problem(Code.VALUE_REQUIRED, "", "", message)
    plain = [kind for kind in kinds if kind.WhichOneof("type") == "simple" and _comparable(kind)]
    if len(plain) == len(("left", "right")) and plain[0].simple != plain[1].simple:
        one, other = map(types.describe, plain)
        yield Problem(Code.MISMATCHING_TYPES, "", "", f"it compares {one} with {other}")


def _comparable(kind: core.LiteralType) -> bool:
    """Whether the type is told: what lies inside a struct shows at run time only, and anything may be None."""
    return kind.simple not in (core.SimpleType.NONE, core.SimpleType.STRUCT)


def gate_problems(node: core.Node) -> Iterator[Problem]:
    """What is wrong with a gate node itself."""
    gate = node.gate_node
    match gate.WhichOneof("condition"):
        case "approve":
            if not gate.approve.signal_id:
                yield _required(node, "gate_node.approve.signal_id")
        case "signal":
            if not gate.signal.signal_id:
                yield _required(node, "gate_node.signal.signal_id")
            if gate.signal.type.WhichOneof("type") is None:
                yield _required(node, "gate_node.signal.type")
            if not gate.signal.output_variable_name:
                yield _required(node, "gate_node.signal.output_variable_name")
        case "sleep":
            pass
        case _:
            message = "the gate waits for nothing: give it a signal, an approval or a time"
            yield Problem(Code.NO_CONDITION, node.id, "gate_node", message)


def array_problems(node: core.Node) -> Iterator[Problem]:
    """What is wrong with an array node itself."""
    array = node.array_node
    inner = array.node
    match inner.WhichOneof("target"):
        case "task_node":
            pass
        case "workflow_node" if inner.workflow_node.HasField("launchplan_ref"):
            pass
        case None:
            yield _required(node, "array_node.node")
        case which:
            message = f"an array node runs tasks and launch plans, not a {which.replace('_', ' ')}"
            yield Problem(Code.NOT_SUPPORTED, node.id, "array_node.node", message)
    ratio = array.min_success_ratio
    if array.WhichOneof("success_criteria") == "min_success_ratio" and not 0 <= ratio <= 1:
        message = f"a ratio lies between 0 and 1, given {ratio}"
        yield Problem(Code.INVALID_VALUE, node.id, "array_node.min_success_ratio", message)


def _required(node: core.Node, field: str) -> Problem:
    return Problem(Code.VALUE_REQUIRED, node.id, field, "it has to be said")
