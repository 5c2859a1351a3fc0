"""A module with tasks and a workflow, as a user's own would be."""

from dataclasses import dataclass

from flyte_jupyter import Cache, FlyteFile, Resources, task, workflow


@dataclass
class Settings:
    factor: int
    label: str = "x"


@task(
    retries=2,
    timeout="5m",
    cache=Cache("1", ignored_inputs=("verbose",)),
    requests=Resources(cpu="500m", mem="1Gi"),
    limits=Resources(mem="2Gi"),
    environment={"A": "1"},
    reuse=True,
    preload=["json"],
)
def scale(x: int, settings: Settings, verbose: bool = False) -> float:
    return float(x * settings.factor)


@task
def save(values: list[float]) -> tuple[FlyteFile, int]:
    with open("values.txt", "w") as file:
        file.write("\n".join(str(value) for value in values))
    return FlyteFile("values.txt"), len(values)


@workflow
def pipeline(x: int, y: int = 2) -> tuple[FlyteFile, int]:
    settings = Settings(3)
    a = scale(x, settings)
    b = scale(x=y, settings=settings, verbose=True).with_overrides(retries=5, node_name="second")
    return save([a, b, 0.5])


@task
def broken(x: int) -> int:
    raise ValueError(f"no luck with {x}")


@workflow
def failing(x: int) -> int:
    return broken(x)


@task
def rambling(x: int) -> int:
    raise ValueError(f"{'a' * 10_000} no luck with {x} {'b' * 10_000}")


@workflow
def wordy(x: int) -> int:
    return rambling(x)


@task
def endless(go: str) -> None:
    import os
    import time

    while not os.path.exists(go):
        time.sleep(0.02)


@workflow
def waiting(go: str) -> None:
    endless(go)


@workflow
def one_of_two(go: str) -> None:
    endless(go)
    broken(1)
