"""The work that is measured: as little as possible, so that what is left is ours."""

from flyte_jupyter import task, workflow

SHORT, LONG, WIDE = 40, 500, 1000


@task
def increment(x: int) -> int:
    return x + 1


@task(reuse=True)
def increment_reused(x: int) -> int:
    return x + 1


@task(environment={"FLYTE_JUPYTER_NO_FORK": "1"})
def increment_executed(x: int) -> int:
    return x + 1


@task(reuse=True)
def zero() -> int:
    return 0


@workflow
def kernel_chain(x: int = 0) -> int:
    for _ in range(SHORT):
        x = increment(x=x)
    return x


@workflow
def forked_chain(x: int = 0) -> int:
    for _ in range(SHORT):
        x = increment(x=x)
    return x


@workflow
def executed_chain(x: int = 0) -> int:
    for _ in range(10):
        x = increment_executed(x=x)
    return x


@workflow
def reused_chain(x: int = 0) -> int:
    for _ in range(LONG):
        x = increment_reused(x=x)
    return x


@workflow
def wide(x: int = 0) -> list[int]:
    start = increment_reused(x=x)
    return [increment_reused(x=start) for _ in range(WIDE)]
