"""Outputs remembered: one at a time, without some inputs, by a hash of one's own, in dynamic tasks."""

from typing import Annotated

from flytekit import Cache, HashMethod, dynamic, task, workflow


@task(cache=Cache(version="1"))
def remembered(x: int) -> int:
    return x + 1


@task(cache=Cache(version="1", serialize=True))
def one_at_a_time(x: int) -> int:
    return x + 2


@task(cache=Cache(version="1", ignored_inputs=("verbose",)))
def quiet_or_not(x: int, verbose: bool) -> int:
    return x + 3


def parity(x: int) -> str:
    return str(x % 2)


@task
def hashed(x: int) -> Annotated[int, HashMethod(parity)]:
    return x


@task(cache=Cache(version="1"))
def of_hashed(x: int) -> int:
    return x


@task(cache=Cache(version="1"))
def nothing(x: int) -> None:
    print(x)


@dynamic(cache=Cache(version="1"))
def graph(x: int) -> int:
    return remembered(x=x)


@workflow
def plain(x: int = 1) -> int:
    return remembered(x=x)


@workflow
def serialised(x: int = 1) -> int:
    return one_at_a_time(x=x)


@workflow
def ignoring(x: int = 1, verbose: bool = False) -> int:
    return quiet_or_not(x=x, verbose=verbose)


@workflow
def by_hash(x: int = 1) -> int:
    return of_hashed(x=hashed(x=x))


@workflow
def without_outputs(x: int = 1) -> None:
    nothing(x=x)


@workflow
def of_graph(x: int = 1) -> int:
    return graph(x=x)


@workflow
def switched_off(x: int = 1) -> tuple[int, int]:
    return (
        remembered(x=x).with_overrides(cache=False),
        remembered(x=x).with_overrides(cache=True, cache_version="2", cache_serialize=True),
    )
