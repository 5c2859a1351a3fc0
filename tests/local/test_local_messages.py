"""What goes to zygotes and into the journal: no text and no number is lost on the way, and other releases can read it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from dataclasses import replace

import pytest
from local_attempts import attempt_id, bench

from flyte_jupyter.engine.adapters.local.folders import Folders, Kept, key_of
from flyte_jupyter.engine.adapters.local.resources import Wants
from flyte_jupyter.engine.adapters.local.slots import Grant
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import AttemptId, RunId

STEPS = """
    import os

    def do_says(inputs):
        print(os.environb[b"HOME"], os.environb[b"OWN"])
"""
UNDECODABLE = "/home/J\udcfcrgen"  # as Python shows bytes that are not UTF-8
TEXTS = ["ol\u00e9 \u2603 \U0001f600 \u2028", "two\nlines", UNDECODABLE]


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize("text", TEXTS, ids=["of other alphabets", "of two lines", "undecodable"])
def test_variables_arrive_as_they_are(tmp_path, text, reuse):
    async def main():
        async with bench(tmp_path, environ={**os.environ, "HOME": text}) as b:
            spec = replace(b.task(STEPS, "says", reuse=reuse), env={"OWN": f"own {text}"})
            assert (await b.run(spec)).code == 0
            data = os.fsencode(text)
            assert await b.log(spec) == f"{data} {b'own ' + data}\n"

    asyncio.run(main())


def test_a_limit_beyond_any_machine_is_none(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            spec = b.task(STEPS, "says")
            resources, names = spec.template.container.resources, core.Resources
            entry = names.ResourceEntry
            resources.requests.append(entry(name=names.MEMORY, value="1Mi"))
            resources.limits.append(entry(name=names.MEMORY, value=str(2**70)))
            assert (await b.run(replace(spec, env={"OWN": ""}))).code == 0

    asyncio.run(main())


def test_what_is_too_long_only_as_its_zygote_writes_it_is_refused_by_name(tmp_path):
    async def main():
        async with bench(tmp_path) as b:
            long = replace(b.task(STEPS, "says"), env={"OWN": "\u00e9" * (6 << 20)})
            assert (await b.run(long)).why.code == "LaunchTooLarge"
            short = replace(b.task(STEPS, "says", attempt_id("short")), env={"OWN": "x"})
            assert (await b.run(short)).code == 0

    asyncio.run(main())


def test_a_journal_keeps_any_text_and_any_reader_of_json_reads_it(tmp_path):
    template = core.TaskTemplate(type="t")
    those = [
        AttemptSpec(attempt_id(f"n{at}"), template, text, "out", "raw", {"A": text}, node=text)
        for at, text in enumerate(TEXTS)
    ]
    made = Folders(tmp_path / "attempts")
    for spec in those:
        made.keep(key_of(spec.id), Kept(spec, Grant(Wants(1000, 5, 1))))
    assert [kept.spec for kept in Folders(tmp_path / "attempts").all()] == those
    lines = (tmp_path / "attempts.journal").read_bytes().splitlines()
    assert [said["names"][1] for said in map(json.loads, lines) if "key" in said] == TEXTS


@pytest.mark.parametrize(
    "attempt",
    [
        AttemptId(RunId("p", "d", "r"), ("n0",), 0),
        AttemptId(RunId("p", "d", "r"), ("n0", 1, "dn\\2", 30), 4),
        AttemptId(RunId('"p"', "d\u00e9", UNDECODABLE), ('"\u2603', UNDECODABLE), 12),
    ],
)
def test_an_attempt_is_named_as_earlier_releases_name_it(attempt):
    """Its zygote may be one of theirs, and knows it by that name."""
    words = [*attempt.run, list(attempt.path), attempt.attempt]
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()
    assert key_of(attempt) == digest[:32]
