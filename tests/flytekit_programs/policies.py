"""Retries, time limits, interruptible tasks; exceptions of every kind."""

import os
import sys
import time
from datetime import timedelta

from flytekit import WorkflowFailurePolicy, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException


def refuse(why: str) -> int:
    raise ValueError(why)


def put_off(why: str) -> int:
    raise FlyteRecoverableException(why)


@task(retries=2)
def third_time(x: int) -> int:
    if int(os.environ.get("FLYTE_ATTEMPT_NUMBER", "0")) < 2:
        raise FlyteRecoverableException("once more")
    return x


@task(retries=1)
def never(x: int) -> int:
    return put_off("never")


@task(retries=3)
def for_good(x: int) -> int:
    return refuse("an exception of the user's is not tried again")


@task(timeout=timedelta(seconds=1), retries=1)
def endless(x: int) -> int:
    time.sleep(600)
    return x


@task(interruptible=True)
def interruptible(x: int) -> int:
    return x


@task
def steady(x: int) -> int:
    return x


@task
def leaves(x: int) -> int:
    return sys.exit(3)


@task
def slow(x: int) -> int:
    time.sleep(600)
    return x


@workflow
def patient(x: int = 1) -> int:
    return third_time(x=x)


@workflow
def exhausted(x: int = 1) -> int:
    return never(x=x)


@workflow
def permanent(x: int = 1) -> int:
    return for_good(x=x)


@workflow
def late(x: int = 1) -> int:
    return endless(x=x)


@workflow
def left(x: int = 1) -> int:
    return leaves(x=x)


@workflow(interruptible=True)
def cheap(x: int = 1) -> tuple[int, int]:
    return steady(x=x), steady(x=x).with_overrides(interruptible=False)


@workflow
def one_cheap(x: int = 1) -> tuple[int, int]:
    return interruptible(x=x), steady(x=x)


@workflow
def fails_fast(x: int = 1) -> int:
    for_good(x=x)
    return slow(x=x)


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def goes_on(x: int = 1) -> int:
    steady(x=for_good(x=x))
    return steady(x=steady(x=x))
