"""Nothing but tasks after each other, for figures."""

from flytekit import task, workflow


@task
def same(x: int) -> int:
    return x


@workflow
def ten(x: int = 1) -> int:
    for _ in range(10):
        x = same(x=x)
    return x
