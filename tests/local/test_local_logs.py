"""What a log keeps of an output that is longer than it may be, and how that is followed."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest
from local_attempts import Bench, attempt_id, bench, seen

from flyte_jupyter.engine.adapters.local.entries import LocalSettings
from flyte_jupyter.engine.adapters.local.logs import log_path
from flyte_jupyter.engine.ports import AttemptSpec

LIMIT = 20_000
SETTINGS = LocalSettings(log_bytes=LIMIT)
BETWEEN = re.compile(
    rf"\n?\[the log has reached its limit of {LIMIT} bytes; its end follows when the attempt is over: "
    r"(\d+) bytes are left out here\]\n"
)


def parts(log: str) -> tuple[str, int, str]:
    """What is kept of the beginning, how much is left out, what is kept of the end."""
    head, left_out, tail = BETWEEN.split(log)
    return head, int(left_out), tail


def outputs() -> dict[str, str]:
    lines = "".join(f"{at}\n" for at in range(100_000))
    return {"lines": lines, "one line": "é" * 300_000, "a little too long": lines[:LIMIT]}


@pytest.mark.parametrize("name", outputs())
def test_the_beginning_and_the_end_of_what_is_too_long_are_kept(tmp_path, name):
    whole = outputs()[name]
    (tmp_path / "output").write_text(whole)

    async def main():
        async with bench(tmp_path, settings=SETTINGS) as b:
            spec = b.command(["cat", str(tmp_path / "output")])
            assert (await b.run(spec)).code == 0
            log = await b.log(spec)
            head, left_out, tail = parts(log)
            assert len(head.encode()) > LIMIT / 2
            assert whole.startswith(head)
            assert len(tail.encode()) > LIMIT / 5
            assert whole.endswith(f"\n{tail}" if "\n" in whole else tail)
            assert len((head + tail).encode()) + left_out == len(whole.encode())
            assert len(log.encode()) <= LIMIT

    asyncio.run(main())


def test_what_is_hardly_too_long_for_a_beginning_is_whole(tmp_path):
    whole = outputs()["lines"][: LIMIT - 1000]
    (tmp_path / "output").write_text(whole)

    async def main():
        async with bench(tmp_path, settings=SETTINGS) as b:
            spec = b.command(["cat", str(tmp_path / "output")])
            assert (await b.run(spec)).code == 0
            assert await b.log(spec) == whole

    asyncio.run(main())


FAILS = """
def do_fail(inputs):
    for at in range(100_000):
        print(at)
    raise ValueError("what it came to")

def do_fine(inputs):
    print("fine")
"""


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_a_traceback_is_in_the_log_whatever_came_before_it(tmp_path, reuse):
    async def main():
        async with bench(tmp_path, settings=SETTINGS) as b:
            spec = b.task(FAILS, "fail", reuse=reuse)
            await b.run(spec)
            head, _, tail = parts(await b.log(spec))
            assert head.startswith("0\n1\n2\n")
            assert "Traceback" in tail
            assert tail.rstrip().endswith("ValueError: what it came to")
            after = b.task(FAILS, "fine", attempt_id("after"), reuse=reuse)
            assert (await b.run(after)).code == 0
            assert await b.log(after) == "fine\n"

    asyncio.run(main())


async def followed(b: Bench, spec: AttemptSpec, got: bytes) -> bytes:
    """What comes after what one has."""
    part = await b.executor.read_log(spec.id, len(got), 1000)
    return got + part.data


async def until(b: Bench, spec: AttemptSpec, got: bytes, word: bytes) -> bytes:
    async def look():
        nonlocal got
        got = await followed(b, spec, got)
        return got if word in got else b""

    return await seen(look)


def test_a_log_that_outgrows_its_limit_is_followed_whoever_looks_after_it(tmp_path):
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    script = f"yes | head -c 1000000; read x < {fifo}; echo more; echo the end; exit 3"

    async def main():
        async with bench(tmp_path, settings=SETTINGS) as b:
            spec = b.command(["/bin/sh", "-c", script])
            await b.executor.launch(spec)
            got = await until(b, spec, b"", b"when the attempt is over")
            await b.executor.stop()
            b.executor = b.new_executor()
            await b.executor.start(b.news)
            await asyncio.to_thread(fifo.write_text, "go\n")
            assert (await b.ended(spec.id)).code == 3
            got = await until(b, spec, got, b"the end\n")
            part = await b.executor.read_log(spec.id, len(got), 1000)
            assert (part.data, part.complete) == (b"", True)
            assert got.decode() == await b.log(spec)
            head, left_out, tail = parts(got.decode())
            assert len(head) + left_out + len(tail) == 1_000_000 + len("more\nthe end\n")

    asyncio.run(main())


def size(folder: Path, spec: AttemptSpec) -> int:
    return log_path(folder / "logs", spec.id).stat().st_size


def test_who_prints_without_end_fills_no_disk(tmp_path):
    async def main():
        async with bench(tmp_path, settings=SETTINGS) as b:
            spec = b.command(["yes", "on and on"])
            await b.executor.launch(spec)
            await until(b, spec, b"", b"when the attempt is over")
            before = size(tmp_path, spec)
            other = b.command(["sh", "-c", "yes | head -c 10000000"], attempt_id("other"))
            assert (await b.run(other)).code == 0
            assert size(tmp_path, spec) == before
            await b.executor.kill(spec.id)
            head, _, tail = parts(await b.log(spec))
            assert head.startswith("on and on\n")
            assert "on and on\n" in tail
            assert size(tmp_path, spec) <= LIMIT

    asyncio.run(main())
