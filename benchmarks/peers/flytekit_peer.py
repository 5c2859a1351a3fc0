"""flytekit's own local execution: in the process, nothing durable."""

import sys

from flytekit import task, workflow
from timing import best, version

LENGTH = int(sys.argv[1])


@task
def increment(x: int) -> int:
    return x + 1


@workflow
def chain(x: int = 0) -> int:
    for _ in range(LENGTH):
        x = increment(x=x)
    return x


version("flytekit")
chain(x=0)
best("chain, in process", LENGTH, lambda: chain(x=0))
