"""Waiting for a number that somebody types in."""

from datetime import timedelta

from flytekit import task, wait_for_input, workflow


@task
def doubled(x: int) -> int:
    return 2 * x


@workflow
def how_many() -> int:
    return doubled(x=wait_for_input("how-many", timeout=timedelta(hours=1), expected_type=int))
