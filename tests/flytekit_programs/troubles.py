"""Tasks that run out of time, lose their processes or leave nothing, and are tried again."""

import os
import signal
from datetime import timedelta

from flytekit import task, workflow

from flytekit_programs.effects import LITTLE, leave, marks, wait_for


@task(requests=LITTLE, timeout=timedelta(seconds=3), retries=1)
def late_once(mark: str) -> int:
    leave(mark)
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "0":
        wait_for("never")
    return 1


@workflow
def second_in_time(mark: str = "late") -> int:
    return late_once(mark=mark)


@task(requests=LITTLE, retries=1)
def dies(mark: str, times: int) -> int:
    """Its process is taken away the first times, which is nobody's fault in it."""
    leave(mark)
    if marks(mark) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return marks(mark)


@workflow
def dying(mark: str, times: int) -> int:
    return dies(mark=mark, times=times)


@task(requests=LITTLE, retries=1)
def writes_nothing(mark: str) -> int:
    leave(mark)
    return os._exit(0)


@workflow
def silent(mark: str = "silent") -> int:
    return writes_nothing(mark=mark)
