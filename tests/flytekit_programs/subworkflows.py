"""Workflows inside workflows: three deep, one used twice, one that fails inside."""

from flytekit import WorkflowFailurePolicy, task, workflow


def refuse(why: str) -> int:
    raise ValueError(why)


@task
def double(x: int) -> int:
    return 2 * x


@task
def broken(x: int) -> int:
    return refuse(f"{x} is never right")


@workflow
def innermost(x: int) -> int:
    return double(x=double(x=x))


@workflow
def middle(x: int) -> tuple[int, int]:
    one = innermost(x=x)
    return one, innermost(x=one)


@workflow
def outer(x: int = 1) -> int:
    _, last = middle(x=double(x=x))
    return last


@workflow
def failing_inside(x: int) -> int:
    return broken(x=double(x=x))


@workflow
def around_failing(x: int = 1) -> int:
    return double(x=failing_inside(x=x))


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def beside_failing(x: int = 1) -> int:
    failing_inside(x=x)
    return outer(x=x)


@workflow
def around_nothing(x: int = 3) -> int:
    double(x=x)
    return x
