"""Workflows for the tests of the whole street: a module, as a user's own package would be."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from flyte_jupyter import Deck, RecoverableError, task, workflow

WIDE, DEEP = 20, 10


def note(file: str, what: str) -> None:
    """Leave a trace outside of the platform: one line, appended at once."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{what} {os.getpid()}\n".encode())
    os.close(handle)


@task
def step(file: str, name: str, after: int) -> int:
    note(file, name)
    time.sleep(0.02)
    return after + 1


@task
def add(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def grid(file: str) -> int:
    """200 nodes that leave traces, and one that adds up what they counted."""
    ends = []
    for column in range(WIDE):
        x = 0
        for row in range(DEEP):
            x = step(file=file, name=f"{column}.{row}", after=x)
        ends.append(x)
    return add(numbers=ends)


@task
def greet(name: str) -> str:
    print(f"hello {name}")
    print("and on the other stream", file=sys.stderr)
    Deck.add("Greeting", f"<p>hello {name}</p>")
    return f"hello {name}"


@workflow
def greeting(name: str = "world") -> str:
    return greet(name=name)


def program() -> str:
    """What this process was started as."""
    return str(sys.modules["__main__"].__spec__.name)


@task
def forked(x: int) -> str:
    return program()


@task(environment={"FLYTE_JUPYTER_NO_FORK": "1"})
def started_anew(x: int) -> str:
    return program()


@task
def launching(name: str) -> str:
    from flyte_jupyter import launch

    execution = launch(greeting, name=name)
    execution.wait(timeout=60)
    return execution.name


@workflow
def launches(name: str) -> str:
    return launching(name=name)


@workflow
def births(x: int = 0) -> tuple[str, str]:
    return forked(x=x), started_anew(x=x)


@task
def raises(x: int) -> int:
    numbers = {"one": 1}
    return numbers["two"] + x


@task
def leaves_trace(file: str, x: int) -> int:
    note(file, "ran")
    return x


@workflow
def failing(file: str) -> int:
    return leaves_trace(file=file, x=raises(x=1))


@task
def exits_quietly(x: int) -> int:
    os._exit(0)


@workflow
def quiet(x: int = 1) -> int:
    return exits_quietly(x=x)


@task(retries=2)
def flaky(file: str) -> int:
    note(file, "try")
    if len(Path(file).read_text().splitlines()) < 3:
        raise RecoverableError("not yet")
    return len(Path(file).read_text().splitlines())


@workflow
def patient(file: str) -> int:
    return flaky(file=file)


@task
def dies_once(file: str) -> int:
    first = not Path(file).exists()
    note(file, "try")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


@workflow
def unlucky(file: str) -> int:
    return dies_once(file=file)


@task(timeout="1s")
def never_ends(x: int) -> int:
    while True:
        time.sleep(0.05)


@workflow
def late(x: int = 0) -> int:
    return never_ends(x=x)


@task
def waits_for(file: str, go: str) -> int:
    note(file, "waiting")
    while not Path(go).exists():
        time.sleep(0.02)
    return os.getpid()


@workflow
def waiting(file: str, go: str) -> int:
    return waits_for(file=file, go=go)


@task(cache="1")
def remembered(file: str, x: int) -> int:
    note(file, "computed")
    return x * 2


@workflow
def memory(file: str, x: int) -> int:
    return remembered(file=file, x=x)


@task
def wrong_type(x: int) -> int:
    return "not a number"


@workflow
def mistyped(x: int = 1) -> int:
    return wrong_type(x=x)


@task
def reverse(numbers: list[int]) -> list[int]:
    return numbers[::-1]


@workflow
def backwards(numbers: list[int]) -> list[int]:
    return reverse(numbers=numbers)


@workflow
def two_steps(file: str, go: str) -> int:
    """One step that waits, and one after it."""
    return leaves_trace(file=file, x=waits_for(file=file, go=go))


@task(timeout="6s")
def waits_in_a_hurry(file: str, go: str) -> int:
    note(file, "waiting")
    while not Path(go).exists():
        time.sleep(0.02)
    return os.getpid()


@workflow
def hurried(file: str, go: str) -> int:
    return waits_in_a_hurry(file=file, go=go)


@workflow
def remembered_anew(file: str, x: int) -> int:
    return remembered(file=file, x=x).with_overrides(cache="2")


@task(reuse=True)
def handed(x: int) -> int:
    return x + 1


@task(reuse=True)
def handed_later(x: int, gate: str) -> int:
    """Fails until somebody has made the gate."""
    if not Path(gate).exists():
        raise ValueError("not yet")
    return x + 1


@workflow
def handing(gate: str, x: int = 1) -> int:
    """Small values from worker to worker."""
    return handed(x=handed_later(x=handed(x=handed(x=x)), gate=gate))
