"""Chains for figures on Kubernetes: a pod for each task, and warm pods."""

from __future__ import annotations

from flyte_jupyter import task, workflow

LENGTH = 10


@task
def alone(x: int) -> int:
    return x + 1


@task(reuse=True)
def sharing(x: int) -> int:
    return x + 1


@workflow
def cold(x: int = 0) -> int:
    for _ in range(LENGTH):
        x = alone(x=x)
    return x


@workflow
def warm(x: int = 0) -> int:
    for _ in range(LENGTH):
        x = sharing(x=x)
    return x
