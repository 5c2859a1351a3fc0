"""The work that is measured: as little as possible, so that what is left is ours."""

import time

from flyte_jupyter import map_task, task, workflow

SHORT, LONG, WIDE = 40, 500, 1000
VERY_WIDE, ITEMS = 10_000, 100_000
AT_ONCE, PLATFORMS = 256, 25
"""How many nodes of a fan-out are under way: as many as one commit begins, and as many as Flyte lets without being asked."""


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


@task(reuse=True)
def nothing() -> None:
    return None


@task(reuse=True)
def noted(path: str) -> None:
    with open(path, "a", encoding="ascii") as file:
        file.write("x")
    time.sleep(0.05)


@workflow
def very_wide(x: int = 0) -> list[int]:
    start = increment_reused(x=x)
    return [increment_reused(x=start) for _ in range(VERY_WIDE)]


@workflow
def very_long_map(values: list[int]) -> list[int]:
    raised: list[int] = map_task(increment_reused)(x=values)
    return raised
