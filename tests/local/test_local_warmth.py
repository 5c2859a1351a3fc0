"""Libraries are imported once for many attempts where that is safe, and for each attempt alone where it is not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest
from local_attempts import alive, attempt_id, bench, seen

from flyte_jupyter.engine.adapters.local.entries import LocalSettings
from flyte_jupyter.idl import core

USES = """
import calm, os

def do_use(inputs):
    print(os.getpid())
"""
NOTES = "with open({path!r}, 'a') as file:\n    file.write('imported\\n')\n"


def imported(folder: Path, name: str) -> int:
    """How often a library of `place` was imported."""
    path = folder / f"{name}.count"
    return len(path.read_text().splitlines()) if path.exists() else 0


def library(folder: Path, name: str, body: str = "", place: str = "site-packages") -> None:
    path = folder / "lib" / place / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(NOTES.format(path=str(folder / f"{name}.count")) + body)


@contextlib.asynccontextmanager
async def warm_bench(folder: Path, **options):
    places = os.pathsep.join(str(folder / "lib" / p) for p in ("site-packages", "src"))
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": places}
    async with bench(folder, environ=environ, **options) as b:
        yield b


async def run(b, source, name="use", node="n0", beside=None, **config):
    spec = b.task(source, name, attempt_id(node), beside=beside, **config)
    assert (await b.run(spec)).code == 0
    return spec


def test_a_library_is_imported_once_for_many_attempts(tmp_path):
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            specs = [b.task(USES, "use", attempt_id(f"n{n}")) for n in range(10)]
            await asyncio.gather(*(b.run(spec) for spec in specs))
            assert all(b.outputs(spec) for spec in specs)
            assert len({await b.log(spec) for spec in specs}) == 10
            assert imported(tmp_path, "calm") == 1

    asyncio.run(main())


def test_what_only_a_function_imports_is_shared_too(tmp_path):
    library(tmp_path, "calm")
    source = "def do_use(inputs):\n    import calm\n"

    async def main():
        async with warm_bench(tmp_path) as b:
            for reuse in ("false", "true"):
                for at in range(3):
                    await run(b, source, node=f"{reuse}{at}", reuse=reuse)
            assert imported(tmp_path, "calm") == 1

    asyncio.run(main())


def test_code_without_libraries_asks_for_no_other_parent(tmp_path):
    async def main():
        async with warm_bench(tmp_path) as b:
            # Whoever is made leaves a folder, and whoever is tried has had one.
            stamps = set()
            for at in range(3):
                await run(b, "def do_use(inputs):\n    pass\n", node=f"n{at}")
                assert len(b.zygote_pids()) == 1
                stamps.add((tmp_path / "local" / "zygotes").stat().st_mtime_ns)
            assert len(stamps) == 1

    asyncio.run(main())


ASIDE = {
    "aside/__init__.py": "",
    "aside/use.py": "from . import deep\n",
    "aside/deep.py": "import calm\n",
}
REACHES = {
    "by name": "    import aside.use\n",
    "by part": "    from aside import use\n",
    "by whatever name": "    import importlib\n    importlib.import_module('aside.use')\n",
}


def test_what_the_tasks_module_never_reaches_is_no_library_of_its(tmp_path):
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            for at in range(3):
                await run(b, "def do_use(inputs):\n    pass\n", node=f"n{at}", beside=ASIDE)
            assert len(b.zygote_pids()) == 1
            assert imported(tmp_path, "calm") == 0

    asyncio.run(main())


@pytest.mark.parametrize("statement", REACHES.values(), ids=REACHES)
def test_what_it_reaches_through_other_modules_is_shared(tmp_path, statement):
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            for at in range(3):
                await run(b, f"def do_use(inputs):\n{statement}", node=f"n{at}", beside=ASIDE)
            assert imported(tmp_path, "calm") == 1

    asyncio.run(main())


def test_tasks_of_one_bundle_have_the_libraries_of_their_own_modules(tmp_path):
    library(tmp_path, "calm")
    library(tmp_path, "other")
    beside = {"second.py": "import other\nfrom steps import use\n"}

    async def main():
        async with warm_bench(tmp_path) as b:
            for at in range(2):
                await run(b, USES, node=f"n{at}", beside=beside)
            assert (imported(tmp_path, "calm"), imported(tmp_path, "other")) == (1, 0)
            for at in range(2):
                spec = b.task(USES, "use", attempt_id(f"m{at}"), beside=beside)
                words = [w.replace("steps:", "second:") for w in spec.template.container.args]
                spec.template.container.args[:] = words
                assert (await b.run(spec)).code == 0
            assert (imported(tmp_path, "calm"), imported(tmp_path, "other")) == (1, 1)

    asyncio.run(main())


def test_the_users_own_code_runs_in_each_attempt_alone(tmp_path):
    source = NOTES.format(path=str(tmp_path / "own.count")) + USES
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            for at in range(3):
                await run(b, source, node=f"n{at}")
            assert (imported(tmp_path, "own"), imported(tmp_path, "calm")) == (3, 1)

    asyncio.run(main())


UNSAFE = {
    "starts a thread": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    "leaves": "raise SystemExit(3)\n",
    "ends at once": "import os\nos._exit(0)\n",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "hangs": "while True:\n    pass\n",
    "imports what is edited": "import edited\n",
    "takes much memory": "held = bytearray(200 << 20)\nheld[::4096] = b'x' * len(held[::4096])\n",
}


@pytest.mark.parametrize("body", UNSAFE.values(), ids=UNSAFE)
def test_a_library_that_no_parent_can_take_costs_nobody_else_anything(tmp_path, body):
    library(tmp_path, "calm")
    library(tmp_path, "wild", body)
    library(tmp_path, "edited", place="src")
    source = USES + "\ndef do_wild(inputs):\n    import wild\n"

    async def main():
        async with warm_bench(
            tmp_path, settings=LocalSettings(warm_seconds=5.0, warm_bytes=150 << 20)
        ) as b:
            for at in range(3):
                assert b.outputs(await run(b, source, node=f"n{at}"))
            assert imported(tmp_path, "wild") == 1
            # Once on the trial that went wrong, once in the parent that left the other one out.
            assert imported(tmp_path, "calm") == 2

    asyncio.run(main())


def test_a_library_that_starts_a_process_is_imported_by_each_attempt(tmp_path):
    body = f"import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    library(tmp_path, "calm", body)

    async def main():
        async with warm_bench(tmp_path) as b:
            for at in range(2):
                assert b.outputs(await run(b, USES, node=f"n{at}"))
            assert imported(tmp_path, "calm") == 3
            pid = int((tmp_path / "pid").read_text())

            async def gone():
                return not alive(pid)

            await seen(gone)

    asyncio.run(main())


def test_an_import_that_fails_is_in_the_attempts_own_traceback(tmp_path):
    library(tmp_path, "calm", "raise ImportError('not on this machine')\n")

    async def main():
        async with warm_bench(tmp_path) as b:
            error = b.error(await run(b, USES))
            assert error.code == "ImportError"
            assert "import calm, os" in error.message
            assert "not on this machine" in error.message

    asyncio.run(main())


def test_source_that_is_edited_is_read_anew(tmp_path):
    library(tmp_path, "edited", "answer = 1\n", "src")
    source = "def do_use(inputs):\n    import edited\n    print(edited.answer)\n"

    async def main():
        async with warm_bench(tmp_path) as b:
            assert await b.log(await run(b, source)) == "1\n"
            library(tmp_path, "edited", "answer = 22\n", "src")
            assert await b.log(await run(b, source, node="n1")) == "22\n"

    asyncio.run(main())


def test_a_module_of_the_bundle_is_not_taken_for_a_library_of_its_name(tmp_path):
    library(tmp_path, "steps")
    library(tmp_path, "calm", "import steps\n")

    async def main():
        async with warm_bench(tmp_path) as b:
            await run(b, "def do_use(inputs):\n    import calm, sys\n    print(__name__)\n")
            assert b.outputs(await run(b, USES, node="n1"))

    asyncio.run(main())


def test_a_task_with_threads_of_its_own_imports_for_itself(tmp_path):
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            for at in range(2):
                spec = b.task(USES, "use", attempt_id(f"n{at}"))
                asked = spec.template.container.resources.requests
                asked.add(name=core.Resources.CPU, value="2")
                assert (await b.run(spec)).code == 0
            assert imported(tmp_path, "calm") == 2

    asyncio.run(main())


def test_attempts_share_an_import_made_with_the_variables_that_they_have(tmp_path):
    """What a library reads from its environment when it is imported is what the attempt's own import would have read."""
    library(tmp_path, "calm", "import os\nmood = os.environ.get('CALM')\n")
    source = (
        "def do_use(inputs):\n    import calm, os\n    print(calm.mood, os.environ.get('CALM'))\n"
    )
    moods = ["very", None, "hardly", "very", None, "hardly"]

    async def main():
        async with warm_bench(tmp_path) as b:
            for at, mood in enumerate(moods):
                spec = b.task(source, "use", attempt_id(f"n{at}"))
                if mood:
                    spec.template.container.env.add(key="CALM", value=mood)
                assert (await b.run(spec)).code == 0
                assert f"{mood} {mood}" in await b.log(spec)
            assert imported(tmp_path, "calm") == 3

    asyncio.run(main())


def test_a_parent_with_more_takes_the_place_of_the_one_before(tmp_path):
    library(tmp_path, "calm")
    library(tmp_path, "quiet")

    async def main():
        async with warm_bench(tmp_path) as b:
            first = await run(b, USES)
            (_, before) = b.zygote_pids()
            await run(b, USES.replace("calm", "calm, quiet"), node="n1")
            assert len(b.zygote_pids()) == 3
            await b.executor.reap(first.id)

            async def replaced():
                return not alive(before)

            await seen(replaced)
            # The plain parent inherits the new one, and sweeps up behind this command without touching it.
            assert (await b.run(b.command(["true"], attempt_id("n2")))).code == 0
            spec = await run(b, USES, node="n3")
            assert b.outputs(spec)
            assert (imported(tmp_path, "calm"), imported(tmp_path, "quiet")) == (1, 1)

    asyncio.run(main())


def test_a_warm_parent_is_adopted(tmp_path):
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            await run(b, USES)
            pids = b.zygote_pids()
            await b.executor.stop()
            b.executor = b.new_executor()
            await b.executor.start(b.news)
            assert sorted(b.zygote_pids()) == sorted(pids)
            await run(b, USES, node="n1")
            assert imported(tmp_path, "calm") == 1

    asyncio.run(main())


def test_a_warm_parent_that_died_is_replaced(tmp_path):
    library(tmp_path, "calm")

    async def main():
        async with warm_bench(tmp_path) as b:
            await run(b, USES)
            (_, warm) = b.zygote_pids()
            os.kill(warm, 9)

            async def gone():
                return warm not in b.zygote_pids()

            await seen(gone)
            assert b.outputs(await run(b, USES, node="n1"))
            assert imported(tmp_path, "calm") == 2

    asyncio.run(main())


LEARNS = """
import numpy, pandas
from sklearn.ensemble import HistGradientBoostingClassifier

def do_learn(inputs):
    x = numpy.random.rand(200, 4)
    model = HistGradientBoostingClassifier(max_iter=5).fit(x, x[:, 0] > 0.5)
    frame = pandas.DataFrame(x)
    frame.columns = list("abcd")
    frame.to_parquet("x.parquet")
    print(model.score(x, x[:, 0] > 0.5), pandas.read_parquet("x.parquet").a.sum())
"""


def test_what_data_scientists_use_works_from_a_warm_parent(tmp_path):
    async def main():
        async with warm_bench(tmp_path) as b:
            specs = [b.task(LEARNS, "learn", attempt_id(f"n{n}")) for n in range(4)]
            await asyncio.gather(*(b.run(spec) for spec in specs))
            assert [b.error(spec) for spec in specs] == [None] * 4
            assert len({await b.log(spec) for spec in specs}) == 4
            if os.uname().sysname == "Linux":
                assert len(b.zygote_pids()) == 2

    asyncio.run(main())
