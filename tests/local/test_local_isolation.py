"""Forking and the libraries that data scientists use: no hang, no shared random numbers."""

from __future__ import annotations

import asyncio
import os

import pytest
from local_attempts import attempt_id, bench

LIBRARIES = """
import random

def do_stdlib(inputs):
    print("random", random.random())

def do_numpy(inputs):
    import numpy
    print("random", numpy.random.rand())
    a = numpy.ones((200, 200))
    assert (a @ a)[0, 0] == 200

def do_sklearn(inputs):
    import numpy
    from sklearn.ensemble import HistGradientBoostingClassifier
    x = numpy.random.rand(500, 4)
    model = HistGradientBoostingClassifier(max_iter=5).fit(x, x[:, 0] > 0.5)
    print("random", x[0, 0], model.score(x, x[:, 0] > 0.5))

def do_pyarrow(inputs):
    import numpy, pyarrow
    from pyarrow import compute
    table = pyarrow.table({"a": list(range(10000))})
    assert compute.sum(table["a"]).as_py() == 49995000
    print("random", numpy.random.rand())

def do_polars(inputs):
    import polars, random
    frame = polars.DataFrame({"a": list(range(10000)), "b": [1, 2] * 5000})
    assert frame.group_by("b").agg(polars.col("a").sum())["a"].sum() == 49995000
    print("random", random.random())
"""


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize("library", ["stdlib", "numpy", "sklearn", "pyarrow", "polars"])
def test_a_library_works_in_every_attempt_and_draws_other_numbers(tmp_path, library, reuse):
    """The library is also declared as a preload, so that the parent has had its chance to go wrong."""

    async def main():
        async with bench(tmp_path) as b:
            drawn = []
            for at in range(3):
                spec = b.task(
                    LIBRARIES, library, attempt_id(f"n{at}"), reuse=reuse, preload=library
                )
                assert (await b.run(spec)).code == 0
                assert b.error(spec) is None, b.error(spec)
                drawn.append(await b.log(spec))
            assert len(set(drawn)) == 3

    asyncio.run(main())


def test_a_parent_that_must_not_fork_starts_attempts_by_exec(tmp_path):
    """The module behaves when it is tried, and starts a thread in the parent all the same."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "two_faced.py").write_text(
        "import pathlib, threading\n"
        f"mark = pathlib.Path({str(tmp_path / 'tried')!r})\n"
        "if mark.exists():\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "mark.touch()\n"
    )
    source = (
        "import sys\n\ndef do_look(inputs):\n    print('parent code', 'two_faced' in sys.modules)\n"
    )
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(modules)}

    async def main():
        async with bench(tmp_path, environ=environ) as b:
            for at, reuse in enumerate(["false", "true", "false"]):
                spec = b.task(
                    source, "look", attempt_id(f"n{at}"), preload="two_faced", reuse=reuse
                )
                assert (await b.run(spec)).code == 0
                assert b.outputs(spec) is not None
                assert await b.log(spec) == "parent code False\n"
            assert (await b.run(b.command(["false"], attempt_id("n3")))).code == 1

    asyncio.run(main())
