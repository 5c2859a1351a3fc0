"""What runs when a workflow has failed: a task or a workflow, that may fail itself; in a sub-workflow too."""

from flytekit import task, workflow
from flytekit.types.error.error import FlyteError


def refuse(why: str) -> int:
    raise ValueError(why)


@task
def broken(x: int) -> int:
    return refuse(f"{x} breaks")


@task
def clean(x: int, err: FlyteError | None = None) -> None:
    print(f"clean up after {x}: {err.message if err else 'nothing'}")


@task
def broken_handler(x: int, err: FlyteError | None = None) -> None:
    raise RuntimeError("the handler breaks too")


@workflow
def cleaning(x: int, err: FlyteError | None = None) -> None:
    clean(x=x, err=err)


@workflow(on_failure=clean)
def handled(x: int = 1) -> int:
    return broken(x=x)


@workflow(on_failure=cleaning)
def handled_by_workflow(x: int = 1) -> int:
    return broken(x=x)


@workflow(on_failure=broken_handler)
def handled_badly(x: int = 1) -> int:
    return broken(x=x)


@workflow
def around_handled(x: int = 1) -> int:
    return handled(x=x)
