"""Work that goes on where the attempt before it stopped."""

import os

from flytekit import current_context, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException


@task(retries=3)
def counted(n: int) -> int:
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    done = int(before.decode()) if before else 0
    done += 1
    checkpoint.write(str(done).encode())
    if done < n:
        raise FlyteRecoverableException(
            f"attempt {os.environ.get('FLYTE_ATTEMPT_NUMBER')} did step {done}"
        )
    return done


@workflow
def steps(n: int = 3) -> int:
    return counted(n=n)
