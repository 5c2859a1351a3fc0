"""One task for each element: bound inputs, ratios, concurrency, retries, caches, launch plans."""

import functools
import os

from flytekit import LaunchPlan, Resources, map_task, task, workflow
from flytekit.core.array_node import array_node
from flytekit.exceptions.user import FlyteRecoverableException


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def square(x: int) -> int:
    return x * x


@task
def power(x: int, exponent: int) -> int:
    return x**exponent


@task
def no_threes(x: int) -> int:
    if x % 3 == 0:
        raise ValueError(f"{x} is a multiple of three")
    return x


@task(retries=2)
def second_time(x: int) -> int:
    if os.environ.get("FLYTE_ATTEMPT_NUMBER", "0") == "0":
        raise FlyteRecoverableException(f"not {x} at once")
    return x


@task(cache=True, cache_version="1")
def remembered(x: int) -> int:
    return x + 100


@task
def silent(x: int) -> None:
    print(x)


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def count(values: list[int | None]) -> int:
    return len([value for value in values if value is not None])


@workflow
def squared(x: int) -> int:
    return square(x=x)


squares = LaunchPlan.get_or_create(squared, name="flytekit_programs.maps.squares")


@workflow
def plain(n: int = 4) -> int:
    return total(values=map_task(square)(x=numbers(n=n)))


@workflow
def constant() -> list[int]:
    return map_task(square)(x=[1, 2, 3])


@workflow
def bound(n: int = 4, exponent: int = 3) -> list[int]:
    return map_task(functools.partial(power, exponent=exponent))(x=numbers(n=n))


@workflow
def zipped(n: int = 4) -> list[int]:
    return map_task(power)(x=numbers(n=n), exponent=numbers(n=n))


@workflow
def tolerant(n: int = 6) -> int:
    return count(values=map_task(no_threes, min_success_ratio=0.5)(x=numbers(n=n)))


@workflow
def intolerant(n: int = 6) -> int:
    return count(values=map_task(no_threes, min_success_ratio=0.9)(x=numbers(n=n)))


@workflow
def at_least(n: int = 6) -> list[int]:
    return map_task(square, min_successes=3, min_success_ratio=None)(x=numbers(n=n))


@workflow
def two_at_once(n: int = 6) -> list[int]:
    return map_task(square, concurrency=2)(x=numbers(n=n))


@workflow
def retried(n: int = 2) -> list[int]:
    return map_task(second_time)(x=numbers(n=n))


@workflow
def cached(n: int = 3) -> list[int]:
    return map_task(remembered)(x=numbers(n=n))


@workflow
def empty() -> list[int]:
    return map_task(square)(x=numbers(n=0))


@workflow
def nothing(n: int = 2) -> None:
    map_task(silent)(x=numbers(n=n))


@workflow
def changed(n: int = 2) -> list[int]:
    return map_task(square)(x=numbers(n=n)).with_overrides(
        requests=Resources(cpu="1"), limits=Resources(cpu="2"), retries=4, node_name="changed-node"
    )


@workflow
def executions() -> list[int]:
    return array_node(squares, concurrency=2)(x=[1, 2, 3])
