"""Programs that leave traces outside of the platform: one line for each time that a task really ran."""

import os
import time

from flytekit import LaunchPlan, conditional, dynamic, map_task, task, workflow


def note(file: str, what: str) -> None:
    """One line, appended at once: who did what, and as which process."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{what} {os.getpid()}\n".encode())
    os.close(handle)


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def names(file: str, prefix: str, n: int) -> list[str]:
    return [f"{file}|{prefix}.{i}" for i in range(n)]


@task
def noted(what: str) -> int:
    """`what` is the file and the name in one: an element of a list is all that an item of a map gets."""
    file, name = what.split("|")
    note(file, name)
    return 1


@task
def step(file: str, name: str, after: int) -> int:
    note(file, name)
    return after + 1


@task
def total(values: list[int]) -> int:
    return sum(values)


@workflow
def two_steps(file: str, name: str, suffix: str) -> int:
    one = step(file=file, name=name, after=0)
    return step(file=file, name=suffix, after=one)


@workflow
def chosen(file: str, name: str, x: int) -> int:
    return (
        conditional("even")
        .if_(x == 0)
        .then(step(file=file, name=name, after=0))
        .else_()
        .then(two_steps(file=file, name=name, suffix=name))
    )


@dynamic
def fan(file: str, prefix: str, n: int) -> int:
    """Half of `n` nodes are plain tasks, the rest are the two of a sub-workflow."""
    plain = [step(file=file, name=f"{prefix}.plain.{i}", after=0) for i in range(n // 2)]
    nested = [
        two_steps(file=file, name=f"{prefix}.one.{i}", suffix=f"{prefix}.two.{i}")
        for i in range(n // 4)
    ]
    return total(values=[*plain, *nested])


@workflow
def mixed(file: str, items: int = 400, nodes: int = 200) -> int:
    """Two maps, two dynamic tasks, branches and sub-workflows side by side."""
    parts = [
        total(values=map_task(noted)(what=names(file=file, prefix="a", n=items))),
        total(values=map_task(noted, concurrency=5)(what=names(file=file, prefix="b", n=items))),
        fan(file=file, prefix="c", n=nodes),
        fan(file=file, prefix="d", n=nodes),
        chosen(file=file, name="e", x=0),
        two_steps(file=file, name="f", suffix="g"),
    ]
    return total(values=parts)
