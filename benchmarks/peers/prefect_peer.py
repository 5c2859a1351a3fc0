"""Prefect with its own temporary server on SQLite, tasks called in the process."""

import os
import sys
import tempfile

os.environ.update(
    PREFECT_HOME=tempfile.mkdtemp(),
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_LOGGING_LEVEL="ERROR",
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
    DO_NOT_TRACK="1",
)

from prefect import flow, task
from timing import best, version

LENGTH = int(sys.argv[1])


@task
def increment(x):
    return x + 1


@flow
def chain(n):
    x = 0
    for _ in range(n):
        x = increment(x)
    return x


if __name__ == "__main__":
    version("prefect")
    chain(1)
    best("chain, durable", LENGTH, lambda: chain(LENGTH), repeats=2)
