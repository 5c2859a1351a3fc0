"""Which arm a branch takes: conditions are judged as Flyte judges them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flyte_jupyter.engine.answers.branching import Malformed, chosen, holds
from flyte_jupyter.engine.core.state import Failure
from flyte_jupyter.idl import core, literals

C = core.ComparisonExpression
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def operand(value):
    return core.Operand(scalar=literals.literal(value).scalar)


def compare(left, operator, right):
    expression = C(left_value=operand(left), operator=operator, right_value=operand(right))
    return core.BooleanExpression(comparison=expression)


def both(operator, left, right):
    joined = core.ConjunctionExpression(
        operator=operator, left_expression=left, right_expression=right
    )
    return core.BooleanExpression(conjunction=joined)


TRUE, FALSE = compare(1, C.EQ, 1), compare(1, C.EQ, 2)
BAD = compare("a", C.LT, 1)
HUGE = core.Scalar()
HUGE.primitive.duration.seconds = 2**60


@pytest.mark.parametrize(
    ("left", "operator", "right", "true"),
    [
        (1, C.LT, 2, True),
        (2, C.LTE, 2, True),
        (2, C.GT, 2, False),
        (2.5, C.GTE, 2, True),
        ("b", C.GT, "a", True),
        (True, C.EQ, True, True),
        (True, C.NEQ, True, False),
        (None, C.EQ, None, True),
        (None, C.NEQ, 3, True),
        (None, C.EQ, 0, False),
        (DAY, C.LT, DAY + timedelta(1), True),
        (timedelta(1), C.GTE, timedelta(2), False),
        (float("nan"), C.EQ, float("nan"), False),
    ],
)
def test_values_of_one_type_are_compared(left, operator, right, true):
    assert holds(compare(left, operator, right), core.LiteralMap()) is true


@pytest.mark.parametrize(
    ("left", "operator", "right"),
    [("a", C.LT, 1), (True, C.GT, False), (None, C.LT, 1), (True, C.EQ, 1), (DAY, C.EQ, "x")],
)
def test_what_cannot_be_compared_is_malformed(left, operator, right):
    with pytest.raises(Malformed, match="cannot be judged"):
        holds(compare(left, operator, right), core.LiteralMap())


def test_both_sides_are_judged_always():
    assert holds(both(core.ConjunctionExpression.OR, FALSE, TRUE), core.LiteralMap())
    assert not holds(both(core.ConjunctionExpression.AND, FALSE, TRUE), core.LiteralMap())
    for operator, first in (
        (core.ConjunctionExpression.OR, TRUE),
        (core.ConjunctionExpression.AND, FALSE),
    ):
        with pytest.raises(Malformed):
            holds(both(operator, first, BAD), core.LiteralMap())


def test_operands_come_from_the_inputs_by_name():
    asked = C(left_value=core.Operand(var="n0.o"), operator=C.GT, right_value=operand(3))
    condition = core.BooleanExpression(comparison=asked)
    inputs = core.LiteralMap(literals={"n0.o": literals.literal(4)})
    assert holds(condition, inputs)
    inputs.literals["n0.o"].CopyFrom(literals.binary(2))
    assert not holds(condition, inputs)
    with pytest.raises(Malformed, match=r"no input 'n0\.o'"):
        holds(condition, core.LiteralMap())


def test_without_an_arm_there_is_a_failure_by_name():
    node = core.Node(id="b")
    block = node.branch_node.if_else
    block.case.condition.CopyFrom(FALSE)
    found = chosen(node, core.LiteralMap())
    assert isinstance(found, Failure)
    assert found.code == "MalformedBranchUserError"
    block.case.condition.CopyFrom(BAD)
    assert chosen(node, core.LiteralMap()).code == "MalformedBranchUserError"


@pytest.mark.parametrize(
    "comparison",
    [
        C(left_value=core.Operand(scalar=HUGE), operator=C.EQ, right_value=operand(1)),
        C(left_value=operand(1), operator=99, right_value=operand(1)),
    ],
    ids=["a duration that is none", "an operator that is none"],
)
def test_what_cannot_be_read_is_the_users_failure(comparison):
    with pytest.raises(Malformed):
        holds(core.BooleanExpression(comparison=comparison), core.LiteralMap())
