"""Variables that count for the process as it starts, or for a library as it is imported: none of them is ignored in a fork."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

import pytest
from local_attempts import alive, attempt_id, bench, seen
from test_local_warmth import imported, library, warm_bench

from flyte_jupyter.idl import core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and /proc")

LOOKS = """
import importlib.util, os, sys

def made():
    started_with = open("/proc/self/environ", "rb").read()
    return "anew" if b"FLYTE_INTERNAL_EXECUTION_ID" in started_with else "forked"

def do_look(inputs):
    found = {
        "PYTHONPATH": os.environ.get("PYTHONPATH") in sys.path,
        "PYTHONHASHSEED": not sys.flags.hash_randomization,
        "PYTHONOPTIMIZE": sys.flags.optimize,
        "PYTHONIOENCODING": sys.stdout.encoding,
        "PYTHONUTF8": sys.flags.utf8_mode,
        "PYTHONUNBUFFERED": True,
        "OTHER": True,
    }
    for name in ("LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "LC_ALL", "LANG"):
        word = f"{name}={os.environ.get(name)}".encode()
        found[name] = word in open("/proc/self/environ", "rb").read().split(b"\\0")
    print(made(), found[os.environ["ASKED"]], os.getpid())
"""
AT_START = {
    "PYTHONPATH": ("/nowhere", "True"),
    "PYTHONHASHSEED": ("0", "True"),
    "PYTHONOPTIMIZE": ("2", "2"),
    "PYTHONIOENCODING": ("latin-1", "iso8859-1"),
    "PYTHONUTF8": ("1", "1"),
    "LD_LIBRARY_PATH": ("/nowhere", "True"),
    "MALLOC_ARENA_MAX": ("1", "True"),
    "LC_ALL": ("C.UTF-8", "True"),
    "LANG": ("C.UTF-8", "True"),
}


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize("name", AT_START)
def test_what_a_process_reads_as_it_starts_is_there_when_it_starts(tmp_path, name, reuse):
    value, shown = AT_START[name]

    async def main():
        async with bench(tmp_path, environ={"PATH": "/bin", "LANG": "C"}) as b:
            found = []
            for whose in ("task", "nobody", "execution"):
                spec = b.task(LOOKS, "look", attempt_id(whose), reuse=reuse)
                own = {"ASKED": name} | ({name: value} if whose == "execution" else {})
                if whose == "task":
                    spec.template.container.env.add(key=name, value=value)
                assert (await b.run(replace(spec, env=own))).code == 0, await b.log(spec)
                found.append((await b.log(spec)).split())
            assert [words[0] for words in found] == ["anew", "forked", "anew"]
            assert (found[0][1], found[2][1]) == (shown, shown)
            assert len({words[2] for words in found}) == 3

    asyncio.run(main())


@pytest.mark.parametrize("name", ["PYTHONUNBUFFERED", "OTHER", "LANG"])
def test_who_asks_for_nothing_else_than_there_is_is_forked(tmp_path, name):
    async def main():
        async with bench(tmp_path, environ={"PATH": "/bin", "LANG": "C.UTF-8"}) as b:
            spec = b.task(LOOKS, "look")
            value = "C.UTF-8" if name == "LANG" else "1"
            spec = replace(spec, env={"ASKED": "OTHER", name: value})
            assert (await b.run(spec)).code == 0
            assert (await b.log(spec)).startswith("forked")

    asyncio.run(main())


READS = "import os\nmood = os.environ.get('CALM')\n"
ASKS = "def do_use(inputs):\n    import calm\n    print(calm.mood)\n"


@pytest.mark.parametrize("cores", ["1", "2"])
def test_a_preloaded_library_serves_nobody_who_has_variables_of_its_own(tmp_path, cores):
    """The plain parent, or one that was forked from it, has read its environment without them."""
    library(tmp_path, "calm", READS)

    async def main():
        async with warm_bench(tmp_path) as b:
            said = []
            for at, mood in enumerate(["", "very", "", "very", "hardly"]):
                preload = {} if mood == "very" else {"preload": "calm"}
                spec = b.task(ASKS, "use", attempt_id(f"n{at}"), **preload)
                own = cores if mood else "2"  # with two cores no warm parent is asked for
                spec.template.container.resources.requests.add(name=core.Resources.CPU, value=own)
                assert (await b.run(replace(spec, env={"CALM": mood} if mood else {}))).code == 0
                said.append((await b.log(spec)).strip())
            assert said == ["None", "very", "None", "very", "hardly"]
            assert imported(tmp_path, "calm") == 5

    asyncio.run(main())


def test_the_next_control_planes_own_variables_are_its_attempts_too(tmp_path):
    """Parents that were started by the one before, with others, only see to what they run."""
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    source = LOOKS + f"\ndef do_wait(inputs):\n    open({str(fifo)!r}).read()\n"

    def environ(name: str) -> dict[str, str]:
        return {"PATH": "/bin", "PYTHONPATH": str(tmp_path / name)}

    async def main():
        async with bench(tmp_path, environ=environ("before")) as b:
            waits = b.task(source, "wait", attempt_id("waits"))
            await b.executor.launch(waits)
            await b.started(waits.id)
            before = b.zygote_pids()
            await b.executor.stop()
            b.options["environ"] = environ("after")
            b.executor = b.new_executor()
            await b.executor.start(b.news)
            spec = replace(b.task(source, "look"), env={"ASKED": "PYTHONPATH"})
            assert (await b.run(spec)).code == 0
            assert (await b.log(spec)).split()[:2] == ["forked", "True"]
            await asyncio.to_thread(fifo.write_text, "go")
            assert (await b.ended(waits.id)).code == 0
            await b.executor.reap(waits.id)

            async def gone():
                return not any(map(alive, before))

            await seen(gone)

    asyncio.run(main())
