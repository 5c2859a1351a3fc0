"""Executions from launch to end, as clients see them through one commit after another."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from store_world import (
    NOW,
    commit_of,
    later,
    new_execution,
    node_event,
    run,
    task_event,
    workflow_event,
)

from flyte_jupyter.engine.core.observations import AbortRequested, Started
from flyte_jupyter.engine.core.state import Blocked, RunPhase, RunSummary
from flyte_jupyter.idl import core, event
from flyte_jupyter.store import feed as feeds
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import AlreadyExists, AlreadyTerminal, InvalidQuery, NotFound
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.feed import Change, ChangeKind, Feed
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.runs import SqlRuns

ALL = Query(limit=100)


@pytest.fixture
def play(path):
    def tell(story):
        async def told():
            db = Database.open(path)
            try:
                async with asyncio.timeout(60):
                    await story(Executions(db), SqlRuns(db), Feed(db))
            finally:
                await db.close()

        asyncio.run(told())

    return tell


async def lease(runs):
    return (await runs.acquire("me", timedelta(seconds=30), NOW)).epoch


def test_an_execution_is_seen_as_its_events_tell(play):
    async def story(executions, runs, feed):
        await executions.create(new_execution())
        epoch = await lease(runs)
        events = [
            workflow_event(run(), "RUNNING", later(1)),
            node_event(run(), "n0", "QUEUED", later(1), input_uri="file:///in"),
            task_event(run(), "n0", 0, "RUNNING", later(2)),
            node_event(run(), "n0", "RUNNING", later(2)),
            task_event(run(), "n0", 0, "RETRYABLE_FAILED", later(3)),
            task_event(run(), "n0", 1, "QUEUED", later(3)),
        ]
        await runs.commit(commit_of(run(), 0, epoch, events=events))
        execution = await executions.get(run())
        assert execution.closure.phase == core.WorkflowExecution.RUNNING
        assert execution.closure.workflow_id.name == "wf"
        nodes = (await executions.node_executions(run(), ALL)).items
        assert [(n.id.node_id, n.closure.phase) for n in nodes] == [
            ("n0", core.NodeExecution.RUNNING)
        ]
        assert nodes[0] == await executions.node_execution(run(), "n0")
        tasks = (await executions.task_executions(run(), "n0", ALL)).items
        assert [t.id.retry_attempt for t in tasks] == [0, 1]
        assert tasks[1] == await executions.task_execution(run(), "n0", 1)
        assert list((await executions.task_executions(run(), "", ALL)).items) == list(tasks)
        retried = await executions.task_executions(run(), "n0", Query("eq(phase,RETRYABLE_FAILED)"))
        assert [t.id.retry_attempt for t in retried.items] == [0]
        assert await executions.closure(run()) == b"compiled"
        assert await executions.inputs(run()) == "file:///inputs.pb"
        assert await executions.active() == 1
        done = [workflow_event(run(), "SUCCEEDED", later(5), output_uri="file:///out")]
        await runs.commit(
            commit_of(run(), 1, epoch, events=done, summary=RunSummary(RunPhase.SUCCEEDED))
        )
        assert await executions.active() == 0
        assert (await executions.get(run())).closure.outputs.uri == "file:///out"

    play(story)


def test_what_a_commit_begins_is_recorded_as_what_it_goes_on_with(play):
    async def story(executions, runs, feed):
        epoch = await lease(runs)
        for name, begun in (("a", frozenset()), ("b", {("n0",), ("n1", 0, "n0")})):
            await executions.create(new_execution(name))
            events = [
                node_event(run(name), "n0", "QUEUED", later(1)),
                node_event(run(name), "n1-0-n0", "QUEUED", later(1)),
                task_event(run(name), "n0", 0, "QUEUED", later(2)),
                node_event(run(name), "n0", "RUNNING", later(3)),
                task_event(run(name), "n0", 0, "RUNNING", later(3)),
            ]
            nodes = {("n0",): Blocked(0), ("n1", 0, "n0"): Blocked(0)}
            told = {"events": events, "nodes": nodes, "begun": begun}
            await runs.commit(commit_of(run(name), 0, epoch, **told))
            done = [
                node_event(run(name), "n0", "SUCCEEDED", later(4)),
                node_event(run(name), "n1-0-n0", "RUNNING", later(4)),
                task_event(run(name), "n0", 0, "SUCCEEDED", later(4)),
            ]
            await runs.commit(commit_of(run(name), 1, epoch, events=done))
        for name in ("a", "b"):
            found = (await executions.node_executions(run(name), ALL, parent=None)).items
            assert [(n.id.node_id, n.closure.phase) for n in found] == [
                ("n0", core.NodeExecution.SUCCEEDED),
                ("n1-0-n0", core.NodeExecution.RUNNING),
            ]
            assert found[0].closure.duration.seconds == 1
            assert await executions.node_path(run(name), "n1-0-n0") == ("n1", 0, "n0")
            (task,) = (await executions.task_executions(run(name), "n0", ALL)).items
            assert task.closure.phase == core.TaskExecution.SUCCEEDED

    play(story)


def test_a_node_that_begins_under_the_id_of_one_that_has_ended_costs_no_run(play):
    # Flyte's ids of nodes inside others are hashes, and a node of the outermost graph may have any name.
    async def story(executions, runs, feed):
        await executions.create(new_execution())
        epoch = await lease(runs)
        for version, phase in enumerate(("SUCCEEDED", "QUEUED")):
            events = [
                node_event(run(), "n0", phase, later(1)),
                task_event(run(), "n0", 0, phase, later(1)),
            ]
            told = {"events": events, "begun": {("n0",)}}
            await runs.commit(commit_of(run(), version, epoch, **told))
        found = await executions.node_execution(run(), "n0")
        assert found.closure.phase == core.NodeExecution.SUCCEEDED
        task = await executions.task_execution(run(), "n0", 0)
        assert task.closure.phase == core.TaskExecution.SUCCEEDED

    play(story)


def test_children_are_listed_by_their_parent(play):
    async def story(executions, runs, feed):
        await executions.create(new_execution())
        inner = node_event(
            run(),
            "n0-0-n1",
            "QUEUED",
            parent_node_metadata=event.ParentNodeExecutionMetadata(node_id="n0"),
        )
        events = [node_event(run(), "n0", "RUNNING", is_parent=True), inner]
        await runs.commit(commit_of(run(), 0, await lease(runs), events=events))
        top = await executions.node_executions(run(), ALL)
        below = await executions.node_executions(run(), ALL, parent="n0")
        both = await executions.node_executions(run(), ALL, parent=None)
        assert {n.id.node_id for n in both.items} == {"n0", "n0-0-n1"}
        assert [n.id.node_id for n in top.items] == ["n0"]
        assert [n.id.node_id for n in below.items] == ["n0-0-n1"]

    play(story)


def test_names_are_taken_once(play):
    async def story(executions, runs, feed):
        await executions.create(new_execution())
        with pytest.raises(AlreadyExists):
            await executions.create(new_execution())
        assert len((await runs.load(run())).inbox) == 1

    play(story)


def test_an_abort_is_shown_and_told_once(play):
    async def story(executions, runs, feed):
        await executions.create(new_execution())
        arrivals = runs.arrivals()
        await executions.request_abort(run(), "enough", "ann", later(1))
        await executions.request_abort(run(), "again", "bob", later(2))
        assert await anext(aiter(arrivals)) == run()
        closure = (await executions.get(run())).closure
        assert closure.phase == core.WorkflowExecution.ABORTING
        assert (closure.abort_metadata.cause, closure.abort_metadata.principal) == ("enough", "ann")
        stored = await runs.load(run())
        assert [seen for _, seen in stored.inbox] == [Started(), AbortRequested("enough", "ann")]
        aborted = [workflow_event(run(), "ABORTED", later(3))]
        await runs.commit(
            commit_of(
                run(),
                0,
                await lease(runs),
                events=aborted,
                consumed=[number for number, _ in stored.inbox],
            )
        )
        with pytest.raises(AlreadyTerminal):
            await executions.request_abort(run(), "late", "ann", later(4))
        assert (await executions.get(run())).closure.abort_metadata.cause == "enough"

    play(story)


def test_what_is_not_there_is_said_by_name(play):
    async def story(executions, runs, feed):
        ask = [
            executions.get(run()),
            executions.closure(run()),
            executions.request_abort(run(), "", "", NOW),
            executions.node_executions(run(), ALL),
            executions.node_execution(run(), "n0"),
            executions.task_executions(run(), "n0", ALL),
            executions.task_execution(run(), "n0", 0),
            runs.load(run()),
            runs.commit(commit_of(run(), 0, 0)),
        ]
        for answer in ask:
            with pytest.raises(NotFound, match="flytesnacks/development/a"):
                await answer
        await executions.create(new_execution())
        with pytest.raises(NotFound, match="n7"):
            await executions.node_execution(run(), "n7")
        with pytest.raises(InvalidQuery):
            await executions.node_executions(run(), Query("eq(body,x)"))

    play(story)


def test_a_client_that_follows_the_feed_sees_every_change_once_a_commit(play):
    async def story(executions, runs, feed):
        woken = feed.subscribe()
        assert await feed.latest() == 0
        assert not await feed.too_old(0)
        await executions.create(new_execution())
        await executions.create(new_execution("b"))
        await anext(aiter(woken))
        start = await feed.latest()
        epoch = await lease(runs)
        events = [
            node_event(run(), "n0", "QUEUED"),
            node_event(run(), "n0", "RUNNING"),
            task_event(run(), "n0", 0, "RUNNING"),
        ]
        await runs.commit(commit_of(run(), 0, epoch, events=events))
        await runs.commit(commit_of(run(), 1, epoch, events=events))
        seen = await feed.since(start, run=run())
        assert [(change.kind, change.node) for change in seen] == [
            (ChangeKind.NODE_EXECUTION, "n0"),
            (ChangeKind.TASK_EXECUTION, "n0"),
        ]
        records = await executions.look_up(seen)
        assert [type(record).__name__ for record in records] == ["NodeExecution", "TaskExecution"]
        assert await feed.since(0, run=run("b")) == [Change(2, ChangeKind.EXECUTION, run("b"))]
        assert len(await feed.since(0, project="flytesnacks", limit=3)) == 3
        assert await feed.since(0, project="other") == []
        assert await feed.too_old(await feed.latest() + 1)

    play(story)


def test_an_old_cursor_is_told_that_it_missed_something(play):
    async def story(executions, runs, feed):
        await executions.create(new_execution())
        epoch = await lease(runs)
        events = [node_event(run(), f"n{number}", "QUEUED") for number in range(60)]
        await runs.commit(commit_of(run(), 0, epoch, events=events))
        await feed.prune(keep=10)
        last = await feed.latest()
        assert await feed.too_old(0)
        assert not await feed.too_old(last - 10)
        assert len(await feed.since(last - 10)) == 10

    play(story)


def test_as_the_feed_grows_it_forgets_by_itself(play, monkeypatch):
    monkeypatch.setattr(feeds, "KEEP", 10)
    monkeypatch.setattr(feeds, "PRUNE_EVERY", 25)

    async def story(executions, runs, feed):
        await executions.create(new_execution())
        epoch = await lease(runs)
        for version in range(60):
            events = [node_event(run(), f"n{version}", "QUEUED")]
            await runs.commit(commit_of(run(), version, epoch, events=events))
        kept = await feed.since(0)
        assert 10 <= len(kept) <= 35
        assert kept[-1].node == "n59"
        assert await feed.too_old(0)

    play(story)


def test_wake_ups_that_nobody_waited_for_become_one(play):
    async def story(executions, runs, feed):
        woken = feed.subscribe()
        for number in range(5):
            await executions.create(new_execution(f"r{number}"))
        await anext(aiter(woken))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(aiter(woken))

    play(story)
