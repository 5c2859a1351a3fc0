"""Dagster with a SQLite instance, ops run in the process."""

import os
import sys
import tempfile

os.environ["DAGSTER_HOME"] = tempfile.mkdtemp()
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"

from dagster import DagsterInstance, job, op
from timing import best, version

LENGTH = int(sys.argv[1])


@op
def zero() -> int:
    return 0


@op
def increment(x: int) -> int:
    return x + 1


@job
def chain():
    x = zero()
    for _ in range(LENGTH - 1):
        x = increment(x)


def run():
    with DagsterInstance.get() as instance:
        assert chain.execute_in_process(instance=instance).success


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    version("dagster")
    run()
    best("chain, durable", LENGTH, run, repeats=2)
