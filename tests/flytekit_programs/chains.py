"""Tasks after each other and side by side; several outputs; lists, dicts and data classes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from flytekit import task, workflow


@dataclass
class Point:
    x: int
    name: str


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Sums(NamedTuple):
    total: int
    text: str


@task
def add(a: int, b: int) -> int:
    return a + b


@task
def sums(values: list[int]) -> Sums:
    return Sums(total=sum(values), text="+".join(map(str, values)))


@task
def point(x: int) -> Point:
    return Point(x=x, name=f"p{x}")


@task
def told(p: Point, colour: Colour, extra: int | None = None) -> str:
    return f"{p.name}:{p.x}:{colour.value}:{extra}"


@task
def either(x: int | str) -> str:
    return f"{type(x).__name__} {x}"


@task
def later(when: datetime, by: timedelta) -> datetime:
    return when + by


@task
def note(text: str) -> None:
    print(text)


@workflow
def chain(a: int = 1) -> int:
    first = add(a=a, b=1)
    second = add(a=first, b=first)
    return add(a=second, b=a)


@workflow
def named(a: int) -> Sums:
    one = add(a=a, b=1)
    two = add(a=a, b=2)
    found = sums(values=[one, two, 3])
    return Sums(total=found.total, text=found.text)


@workflow
def typed(x: int, colour: Colour = Colour.RED) -> tuple[str, str]:
    return told(p=point(x=x), colour=colour), either(x=x)


@workflow
def ordered() -> None:
    one, two, three = note(text="one"), note(text="two"), note(text="three")
    one >> two
    two >> three


@workflow
def delayed(when: datetime, by: timedelta) -> datetime:
    return later(when=when, by=by)
