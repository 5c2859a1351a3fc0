"""Workflows of our own for pods: a module, as a user's own package would be."""

from __future__ import annotations

import sys
import time

from flyte_jupyter import Deck, map_task, task, workflow


@task
def greet(name: str) -> str:
    print(f"hello {name}")
    print("and on the other stream", file=sys.stderr)
    Deck.add("Greeting", f"<p>hello {name}</p>")
    return f"hello {name}"


@task
def length(text: str) -> int:
    return len(text)


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def greeting(names: list[str]) -> tuple[str, int]:
    first = greet(name="Ada")
    return first, total(numbers=map_task(length)(text=names))


@task
def patient(gate: str) -> str:
    """Waits for an object in storage."""
    import s3fs

    print("waiting", flush=True)
    files = s3fs.S3FileSystem(use_listings_cache=False)
    while not files.exists(gate):
        time.sleep(0.1)
    return "went on"


@workflow
def waiting(gate: str) -> int:
    return length(text=patient(gate=gate))


@task(reuse=True)
def place(x: int) -> str:
    """Which pod and process this is."""
    import os
    import socket

    print("in", socket.gethostname())
    return f"{socket.gethostname()} {os.getpid()}"


@task
def told(places: list[str]) -> list[str]:
    return places


@workflow
def places() -> list[str]:
    first = place(x=1)
    second = place(x=2)
    third = place(x=3)
    first >> second >> third
    return told(places=[first, second, third])
