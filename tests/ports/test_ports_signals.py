"""Every `Signals` lets a signal be answered from when a gate asks for it, and tells the run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from flyte_jupyter.engine.adapters.memory import MemoryRuns, MemorySignals, NewRun
from flyte_jupyter.engine.core.observations import SignalSet
from flyte_jupyter.engine.core.state import RunState, RunSummary
from flyte_jupyter.idl import admin, core, literals
from flyte_jupyter.idl.identifiers import execution_identifier
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.store.errors import StoreError

INT = core.LiteralType(simple=core.SimpleType.INTEGER)
A, B = RunId("p", "d", "a"), RunId("p", "d", "b")


@asynccontextmanager
async def sqlite(tmp_path):
    from flyte_jupyter.store.database import Database
    from flyte_jupyter.store.executions import Executions, NewExecution
    from flyte_jupyter.store.runs import SqlRuns
    from flyte_jupyter.store.signals import SqlSignals

    db = Database.open(tmp_path / "flyte.db")
    try:
        for run in (A, B):
            execution = admin.Execution(id=execution_identifier(run))
            new = NewExecution(execution, b"closure", "digest", RunState(RunSummary(open=2)), "")
            await Executions(db).create(new)
        signals = SqlSignals(db)
        yield signals, SqlRuns(db), signals.set_signal
    finally:
        await db.close()


@asynccontextmanager
async def memory(tmp_path):
    runs = MemoryRuns()
    for run in (A, B):
        runs.create(NewRun(run, b"closure", "digest"))
    signals = MemorySignals(runs)

    async def answer(run, signal, value):
        signals.answer(run, signal, value)

    yield signals, runs, answer


@pytest.fixture(params=[sqlite, memory], ids=lambda adapter: adapter.__name__)
def scenario(request, tmp_path):
    """Runs a coroutine function with the signals, the runs, and the way to answer."""

    def play(story):
        async def told():
            async with request.param(tmp_path) as world:
                await story(*world)

        asyncio.run(told())

    return play


def test_an_answer_is_kept_and_told_to_its_run_alone(scenario):
    async def story(signals, runs, answer):
        assert await signals.open(A, "s", INT, "n0") is False
        await signals.open(B, "s", INT, "n0")
        assert await signals.value(A, "s") is None
        await answer(A, "s", literals.literal(7))
        assert await signals.value(A, "s") == literals.literal(7)
        assert await signals.value(B, "s") is None
        assert SignalSet("s") in [seen for _, seen in await runs.inbox(A)]
        assert SignalSet("s") not in [seen for _, seen in await runs.inbox(B)]

    scenario(story)


def test_opening_again_says_whether_it_is_answered(scenario):
    async def story(signals, runs, answer):
        await signals.open(A, "s", INT, "n0")
        assert await signals.open(A, "s", INT, "n0") is False
        await answer(A, "s", literals.literal(7))
        assert await signals.open(A, "s", INT, "n1") is True
        assert await signals.value(A, "s") == literals.literal(7)

    scenario(story)


def test_what_nobody_asks_cannot_be_answered(scenario):
    async def story(signals, runs, answer):
        with pytest.raises((KeyError, StoreError), match="signal"):
            await answer(A, "s", literals.literal(7))
        assert await signals.value(A, "s") is None

    scenario(story)
