"""Programs that leave traces outside of the platform: one line for each time that a task really ran."""

import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flytekit import Cache, LaunchPlan, Resources, conditional, dynamic, map_task, task, workflow
from flytekit.core.array_node import array_node

SMALL = Resources(cpu="100m", mem="64Mi")
"""So that many run at once on a small machine."""


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


@task(cache=Cache(version="1", serialize=True))
def remembered(file: str, name: str) -> int:
    note(file, name)
    return 1


@workflow
def child(file: str, name: str) -> int:
    return step(file=file, name=name, after=0)


children = LaunchPlan.get_or_create(child, name="flytekit_programs.faults.children")


@workflow
def kinds(file: str, tag: str) -> int:
    """A little of every kind; 15 effects."""
    first = remembered(file=file, name=tag)
    second = remembered(file=file, name=tag)
    first >> second
    return total(
        values=[
            first,
            second,
            total(values=map_task(noted)(what=names(file=file, prefix=tag, n=4))),
            fan(file=file, prefix=tag, n=8),
            chosen(file=file, name=tag, x=0),
            children(file=file, name=tag),
        ]
    )


@task(requests=SMALL, limits=SMALL)
def held(what: str) -> int:
    """Goes on until there is a file ``<trace>.go``."""
    file, name = what.split("|")
    note(file, name)
    while not Path(f"{file}.go").exists():
        time.sleep(0.05)
    return 1


@task
def marked(file: str, name: str) -> str:
    return f"{file}|{name}"


@workflow
def held_inside(file: str, name: str) -> int:
    return held(what=marked(file=file, name=name))


@dynamic
def held_graph(file: str, n: int) -> int:
    return total(values=[held_inside(file=file, name=f"deep.{i}") for i in range(n)])


@workflow
def holding(file: str, items: int, nodes: int) -> int:
    """What waits in items of a map and in sub-workflows of a dynamic task."""
    return total(
        values=[
            total(values=map_task(held)(what=names(file=file, prefix="item", n=items))),
            held_graph(file=file, n=nodes),
        ]
    )


@workflow
def held_child(what: str) -> int:
    return held(what=what)


held_children = LaunchPlan.get_or_create(held_child, name="flytekit_programs.faults.held_children")


@workflow
def parents(file: str, n: int) -> list[int]:
    """An execution for each of `n`."""
    return array_node(held_children)(what=names(file=file, prefix="child", n=n))


@dataclass
class Extremes:
    """Values at the ends of their types."""

    number: int
    real: float
    moment: datetime


@task
def same_reals(values: list[float]) -> list[float]:
    return values


@task
def same_real(x: float) -> float:
    return x


@task
def same_number(x: int) -> int:
    return x


@task
def same_moment(t: datetime) -> datetime:
    return t


@task
def extremes(number: int, real: float, moment: datetime) -> Extremes:
    return Extremes(number, real, moment)


@task
def too_large(x: int) -> int:
    return 2**63


@task
def word(text: str) -> str:
    return text


@workflow
def real_items(values: list[float]) -> list[float]:
    return map_task(same_real)(x=values)


@workflow
def number_items(values: list[int]) -> list[int]:
    return map_task(same_number)(x=values)


@workflow
def moment_items(values: list[datetime]) -> list[datetime]:
    return map_task(same_moment)(t=values)


@workflow
def inside(number: int, real: float, moment: datetime) -> tuple[int, float, list[float]]:
    """Through attribute paths into a data class and a list."""
    made = extremes(number=number, real=real, moment=moment)
    reals = same_reals(values=[real, real])
    return same_number(x=made.number), same_real(x=reals[1]), map_task(same_real)(x=reals)


@workflow
def compared(x: float) -> str:
    return (
        conditional("order")
        .if_(x < 0.0)
        .then(word(text="below"))
        .elif_(x >= 0.0)
        .then(word(text="not below"))
        .else_()
        .then(word(text="no number"))
    )


@workflow
def overflow(x: int = 1) -> list[int]:
    return map_task(too_large)(x=[1, 2])


@task
def first(file: str) -> int:
    note(file, "first")
    return 7


@task
def waits(file: str) -> str:
    note(file, "waits")
    while not Path(f"{file}.go").exists():
        time.sleep(0.05)
    return file


@workflow
def handed_over(file: str) -> int:
    """What `first` gave is read only when `waits` is over, in another life of the control plane."""
    given = first(file=file)
    return step(file=waits(file=file), name="second", after=given)


@task(requests=SMALL, limits=SMALL)
def first_at_once(what: str) -> int:
    """The first element is done at once, the others wait."""
    file, name = what.split("|")
    note(file, name)
    while not name.endswith(".0") and not Path(f"{file}.go").exists():
        time.sleep(0.05)
    return 1


@workflow
def handed_over_by_items(file: str) -> int:
    """What the first item gave is read only when the last is over."""
    return total(values=map_task(first_at_once)(what=names(file=file, prefix="item", n=3)))


@task(cache=Cache(version="1", serialize=True), requests=SMALL, limits=SMALL)
def computed_once(file: str, name: str) -> int:
    note(file, name)
    while not Path(f"{file}.go").exists():
        time.sleep(0.05)
    return 1


@workflow
def one_at_a_time(file: str, name: str) -> int:
    return computed_once(file=file, name=name)
