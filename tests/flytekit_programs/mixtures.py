"""Kinds of nodes inside one another, where each alone is plain: gates, branches, handlers and launch plans in graphs made at run time."""

import os
import time
from datetime import timedelta

from flytekit import (
    LaunchPlan,
    Resources,
    Workflow,
    approve,
    conditional,
    dynamic,
    map_task,
    reference_launch_plan,
    reference_task,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flytekit.types.error.error import FlyteError

LITTLE = Resources(cpu="10m")
HERE = {"project": "flytesnacks", "domain": "development", "version": "v1"}


@task(requests=LITTLE)
def plus(a: int, b: int = 1) -> int:
    return a + b


@task(requests=LITTLE)
def said(word: str, x: int) -> str:
    return f"{word} {x}"


@task(requests=LITTLE)
def numbers(n: int) -> list[int]:
    return list(range(n))


@task(requests=LITTLE)
def total(values: list[int]) -> int:
    return sum(values)


@task(requests=LITTLE)
def broken(x: int) -> int:
    if x >= 0:
        raise ValueError(f"{x} is broken")
    return x


@task(requests=LITTLE, timeout=timedelta(seconds=1), retries=1)
def endless(x: int) -> int:
    """Its node runs out of time before it has had both attempts."""
    time.sleep(600)
    return x


@task(requests=LITTLE)
def tidy(x: int, err: FlyteError | None = None) -> None:
    assert err is not None


# -- branches and gates in dynamic tasks --


@dynamic(requests=LITTLE)
def chooses(n: int) -> str:
    made = plus(a=n)
    return (
        conditional("size")
        .if_(made < 3)
        .then(said(word="few", x=made))
        .else_()
        .then(said(word="many", x=made))
    )


@workflow
def choosing(n: int) -> str:
    return chooses(n=n)


@workflow
def asks(x: int) -> int:
    word = wait_for_input("how-many", timeout=timedelta(hours=1), expected_type=int)
    return plus(a=word, b=x)


@workflow
def asking_twice() -> tuple[int, int]:
    return asks(x=1), asks(x=2)


@dynamic(requests=LITTLE)
def approves(n: int) -> int:
    return plus(a=approve(plus(a=n), "inside", timeout=timedelta(hours=1)))


@workflow
def approving(n: int) -> int:
    return approves(n=n)


@dynamic(requests=LITTLE)
def rests(n: int) -> int:
    pause = sleep(timedelta(milliseconds=20))
    made = plus(a=n)
    pause >> made
    return made


@workflow
def resting(n: int) -> int:
    return rests(n=n)


# -- a branch whose arms are composites --


@workflow
def mapped(n: int) -> int:
    return total(values=map_task(plus)(a=numbers(n=n), b=numbers(n=n)))


plans = LaunchPlan.get_or_create(mapped, name="flytekit_programs.mixtures.plans", max_parallelism=1)


@workflow
def arms(n: int) -> int:
    return (
        conditional("kind")
        .if_(n == 1)
        .then(mapped(n=n))
        .elif_(n == 2)
        .then(plans(n=n))
        .elif_(n == 3)
        .then(rests(n=n))
        .else_()
        .then(asks(x=n))
    )


# -- failures through several depths --


@workflow(on_failure=tidy)
def tidied(x: int) -> int:
    return broken(x=x)


@dynamic(requests=LITTLE)
def breaks_inside(x: int) -> int:
    return tidied(x=x)


@workflow
def breaking_inside(x: int = 1) -> int:
    return breaks_inside(x=x)


@dynamic(requests=LITTLE, retries=2)
def better(x: int) -> int:
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "1":
        return plus(a=x)
    return endless(x=x)


@dynamic(requests=LITTLE)
def around_better(x: int) -> int:
    return plus(a=better(x=x))


@workflow
def deep_retry(x: int = 1) -> int:
    return around_better(x=x)


@dynamic(requests=LITTLE)
def unknown_plan(x: int) -> int:
    return nowhere(x=x)


@reference_launch_plan(
    project="flytesnacks", domain="development", name="nobody.has.this", version="v9"
)
def nowhere(x: int) -> int:
    return x


@workflow
def into_the_unknown(x: int = 1) -> int:
    return unknown_plan(x=x)


# -- what is made without decorators, and what is somebody else's --

by_hand = Workflow(name="flytekit_programs.mixtures.by_hand")
by_hand.add_workflow_input("n", int)
_first = by_hand.add_entity(plus, a=by_hand.inputs["n"])
_second = by_hand.add_entity(plus, a=_first.outputs["o0"], b=_first.outputs["o0"])
by_hand.add_workflow_output("sum", _second.outputs["o0"])


@reference_task(name="flytekit_programs.mixtures.plus", **HERE)
def theirs(a: int, b: int) -> int:
    return a + b


@reference_launch_plan(name="flytekit_programs.mixtures.plans", **HERE)
def their_plan(n: int) -> int:
    return n


@workflow
def referring(n: int) -> tuple[int, int]:
    return theirs(a=n, b=n), their_plan(n=n)
