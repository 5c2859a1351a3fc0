"""Signals: opened by a gate, answered once or again, told to the run with the answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from store_world import NOW, commit_of, new_execution, run

from flyte_jupyter.engine.core.observations import SignalSet, Started
from flyte_jupyter.engine.core.state import RunPhase, RunSummary
from flyte_jupyter.idl import core
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import AlreadyTerminal, InvalidSignal, NotFound
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.runs import SqlRuns
from flyte_jupyter.store.signals import SqlSignals

ALL = Query(limit=100)
BOOLEAN = core.LiteralType(simple=core.SimpleType.BOOLEAN)
INTEGER = core.LiteralType(simple=core.SimpleType.INTEGER)


def boolean(value: bool) -> core.Literal:
    return core.Literal(scalar=core.Scalar(primitive=core.Primitive(boolean=value)))


@pytest.fixture
def play(path):
    def tell(story):
        async def told():
            db = Database.open(path)
            try:
                async with asyncio.timeout(60):
                    await Executions(db).create(new_execution())
                    await story(SqlSignals(db), SqlRuns(db))
            finally:
                await db.close()

        asyncio.run(told())

    return tell


def test_an_answer_is_kept_and_told_to_the_run(play):
    async def story(signals, runs):
        assert not await signals.open(run(), "go", BOOLEAN, "n0")
        assert not await signals.open(run(), "go", BOOLEAN, "n0")
        assert await signals.value(run(), "go") is None
        arrivals = aiter(runs.arrivals())
        await signals.set_signal(run(), "go", boolean(True))
        assert await anext(arrivals) == run()
        assert await signals.value(run(), "go") == boolean(True)
        assert await signals.open(run(), "go", BOOLEAN, "n1")
        heard = [seen for _, seen in (await runs.load(run())).inbox]
        assert heard == [Started(), SignalSet("go")]
        await signals.set_signal(run(), "go", boolean(False))
        assert await signals.value(run(), "go") == boolean(False)

    play(story)


def test_what_nothing_waits_for_or_takes_is_refused_and_costs_nothing(play):
    async def story(signals, runs):
        with pytest.raises(InvalidSignal, match="go"):
            await signals.set_signal(run(), "go", boolean(True))
        await signals.open(run(), "go", INTEGER, "n0")
        with pytest.raises(InvalidSignal, match="expected int"):
            await signals.set_signal(run(), "go", boolean(True))
        assert await signals.value(run(), "go") is None
        assert [seen for _, seen in (await runs.load(run())).inbox] == [Started()]
        for ask in (
            signals.set_signal(run("gone"), "go", boolean(True)),
            signals.open(run("gone"), "go", BOOLEAN, "n0"),
            signals.value(run("gone"), "go"),
            signals.list(run("gone"), ALL),
        ):
            with pytest.raises(NotFound, match="gone"):
                await ask

    play(story)


def test_a_run_that_has_ended_takes_no_answers(play):
    async def story(signals, runs):
        await signals.open(run(), "go", BOOLEAN, "n0")
        epoch = (await runs.acquire("me", timedelta(seconds=30), NOW)).epoch
        await runs.commit(commit_of(run(), 0, epoch, summary=RunSummary(RunPhase.FAILED)))
        with pytest.raises(AlreadyTerminal, match="has ended"):
            await signals.set_signal(run(), "go", boolean(True))

    play(story)


def test_signals_are_listed_in_the_order_in_which_they_were_opened(play):
    async def story(signals, runs):
        for name in ("b", "a", "c"):
            await signals.open(run(), name, BOOLEAN, "n0")
        await signals.set_signal(run(), "a", boolean(True))
        found = (await signals.list(run(), ALL)).items
        assert [one.id.signal_id for one in found] == ["b", "a", "c"]
        assert [one.HasField("value") for one in found] == [False, True, False]
        assert {one.id.execution_id.name for one in found} == {"a"}
        assert found[0].type == BOOLEAN
        only = (await signals.list(run(), Query("eq(signal_id,c)"))).items
        assert [one.id.signal_id for one in only] == ["c"]

    play(story)
