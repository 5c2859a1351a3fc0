"""A workflow whose tasks need a library: their attempts are forked from a parent that has imported it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from flyte_jupyter import task, workflow


@task
def waits_with_numpy(file: str, go: str) -> list[int]:
    with open(file, "a") as trace:
        trace.write(f"{os.getpid()} {os.getppid()}\n")
    while not Path(go).exists():
        time.sleep(0.02)
    return [os.getpid(), int(np.arange(4).sum())]


@workflow
def warm(file: str, go: str) -> list[int]:
    return waits_with_numpy(file=file, go=go)
