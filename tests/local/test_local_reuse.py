"""A worker that serves one attempt after the other: none meets what the one before left, nor answers for it."""

from __future__ import annotations

import asyncio
import os

import pytest
from local_attempts import attempt_id, bench

TASKS = """
import os, random, signal, sys, threading, time

def do_look(inputs):
    mask = os.umask(0)
    os.umask(mask)
    print(os.getpid(), oct(mask), signal.getsignal(signal.SIGUSR1), random.random())
    sys.stderr.write("and here\\n")

def do_speak(inputs):
    print("here")

def do_nothing(inputs):
    pass

def do_mask(inputs):
    os.umask(0)

def do_seed(inputs):
    random.seed(42)

def do_handle(inputs):
    signal.signal(signal.SIGUSR1, lambda *_: None)

def do_redirect(inputs):
    print("still mine")
    sys.stdout = open("mine.txt", "w")
    sys.stderr = None

def do_close(inputs):
    sys.stdout.close()

def do_detach(inputs):
    sys.stdout.detach()

def do_ghost(inputs):
    threading.Thread(target=threading.Event().wait, daemon=True).start()

def do_late(inputs):
    def later():
        threading.main_thread().join(0.05)
        print("late")
    threading.Thread(target=later).start()

def do_alarm(inputs):
    signal.alarm(600)

def do_profile(inputs):
    signal.setitimer(signal.ITIMER_PROF, 600)
"""


async def ran(b, name, node):
    spec = b.task(TASKS, name, attempt_id(node), reuse="true")
    assert (await b.run(spec)).code == 0
    assert b.error(spec) is None, b.error(spec)
    return await b.log(spec)


def looks(folder, *between: str) -> list[list[str]]:
    """What an attempt sees before others and after them: its process, its mask, its handler, its random number."""

    async def main():
        async with bench(folder) as b:
            seen = [await ran(b, "look", "first")]
            for at, name in enumerate(between):
                await ran(b, name, f"n{at}")
            seen.append(await ran(b, "look", "last"))
            return seen

    found = asyncio.run(main())
    assert all(text.endswith("and here\n") for text in found)
    return [text.split() for text in found]


@pytest.mark.parametrize("name", ["nothing", "mask", "handle", "redirect"])
def test_what_can_be_put_back_is_and_the_worker_stays(tmp_path, name):
    first, last = looks(tmp_path, name)
    assert first[:3] == last[:3]


@pytest.mark.parametrize("name", ["close", "detach", "ghost", "late", "alarm", "profile"])
def test_what_cannot_be_put_back_ends_the_worker(tmp_path, name):
    first, last = looks(tmp_path, name)
    assert first[0] != last[0]
    assert first[1:3] == last[1:3]


def test_random_numbers_of_the_next_attempt_are_its_own(tmp_path):
    drawn = [looks(tmp_path / str(at), "seed")[1][3] for at in range(2)]
    assert drawn[0] != drawn[1]


def test_each_ones_words_are_in_its_own_log(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            names = ["redirect", "speak", "late", "speak"]
            logs = [await ran(b, name, f"n{at}") for at, name in enumerate(names)]
            assert logs == ["still mine\n", "here\n", "late\n", "here\n"]

    asyncio.run(main())


VARIABLES = """
import os, subprocess

def do_tell(inputs):
    told = subprocess.run(["/usr/bin/env"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(told) == sorted(f"{name}={value}" for name, value in os.environ.items())
    print(os.getpid(), "LEFT" in os.environ, os.environ.get("GIVEN"), os.environ["FLYTE_INTERNAL_NODE_ID"])

def do_change(inputs):
    os.environ["LEFT"] = "x"
    os.environ["FLYTE_INTERNAL_NODE_ID"] = "another"
    del os.environ["GIVEN"]

def do_swap(inputs):
    os.environ = {"LEFT": "x"}
"""


@pytest.mark.parametrize("name", ["tell", "change", "swap"])
def test_variables_of_the_next_attempt_are_its_own(tmp_path, name):
    async def main():
        async with bench(tmp_path) as b:
            told = []
            for node, each in (("first", "tell"), ("between", name), ("last", "tell")):
                spec = b.task(VARIABLES, each, attempt_id(node), reuse="true")
                spec.template.container.env.add(key="GIVEN", value="yes")
                assert (await b.run(spec)).code == 0
                assert b.error(spec) is None, b.error(spec)
                told.append((await b.log(spec)).split())
            worker = told[0][0]
            assert told[0] == [worker, "False", "yes", "first"]
            assert told[-1] == [worker, "False", "yes", "last"]

    asyncio.run(main())


def test_an_attempt_has_the_time_zone_of_its_variables(tmp_path):
    source = "import time\n\ndef do_tell(inputs):\n    print(time.localtime(0).tm_hour)\n"
    zones = [("UTC-1", "1"), ("UTC-2", "2"), ("", "0"), ("UTC-3", "3")]

    async def main():
        async with bench(tmp_path, environ={"PATH": os.environ["PATH"], "TZ": "UTC"}) as b:
            for reuse in ("true", "false"):
                for zone, hour in zones:
                    spec = b.task(source, "tell", attempt_id(f"{reuse}{hour}"), reuse=reuse)
                    if zone:
                        spec.template.container.env.add(key="TZ", value=zone)
                    assert (await b.run(spec)).code == 0
                    assert await b.log(spec) == f"{hour}\n"

    asyncio.run(main())
