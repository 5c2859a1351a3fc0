"""Tasks that leave a mark each time they run, wait at doors, and break until they are mended: what happened can be counted in files."""

import os
import time
from pathlib import Path

from flytekit import (
    Cache,
    LaunchPlan,
    Resources,
    WorkflowFailurePolicy,
    current_context,
    dynamic,
    map_task,
    task,
    workflow,
)
from flytekit.core.array_node import array_node
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.error.error import FlyteError

LITTLE = Resources(cpu="10m")
GOES_ON = WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE


def place() -> Path:
    return Path(os.environ["FLYTE_EFFECTS"])


def leave(mark: str) -> None:
    with (place() / f"{mark}.marks").open("a") as file:
        file.write(f"{os.environ['FLYTE_INTERNAL_EXECUTION_ID']}\n")


def marks(mark: str) -> int:
    file = place() / f"{mark}.marks"
    return len(file.read_text().splitlines()) if file.exists() else 0


def wait_for(name: str) -> None:
    while not (place() / name).exists():
        time.sleep(0.01)


def mended(name: str) -> bool:
    return (place() / f"{name}.mended").exists()


@task(requests=LITTLE)
def once(mark: str, x: int = 0) -> int:
    leave(mark)
    return x + 1


@task(requests=LITTLE)
def fragile(mark: str, x: int = 0) -> int:
    leave(mark)
    if not mended(mark):
        raise ValueError(f"{mark} is broken")
    return x + 1


@task(requests=LITTLE)
def held(mark: str, x: int = 0) -> int:
    with (place() / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    leave(mark)
    wait_for(f"{mark}.open")
    return x + 1


@task(requests=LITTLE)
def item(mark: str, x: int) -> int:
    """The third one waits at a door, and breaks behind it until it is mended."""
    leave(f"{mark}{x}")
    if x == 2:
        wait_for(f"{mark}.open")
        if not mended(f"{mark}{x}"):
            raise ValueError(f"{mark}{x} is broken")
    return x * x


@task(requests=LITTLE)
def sometimes(mark: str, x: int) -> int:
    """Odd ones work, even ones break until they are mended."""
    leave(f"{mark}{x}")
    if x % 2 == 0:
        wait_for(f"{mark}.open")
        if not mended(mark):
            raise ValueError(f"{mark}{x} is broken")
    return x


@task(requests=LITTLE)
def crowded(mark: str, x: int = 0) -> int:
    """Says how many of its kind ran when it began, and waits until it may go."""
    mine = place() / "crowd" / f"{mark}-{x}-{os.getpid()}"
    mine.parent.mkdir(exist_ok=True)
    mine.touch()
    with (place() / "crowds").open("a") as file:
        file.write(f"{len(list(mine.parent.iterdir()))}\n")
    wait_for("crowd.open")
    mine.unlink()
    return x


@task(requests=LITTLE, retries=1)
def stepwise(mark: str) -> int:
    """Counts its attempts in its checkpoint, and is never tried more than twice by one execution."""
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    done = int(before.decode()) + 1 if before else 1
    checkpoint.write(str(done).encode())
    if not mended(mark):
        raise FlyteRecoverableException(f"{mark}: step {done} of more")
    return done


@task(requests=LITTLE, cache=Cache(version="1", serialize=True))
def alone(mark: str, x: int) -> int:
    leave(mark)
    wait_for(f"{mark}.open")
    return x + 1


@task(requests=LITTLE, cache=Cache(version="1"))
def kept(mark: str, x: int) -> int:
    leave(mark)
    return x + 1


@task(requests=LITTLE)
def names() -> dict[str, str]:
    """The environment that Flyte's tasks look at."""
    words = ("FLYTE_", "BATCH_JOB", "_F_L_")
    return {key: value for key, value in os.environ.items() if key.startswith(words)}


@task(requests=LITTLE)
def total(values: list[int]) -> int:
    return sum(values)


# -- what is recovered --


@workflow
def inner(mark: str, x: int) -> int:
    return once(mark=mark, x=once(mark=mark, x=x))


@workflow
def child(mark: str, x: int) -> int:
    return fragile(mark="childs-last", x=once(mark="childs-first", x=x))


children = LaunchPlan.get_or_create(child, name="flytekit_programs.effects.children")


@dynamic(requests=LITTLE)
def grown(n: int) -> int:
    leave("grown")
    leaves = total(values=[once(mark=f"leaf{i}", x=i) for i in range(n)])
    return fragile(mark="leaf-last", x=leaves)


@workflow(failure_policy=GOES_ON)
def everything(n: int = 2) -> tuple[int, int, list[int], int, int]:
    first = once(mark="first", x=n)
    inside = inner(mark="inside", x=first)
    graph = grown(n=n)
    items = map_task(item)(mark=["item", "item", "item", "item"], x=[0, 1, 2, 3])
    below = children(mark="child", x=first)
    steps = stepwise(mark="steps")
    return inside, graph, items, below, steps


# -- what is aborted --


@workflow
def held_child(mark: str) -> int:
    return held(mark=mark)


held_children = LaunchPlan.get_or_create(held_child, name="flytekit_programs.effects.held_children")


@workflow
def deep(mark: str) -> int:
    return held(mark=mark)


@dynamic(requests=LITTLE)
def holding(mark: str) -> int:
    return held(mark=mark)


@workflow
def all_held() -> tuple[int, int, int, int, list[int]]:
    return (
        held(mark="held-task"),
        deep(mark="held-inside"),
        holding(mark="held-grown"),
        held_children(mark="held-child"),
        map_task(held)(mark=["held-item", "held-item"], x=[0, 1]),
    )


# -- how many at once --


@workflow
def crowd_inside(mark: str) -> tuple[int, int]:
    return crowded(mark=mark, x=1), crowded(mark=mark, x=2)


@dynamic(requests=LITTLE)
def crowd_grown(mark: str) -> int:
    return total(values=[crowded(mark=mark, x=i) for i in range(2)])


@workflow
def crowd() -> int:
    crowded(mark="one")
    crowd_inside(mark="inside")
    crowd_grown(mark="grown")
    map_task(crowded)(mark=["a", "b", "c"], x=[0, 1, 2])
    return crowded(mark="two")


# -- what is remembered --


@workflow
def one_alone(x: int = 1) -> int:
    return alone(mark="alone", x=x)


@workflow
def remembering(x: int = 1) -> int:
    return once(mark="not-kept", x=kept(mark="kept", x=x))


# -- where a task finds itself --


@workflow
def named() -> dict[str, str]:
    return names()


@workflow
def fails_beside_held() -> int:
    fragile(mark="never")
    return held(mark="beside")


# -- what handles failures --


@task(requests=LITTLE)
def told(what: str, err: FlyteError | None = None) -> None:
    assert err is not None
    (place() / "told").write_text(f"{what}\n{err.failed_node_id}\n{err.message}")


@workflow(on_failure=told)
def handled(what: str = "report") -> int:
    return fragile(mark="handled", x=once(mark="before"))


@workflow(on_failure=told)
def handled_while_held(what: str = "report") -> int:
    fragile(mark="handled")
    return held(mark="beside-handled")


@workflow(failure_policy=GOES_ON)
def skips() -> int:
    first = fragile(mark="skips")
    second = once(mark="skipped", x=first)
    once(mark="skipped-too", x=second)
    return once(mark="independent", x=once(mark="independent"))


# -- executions that start executions --


@workflow
def sees(mark: str) -> dict[str, str]:
    once(mark=mark)
    return names()


sights = LaunchPlan.get_or_create(sees, name="flytekit_programs.effects.sights")


@workflow
def sees_child() -> dict[str, str]:
    return sights(mark="seen")


seen_children = LaunchPlan.get_or_create(sees_child, name="flytekit_programs.effects.seen_children")


@workflow
def sees_grandchild() -> dict[str, str]:
    return seen_children()


@workflow
def keeps(x: int) -> int:
    return kept(mark="kept-below", x=x)


keepers = LaunchPlan.get_or_create(keeps, name="flytekit_programs.effects.keepers")


@workflow
def keeps_in_child() -> int:
    return keepers(x=1)


# -- what is stopped while it is recovered --


@task(requests=LITTLE)
def fragile_or_held(mark: str, x: int) -> int:
    """Breaks at first; waits at a door the second time."""
    leave(mark)
    if marks(mark) == 1:
        raise ValueError(f"{mark} is broken")
    leave("after")
    wait_for("after.open")
    return x + 1


@workflow
def held_after(n: int) -> tuple[int, int]:
    first = once(mark="before", x=n)
    second = fragile_or_held(mark="again", x=first)
    return second, first


# -- items that are executions --


@workflow
def below(mark: str, x: int) -> int:
    return sometimes(mark=mark, x=once(mark="each-first", x=x))


belows = LaunchPlan.get_or_create(below, name="flytekit_programs.effects.belows")


@workflow(failure_policy=GOES_ON)
def many_below() -> list[int]:
    return array_node(belows)(mark=["odd", "odd", "odd"], x=[0, 1, 2])


@task(requests=LITTLE)
def slow_handler(err: FlyteError | None = None) -> None:
    leave("handling")
    wait_for("handling.open")


@workflow(on_failure=slow_handler)
def handled_slowly() -> int:
    return fragile(mark="handled-slowly")
