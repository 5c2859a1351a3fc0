"""Small inputs and outputs go in messages: no file is made of them, and nobody notices who wants a file."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest
from local_attempts import Bench, attempt_id, bench, number, seen

from flyte_jupyter.engine.adapters.local.link import Hello
from flyte_jupyter.engine.adapters.local.resources import Capacity
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core

TASKS = """
    import os
    from flyte_jupyter.idl import core

    def do_same(inputs):
        print("same")

    def do_large(inputs):
        text = core.Primitive(string_value="x" * 100_000)
        return core.LiteralMap(literals={"o": core.Literal(scalar=core.Scalar(primitive=text))})

    def do_fail(inputs):
        raise ValueError("no")

    def do_deck(inputs):
        from flyte_jupyter import Deck
        Deck("page", "<b>there</b>")
"""
GIVEN = core.LiteralMap(literals={"x": number(7)})


def handed(b: Bench, name: str, node: str = "n0", **config: str) -> AttemptSpec:
    """An attempt that is handed its inputs, of which there is no file."""
    spec = b.task(TASKS, name, attempt_id(node), **config)
    Path(spec.inputs.removeprefix("file://")).unlink()
    return replace(spec, given=GIVEN.SerializeToString())


def files(spec: AttemptSpec) -> list[str]:
    folder = Path(spec.inputs.removeprefix("file://")).parent
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_worker_is_handed_inputs_and_hands_outputs_back(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            for node in ("n0", "n1"):
                spec = handed(b, "same", node, reuse="true")
                how = await b.run(spec)
                assert core.LiteralMap.FromString(b64decode(how.outputs)) == GIVEN
                assert files(spec) == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("large", ["0/outputs.pb"]),
        ("fail", ["0/error.pb"]),
        ("deck", ["0/deck.html", "0/outputs.pb"]),
    ],
)
def test_whatever_is_more_than_small_outputs_is_written(tmp_path, name, left):
    async def main():
        async with bench(tmp_path) as b:
            spec = handed(b, name, reuse="true")
            how = await b.run(spec)
            assert (how.code, how.outputs) == (0, None)
            assert files(spec) == left

    asyncio.run(main())


@pytest.mark.parametrize("env", [{}, {"FLYTE_JUPYTER_NO_FORK": "1"}], ids=["fork", "exec"])
def test_a_process_of_its_own_writes_its_outputs(tmp_path, env):
    async def main():
        async with bench(tmp_path) as b:
            spec = replace(handed(b, "same"), env=env)
            how = await b.run(spec)
            assert (how.code, how.outputs) == (0, None)
            assert b.outputs(spec) == GIVEN

    asyncio.run(main())


def test_one_that_waits_when_the_control_plane_ends_is_handed_its_inputs_by_the_next(tmp_path):
    async def main():
        async with bench(tmp_path, capacity=Capacity(cpu=1, memory=1 << 40)) as b:
            blocks = b.command(["sleep", "600"], attempt_id("blocks"))
            await b.executor.launch(blocks)
            await b.started(blocks.id)
            spec = handed(b, "same", "waits", reuse="true")
            await b.executor.launch(spec)
            await b.executor.stop()
            b.executor = b.new_executor()
            await b.executor.start(b.news)
            await b.executor.kill(blocks.id)
            how = await b.ended(spec.id)
            assert core.LiteralMap.FromString(b64decode(how.outputs)) == GIVEN

    asyncio.run(main())


def test_what_was_handed_back_while_nobody_listened_is_told_to_who_comes_next(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = handed(b, "same", reuse="true")
            journals = b.folder / "local" / "zygotes"
            await b.executor.launch(spec)
            await b.started(spec.id)
            await b.executor.stop()

            async def recorded() -> bool:
                lines = [x for p in journals.rglob("journal") for x in p.read_text().splitlines()]
                return any((json.loads(line).get("exit") or {}).get("outputs") for line in lines)

            await seen(recorded)
            b.executor = b.new_executor()
            await b.executor.start(b.news)
            (how,) = (await b.executor.listing()).ended.values()
            assert core.LiteralMap.FromString(b64decode(how.outputs)) == GIVEN

    asyncio.run(main())


def test_the_runtime_of_an_older_release_finds_a_file(tmp_path, monkeypatch):
    with_less = Hello.__init__

    def older(self, *args, **fields):
        with_less(self, *args, **{**fields, "hands": False})

    monkeypatch.setattr(Hello, "__init__", older)

    async def main():
        async with bench(tmp_path) as b:
            spec = handed(b, "same")
            assert (await b.run(spec)).code == 0
            assert "inputs.pb" in files(spec)
            assert b.outputs(spec) == GIVEN

    asyncio.run(main())
