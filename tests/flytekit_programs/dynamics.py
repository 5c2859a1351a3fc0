"""Graphs made at run time: nested ones, with sub-workflows and launch plans inside, failing and tried again."""

import os
import time
from datetime import timedelta

from flytekit import LaunchPlan, dynamic, map_task, task, workflow


def refuse(why: str) -> int:
    raise ValueError(why)


@task
def square(x: int) -> int:
    return x * x


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def broken(x: int) -> int:
    return refuse(f"{x} breaks")


@task(timeout=timedelta(seconds=1), retries=1)
def endless(x: int) -> int:
    """Its node runs out of time before it has had both attempts."""
    time.sleep(600)
    return x


@workflow
def squared(x: int) -> int:
    return square(x=x)


squares = LaunchPlan.get_or_create(squared, name="flytekit_programs.dynamics.squares")


@dynamic
def fan(n: int) -> int:
    return total(values=[square(x=i) for i in range(n)])


@dynamic
def recursive(n: int) -> int:
    if n < 1:
        return square(x=1)
    return recursive(n=n - 1)


@dynamic
def mixed(n: int) -> int:
    return total(values=[squared(x=n), squares(x=n), fan(n=n)])


@dynamic
def mapped(n: int) -> int:
    return total(values=map_task(square)(x=list(range(n))))


@dynamic
def failing(n: int) -> int:
    return total(values=[square(x=n), broken(x=n)])


@dynamic(retries=2)
def better_later(n: int) -> int:
    if os.environ.get("FLYTE_ATTEMPT_NUMBER", "0") == "0":
        return endless(x=n)
    return square(x=n)


@dynamic
def without_nodes(n: int) -> int:
    return n


@workflow
def fan_out(n: int = 3) -> int:
    return square(x=fan(n=n))


@workflow
def recursion(n: int = 3) -> int:
    return recursive(n=n)


@workflow
def mixture(n: int = 2) -> int:
    return mixed(n=n)


@workflow
def mapping(n: int = 3) -> int:
    return mapped(n=n)


@workflow
def around_failing(n: int = 2) -> int:
    return failing(n=n)


@workflow
def around_better(n: int = 2) -> int:
    return better_later(n=n)


@workflow
def around_nothing(n: int = 2) -> int:
    return without_nodes(n=n)
