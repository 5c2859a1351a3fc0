"""Parts of outputs: of lists, dicts and data classes, in each other."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from flytekit import conditional, task, workflow


@dataclass
class Inner:
    count: int = 2
    names: list[str] = field(default_factory=lambda: ["a", "b"])


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    table: dict[str, int] = field(default_factory=lambda: {"k": 7})


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Event:
    at: datetime = field(default_factory=lambda: datetime(2024, 1, 2, tzinfo=UTC))
    noted: datetime = field(default_factory=lambda: datetime(2024, 1, 2))  # noqa: DTZ001 - as people write them
    lasts: timedelta = timedelta(minutes=3)
    colour: Colour = Colour.BLUE
    word: int | str = 7
    inner: Inner | None = field(default_factory=Inner)
    visitors: int = 2**63


@task
def make() -> Outer:
    return Outer()


@task
def lists() -> list[dict[str, int]]:
    return [{"a": 1}, {"a": 2}]


@task
def dicts() -> dict[str, list[str]]:
    return {"words": ["x", "y"]}


@task
def plus(a: int, b: int) -> int:
    return a + b


@task
def joined(a: str, b: str) -> str:
    return a + b


@task
def counted(inner: Inner) -> int:
    return inner.count


@task
def event() -> Event:
    return Event()


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def until(at: datetime | None, lasts: timedelta) -> datetime:
    return at + lasts


@task
def told(word: Inner | int | str, colour: Colour) -> str:
    return f"{word} {colour.value}"


@workflow
def of_dataclass() -> tuple[int, str, int]:
    made = make()
    return (
        plus(a=made.inner.count, b=made.table["k"]),
        joined(a=made.inner.names[0], b=made.inner.names[1]),
        counted(inner=made.inner),
    )


@workflow
def of_containers() -> tuple[int, str]:
    items, words = lists(), dicts()
    return plus(a=items[0]["a"], b=items[1]["a"]), joined(a=words["words"][0], b=words["words"][1])


@workflow
def as_output() -> tuple[int, str]:
    return make().inner.count, dicts()["words"][1]


@workflow
def in_condition() -> str:
    made = make()
    return (
        conditional("count")
        .if_(made.inner.count == 2)
        .then(joined(a="two", b="!"))
        .else_()
        .then(joined(a="other", b="!"))
    )


@workflow
def of_times() -> tuple[datetime, timedelta, datetime, datetime]:
    made = event()
    return made.at, made.lasts, until(at=made.at, lasts=made.lasts), made.noted


@workflow
def of_unions() -> tuple[str, str]:
    made = event()
    return told(word=made.word, colour=made.colour), told(word=make().inner.count, colour="red")


@workflow
def together() -> tuple[int, list[int], dict[str, int]]:
    made = make()
    parts = [made.inner.count, 5, made.table["k"]]
    return total(values=parts), parts, {"count": made.inner.count}


@workflow
def inside_a_union() -> str:
    made = event()
    return (
        conditional("count")
        .if_(made.inner.count == 2)
        .then(joined(a="two", b="!"))
        .else_()
        .then(joined(a="other", b="!"))
    )


@workflow
def too_many() -> int:
    return plus(a=event().visitors, b=1)


@workflow
def out_of_range() -> str:
    return joined(a=dicts()["words"][5], b="")
