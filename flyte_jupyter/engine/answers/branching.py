"""Which arm of a branch is taken (Flyte: ``nodes/branch/``)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from flyte_jupyter.engine.compiler.interfaces import cases
from flyte_jupyter.engine.core.state import Failure
from flyte_jupyter.idl import core, literals, msgpack

_Comparison = core.ComparisonExpression
_COMPARE: Mapping[int, Callable[[Any, Any], bool]] = {
    _Comparison.EQ: operator.eq,
    _Comparison.NEQ: operator.ne,
    _Comparison.GT: operator.gt,
    _Comparison.GTE: operator.ge,
    _Comparison.LT: operator.lt,
    _Comparison.LTE: operator.le,
}
_EQUALITY = (_Comparison.EQ, _Comparison.NEQ)
_ORDERED = (str, datetime, timedelta)


class Malformed(Exception):
    """A condition that cannot be judged."""


def chosen(node: core.Node, inputs: core.LiteralMap) -> str | Failure:
    """The id of the arm whose condition holds first; a failure when there is none or one cannot be judged."""
    try:
        for case in cases(node):
            if holds(case.condition, inputs):
                return case.then_node.id
    except Malformed as error:
        return Failure("MalformedBranchUserError", f"branch {node.id}: {error}")
    otherwise = node.branch_node.if_else
    match otherwise.WhichOneof("default"):
        case "else_node":
            return otherwise.else_node.id
        case "error":
            return Failure("UserProvidedError", otherwise.error.message)
    message = f"branch {node.id}: no condition holds and there is no else"
    return Failure("MalformedBranchUserError", message)


def holds(condition: core.BooleanExpression, inputs: core.LiteralMap) -> bool:
    """Whether a condition is true. Both sides of AND and OR are judged always. Raises `Malformed`."""
    match condition.WhichOneof("expr"):
        case "conjunction":
            both = condition.conjunction
            left = holds(both.left_expression, inputs)
            right = holds(both.right_expression, inputs)
            if both.operator == core.ConjunctionExpression.AND:
                return left and right
            return left or right
        case "comparison":
            return _compare(condition.comparison, inputs)
    raise Malformed("a condition is empty")


def _compare(comparison: core.ComparisonExpression, inputs: core.LiteralMap) -> bool:
    left = _operand(comparison.left_value, inputs)
    right = _operand(comparison.right_value, inputs)
    compare = _COMPARE.get(comparison.operator)
    if compare is None:
        raise Malformed(f"there is no comparison {comparison.operator}")
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        alike = left is None or right is None or type(left) is type(right)
        if comparison.operator in _EQUALITY and alike:
            return compare(left, right)
    elif _alike(left, right):
        return compare(left, right)
    sign = _Comparison.Operator.Name(comparison.operator)
    raise Malformed(
        f"{type(left).__name__} {sign} {type(right).__name__} cannot be judged: compare values of one type"
    )


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, int | float) and isinstance(right, int | float):
        return True
    return any(isinstance(left, kind) and isinstance(right, kind) for kind in _ORDERED)


def _operand(operand: core.Operand, inputs: core.LiteralMap) -> Any:
    match operand.WhichOneof("val"):
        case "primitive":
            literal = core.Literal(scalar=core.Scalar(primitive=operand.primitive))
        case "scalar":
            literal = core.Literal(scalar=operand.scalar)
        case "var" if operand.var in inputs.literals:
            literal = inputs.literals[operand.var]
        case "var":
            raise Malformed(f"there is no input {operand.var!r}")
        case _:
            raise Malformed("an operand is empty")
    try:
        return literals.value(literal)
    except (TypeError, ValueError, OverflowError, msgpack.MsgpackError) as error:
        raise Malformed(f"an operand has no plain value: {error}") from error
