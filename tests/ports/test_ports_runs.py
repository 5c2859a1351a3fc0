"""Every `Runs` keeps the same promises: fencing, versions, all or nothing, arrivals."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from flyte_jupyter.engine.adapters.memory import MemoryRuns, NewRun
from flyte_jupyter.engine.core.actions import Kill, Launch, Reap
from flyte_jupyter.engine.core.observations import AttemptEnded, AttemptSucceeded, Exit, Started
from flyte_jupyter.engine.core.state import (
    Blocked,
    Failure,
    Launching,
    RunPhase,
    RunState,
    RunSummary,
    Scope,
    Succeeded,
    Tries,
)
from flyte_jupyter.engine.ports import Commit, Fenced, Stale
from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import AttemptId, RunId

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TTL = timedelta(seconds=30)
A, B = RunId("p", "d", "a"), RunId("p", "d", "b")
STATE = RunState(RunSummary(open=2))


@asynccontextmanager
async def sqlite(tmp_path):
    from flyte_jupyter.store.database import Database
    from flyte_jupyter.store.executions import Executions, NewExecution
    from flyte_jupyter.store.runs import SqlRuns

    db = Database.open(tmp_path / "flyte.db")
    executions = Executions(db)

    async def create(run, parent=None):
        execution = admin.Execution(
            id=core.WorkflowExecutionIdentifier(
                project=run.project, domain=run.domain, name=run.name
            )
        )
        await executions.create(
            NewExecution(
                execution, b"closure", "digest", STATE, "file:///in", {"K": "v"}, parent=parent
            )
        )

    try:
        yield SqlRuns(db), create
    finally:
        await db.close()


@asynccontextmanager
async def memory(tmp_path):
    runs = MemoryRuns()

    async def create(run, parent=None):
        new = NewRun(
            run, b"closure", "digest", "file:///in", {"K": "v"}, STATE.summary, parent=parent
        )
        runs.create(new, Started())

    yield runs, create


ADAPTERS = [sqlite, memory]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def scenario(request, tmp_path):
    """Runs a coroutine function with the adapter and the way to create a run in it."""

    def play(story):
        async def told():
            async with request.param(tmp_path) as (runs, create):
                async with asyncio.timeout(60):
                    await story(runs, create)

        asyncio.run(told())

    return play


def commit(run, expect, epoch, **more):
    facts = {
        "log": [(NOW, Started())],
        "summary": RunSummary(RunPhase.RUNNING, open=2),
        "nodes": {},
        "owed": [],
        "settled": [],
        "consumed": [],
        "events": [],
    }
    return Commit(run=run, expect=expect, epoch=epoch, **(facts | more))


def test_a_new_run_is_open_and_has_its_start_message(scenario):
    async def story(runs, create):
        await create(A)
        assert list(await runs.open_runs()) == [A]
        stored = await runs.load(A)
        assert (stored.id, stored.version, stored.closure, stored.plan) == (
            A,
            0,
            b"closure",
            "digest",
        )
        assert dict(stored.state.nodes) == STATE.nodes
        assert stored.state.summary == STATE.summary
        assert [seen for _, seen in stored.inbox] == [Started()]
        assert (stored.inputs, dict(stored.env), list(stored.owed)) == (
            "file:///in",
            {"K": "v"},
            [],
        )

    scenario(story)


def test_a_commit_changes_only_what_it_names(scenario):
    async def story(runs, create):
        await create(A)
        lease = await runs.acquire("me", TTL, NOW)
        inbox = (await runs.load(A)).inbox
        launching = Launching(Tries(1, 1), "abc", NOW)
        summary = RunSummary(
            RunPhase.FAILING, open=1, failure=Failure("Code", "why"), failed_node="n0"
        )
        done = await runs.commit(
            commit(
                A,
                0,
                lease.epoch,
                summary=summary,
                nodes={("n1", 3): launching},
                owed=[Launch(("n1", 3), 0), Reap(("n0",), 2)],
                consumed=[number for number, _ in inbox],
            )
        )
        stored = await runs.load(A)
        assert done.version == stored.version == 1
        assert stored.state.summary == summary
        assert dict(stored.state.nodes) == {("n1", 3): launching}
        assert list(stored.owed) == list(done.owed)
        assert [owed.action for owed in done.owed] == [Launch(("n1", 3), 0), Reap(("n0",), 2)]
        assert list(stored.inbox) == []

    scenario(story)


def test_owed_actions_go_when_settled_in_a_commit_or_apart(scenario):
    async def story(runs, create):
        await create(A)
        lease = await runs.acquire("me", TTL, NOW)
        actions = [Launch(("n0",), 0), Kill(("n0",), 0), Reap(("n0",), 0)]
        first = await runs.commit(commit(A, 0, lease.epoch, owed=actions))
        ids = [owed.id for owed in first.owed]
        assert ids == sorted(set(ids))
        second = await runs.commit(
            commit(A, 1, lease.epoch, settled=[ids[0]], owed=[Launch(("n1", 3), 0)])
        )
        await runs.settle(A, [ids[2]], lease.epoch)
        stored = await runs.load(A)
        assert stored.version == second.version == 2
        assert [owed.id for owed in stored.owed] == [ids[1], second.owed[0].id]

    scenario(story)


def test_an_ended_run_is_open_while_it_owes(scenario):
    async def story(runs, create):
        await create(A)
        await create(B)
        lease = await runs.acquire("me", TTL, NOW)
        last = commit(
            A,
            0,
            lease.epoch,
            summary=RunSummary(RunPhase.SUCCEEDED),
            owed=[Reap(("n0",), 0)],
            consumed=[number for number, _ in (await runs.load(A)).inbox],
        )
        done = await runs.commit(last)
        assert list(await runs.open_runs()) == [A, B]
        await runs.settle(A, [done.owed[0].id], lease.epoch)
        assert list(await runs.open_runs()) == [B]

    scenario(story)


def test_a_stale_version_changes_nothing(scenario):
    async def story(runs, create):
        await create(A)
        lease = await runs.acquire("me", TTL, NOW)
        await runs.commit(commit(A, 0, lease.epoch, nodes={("n0",): Blocked(0)}))
        for expect in (0, 2):
            with pytest.raises(Stale):
                await runs.commit(
                    commit(
                        A,
                        expect,
                        lease.epoch,
                        nodes={("n0",): Succeeded("x")},
                        owed=[Kill(("n0",), 0)],
                    )
                )
        stored = await runs.load(A)
        assert stored.version == 1
        assert stored.state.nodes[("n0",)] == Blocked(0)
        assert list(stored.owed) == []

    scenario(story)


def test_the_lease_has_one_holder_and_a_growing_epoch(scenario):
    async def story(runs, create):
        first = await runs.acquire("one", TTL, NOW)
        assert first.expires == NOW + TTL
        assert await runs.acquire("two", TTL, NOW + TTL / 2) is None
        renewed = await runs.acquire("one", TTL, NOW + TTL / 2)
        assert (renewed.epoch, renewed.expires) == (first.epoch, NOW + TTL * 1.5)
        assert await runs.acquire("two", TTL, NOW + TTL) is None
        second = await runs.acquire("two", TTL, NOW + TTL * 2)
        assert second.epoch > first.epoch
        forced = await runs.acquire("one", TTL, NOW + TTL * 2, force=True)
        assert forced.epoch > second.epoch
        await runs.release("two")
        assert await runs.acquire("three", TTL, NOW + TTL * 2) is None
        await runs.release("one")
        assert (await runs.acquire("three", TTL, NOW + TTL * 2)).epoch > forced.epoch

    scenario(story)


def test_a_fenced_engine_writes_nothing(scenario):
    async def story(runs, create):
        await create(A)
        old = await runs.acquire("one", TTL, NOW)
        done = await runs.commit(commit(A, 0, old.epoch, owed=[Launch(("n0",), 0)]))
        new = await runs.acquire("two", TTL, NOW, force=True)
        with pytest.raises(Fenced):
            await runs.commit(commit(A, 1, old.epoch, owed=[Kill(("n0",), 0)]))
        with pytest.raises(Fenced):
            await runs.settle(A, [done.owed[0].id], old.epoch)
        stored = await runs.load(A)
        assert (stored.version, list(stored.owed)) == (1, list(done.owed))
        await runs.commit(commit(A, 1, new.epoch))

    scenario(story)


def test_arrivals_tell_of_each_run_that_got_a_message_since(scenario):
    async def story(runs, create):
        await create(A)
        arrivals = runs.arrivals()
        await create(B)
        assert await anext(aiter(arrivals)) == B

    scenario(story)


def test_one_bad_commit_does_not_spoil_those_beside_it(scenario):
    async def story(runs, create):
        names = [RunId("p", "d", f"r{number}") for number in range(40)]
        for name in names:
            await create(name)
        lease = await runs.acquire("me", TTL, NOW)
        results = await asyncio.gather(
            *(
                runs.commit(commit(name, number % 2, lease.epoch))
                for number, name in enumerate(names)
            ),
            return_exceptions=True,
        )
        for number, (name, result) in enumerate(zip(names, results, strict=True)):
            stale = number % 2 == 1
            assert isinstance(result, Stale) == stale
            assert (await runs.load(name)).version == (0 if stale else 1)

    scenario(story)


def test_a_wide_commit_comes_back_whole(scenario):
    async def story(runs, create):
        await create(A)
        lease = await runs.acquire("me", TTL, NOW)
        wide = {("n0", index): Launching(Tries(), "x", NOW) for index in range(3000)}
        done = await runs.commit(
            commit(
                A,
                0,
                lease.epoch,
                nodes=wide,
                owed=[Launch(path, 0) for path in wide],
                log=[(NOW, AttemptSucceeded(path, 0, "file:///o")) for path in wide],
            )
        )
        stored = await runs.load(A)
        assert len(stored.state.nodes) == 3000
        assert list(stored.owed) == list(done.owed)
        assert len({owed.id for owed in done.owed}) == 3000

    scenario(story)


def test_what_dynamic_tasks_made_is_kept_by_its_digest(scenario):
    async def story(runs, create):
        await create(A)
        lease = await runs.acquire("me", TTL, NOW)
        scope = Scope(open=2, plan="made")
        await runs.commit(
            commit(A, 0, lease.epoch, nodes={("n0", 0): scope}, closures={"made": b"a graph"})
        )
        await runs.commit(commit(A, 1, lease.epoch, closures={"made": b"a graph"}))
        assert await runs.closure("made") == b"a graph"
        assert (await runs.load(A)).state.nodes[("n0", 0)] == scope

    scenario(story)


@pytest.mark.parametrize(
    ("phase", "code"), [(RunPhase.SUCCEEDED, 0), (RunPhase.FAILED, 1), (RunPhase.ABORTED, 1)]
)
def test_the_end_of_a_child_is_told_to_its_parent_once(scenario, phase, code):
    async def story(runs, create):
        await create(A)
        await create(B, AttemptId(A, ("n0", 0, "c"), 2))
        lease = await runs.acquire("me", TTL, NOW)
        before = list(await runs.inbox(A))
        arrivals = aiter(runs.arrivals())
        await runs.commit(commit(B, 0, lease.epoch))
        assert list(await runs.inbox(A)) == before, "it is not over yet"
        over = RunSummary(phase)
        await runs.commit(commit(B, 1, lease.epoch, summary=over, owed=[Reap(("n0",), 0)]))
        assert await anext(arrivals) == A
        (told,) = [seen for number, seen in await runs.inbox(A) if (number, seen) not in before]
        assert told == AttemptEnded(("n0", 0, "c"), 2, Exit(code=code))
        await runs.commit(commit(B, 2, lease.epoch, summary=over))
        assert len(await runs.inbox(A)) == len(before) + 1

    scenario(story)


def test_the_inbox_alone_is_what_loading_gives(scenario):
    async def story(runs, create):
        await create(A)
        assert list(await runs.inbox(A)) == list((await runs.load(A)).inbox) != []

    scenario(story)
