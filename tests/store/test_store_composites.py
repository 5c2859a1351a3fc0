"""What composite nodes leave in the store: nested nodes, expansions, items, child executions, what was taken over."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_world import (
    NOW,
    commit_of,
    later,
    new_execution,
    node_event,
    run,
    task_event,
    wire,
)

from flyte_jupyter.engine.core.observations import AttemptEnded, Exit, Started
from flyte_jupyter.engine.core.state import (
    Nested,
    RunPhase,
    RunSummary,
    Succeeded,
    Tries,
)
from flyte_jupyter.idl import core, event
from flyte_jupyter.idl.ids import AttemptId, path_text
from flyte_jupyter.store import folded, recording, resources
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import NotFound
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.feed import ChangeKind, Feed
from flyte_jupyter.store.query import Query
from flyte_jupyter.store.rows import PathReader, path_key
from flyte_jupyter.store.runs import SqlRuns

ALL = Query(limit=100)
T = core.TaskExecution


@pytest.fixture
def play(path):
    def tell(story):
        async def told():
            db = Database.open(path)
            try:
                async with asyncio.timeout(60):
                    runs = SqlRuns(db)
                    epoch = (await runs.acquire("me", timedelta(seconds=30), NOW)).epoch
                    await story(Executions(db), runs, Feed(db), epoch)
            finally:
                await db.close()

        asyncio.run(told())

    return tell


def dynamic(digest: str) -> event.TaskNodeMetadata:
    made = event.TaskNodeMetadata()
    made.dynamic_workflow.id.version = digest
    made.dynamic_workflow.dynamic_job_spec_uri = "file:///futures.pb"
    return made


def inside(owner: str) -> event.ParentNodeExecutionMetadata:
    return event.ParentNodeExecutionMetadata(node_id=owner)


def test_a_nested_node_is_found_by_the_id_that_clients_know(play):
    owner, path = ("a-node-with-quite-a-name",), ("a-node-with-quite-a-name", 0, "n1")
    known = path_text(path)

    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        tries = Nested(Tries(), "d", NOW)
        events = [
            node_event(run(), owner[0], "RUNNING", is_parent=True),
            node_event(
                run(), known, "QUEUED", parent_node_metadata=inside(owner[0]), retry_group="0"
            ),
        ]
        nodes = {owner: tries, path: Succeeded("file:///o")}
        await runs.commit(commit_of(run(), 0, epoch, events=events, nodes=nodes))
        assert await executions.node_path(run(), known) == path
        assert await executions.node_path(run(), owner[0]) == owner
        below = (await executions.node_executions(run(), ALL, parent=owner[0])).items
        assert [(n.id.node_id, n.metadata.retry_group) for n in below] == [(known, "0")]
        with pytest.raises(NotFound, match="n7"):
            await executions.node_path(run(), "n7")

    play(story)


def test_the_graph_that_a_dynamic_node_made_is_kept_with_it(play):
    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        await executions.create(new_execution("b"))
        begun = node_event(run(), "n0", "RUNNING")
        await runs.commit(commit_of(run(), 0, epoch, events=[begun]))
        with pytest.raises(NotFound, match="not dynamic"):
            await executions.expansion(run(), "n0")
        grown = node_event(
            run(), "n0", "DYNAMIC_RUNNING", is_dynamic=True, task_node_metadata=dynamic("sha")
        )
        made = {"sha": b"compiled at run time"}
        await runs.commit(commit_of(run(), 1, epoch, events=[grown], closures=made))
        # Another run may make the very same graph.
        await runs.commit(commit_of(run("b"), 0, epoch, closures=made))
        done = node_event(run(), "n0", "SUCCEEDED", later(1))
        await runs.commit(commit_of(run(), 2, epoch, events=[done]))
        assert await executions.expansion(run(), "n0") == b"compiled at run time"
        assert await runs.closure("sha") == b"compiled at run time"
        node = await executions.node_execution(run(), "n0")
        assert node.closure.dynamic_job_spec_uri == "file:///futures.pb"
        assert node.metadata.is_dynamic
        with pytest.raises(NotFound, match="other"):
            await runs.closure("other")

    play(story)


@pytest.mark.parametrize(
    ("phase", "code"), [(RunPhase.SUCCEEDED, 0), (RunPhase.FAILED, 1), (RunPhase.ABORTED, 1)]
)
def test_the_end_of_a_child_reaches_its_parent_once(play, phase, code):
    of = AttemptId(run("parent"), ("n0", 0, "n1", 3), 2)

    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution("parent"))
        await executions.create(replace(new_execution("child"), parent=of, epoch=epoch))
        assert await executions.parent(run("child")) == of
        assert await executions.parent(run("parent")) is None
        children = (await executions.children(run("parent"), ALL)).items
        assert [child.id.name for child in children] == ["child"]
        arrivals = aiter(runs.arrivals())
        going = commit_of(run("child"), 0, epoch, summary=RunSummary(RunPhase.RUNNING))
        await runs.commit(going)
        ended = RunSummary(phase)
        await runs.commit(commit_of(run("child"), 1, epoch, summary=ended))
        assert await anext(arrivals) == run("parent")
        await runs.commit(commit_of(run("child"), 2, epoch, summary=ended))
        heard = [seen for _, seen in (await runs.load(run("parent"))).inbox]
        assert heard == [Started(), AttemptEnded(of.path, of.attempt, Exit(code=code))]

    play(story)


def test_a_parent_that_has_ended_hears_no_more(play):
    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution("parent"))
        of = AttemptId(run("parent"), ("n0",), 0)
        await executions.create(replace(new_execution("child"), parent=of, epoch=epoch))
        ended = RunSummary(RunPhase.ABORTED)
        await runs.commit(commit_of(run("parent"), 0, epoch, summary=ended, owed=[]))
        await runs.commit(commit_of(run("child"), 0, epoch, summary=ended, owed=[]))
        assert [seen for _, seen in (await runs.load(run("parent"))).inbox] == [Started()]
        assert await runs.open_runs() == []

    play(story)


def test_a_run_knows_what_it_was_launched_with_and_what_it_recovers(play):
    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution("old"))
        new = replace(new_execution("new"), recovers=run("old"))
        new.execution.spec.labels.values["team"] = "blue"
        await executions.create(new)
        stored = await runs.load(run("new"))
        assert stored.recovers == run("old")
        assert dict(stored.spec.labels.values) == {"team": "blue"}
        assert (await runs.load(run("old"))).recovers is None
        with pytest.raises(NotFound, match="gone"):
            await executions.create(replace(new_execution("x"), recovers=run("gone")))
        with pytest.raises(NotFound, match="gone"):
            await executions.create(
                replace(new_execution("x"), parent=AttemptId(run("gone"), ("n0",), 0))
            )

    play(story)


# -- items -----------------------------------------------------------------------------------------


def items(*told: tuple[int, int, str], **more) -> event.TaskExecutionMetadata:
    made = event.TaskExecutionMetadata(plugin_identifier="k8s-array")
    for index, retry, phase in told:
        made.external_resources.add(
            index=index, retry_attempt=retry, phase=T.Phase.Value(phase), **more
        )
    return made


def array_event(phase: str, *told: tuple[int, int, str], **more) -> event.TaskExecutionEvent:
    return task_event(run(), "n0", 0, phase, metadata=items(*told, **more))


def phases_of(task) -> list[tuple[int, int, str]]:
    return [
        (r.index, r.retry_attempt, T.Phase.Name(r.phase))
        for r in task.closure.metadata.external_resources
    ]


def counts_of(task) -> dict[str, int]:
    return {k: int(v) for k, v in task.closure.custom_info[resources.COUNTS].items()}


def test_items_are_merged_by_index_and_try_and_counted_by_their_last_try(play):
    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        steps = [
            array_event("RUNNING", (1, 0, "QUEUED"), (0, 0, "QUEUED"), (2, 0, "QUEUED")),
            array_event("RUNNING", (0, 0, "RUNNING"), (1, 0, "RUNNING")),
            array_event("RUNNING", (0, 0, "RETRYABLE_FAILED"), (0, 1, "QUEUED")),
            array_event("RUNNING", (1, 0, "SUCCEEDED")),
        ]
        for version, step in enumerate(steps):
            await runs.commit(commit_of(run(), version, epoch, events=[step]))
        task = await executions.task_execution(run(), "n0", 0)
        assert phases_of(task) == [
            (0, 0, "RETRYABLE_FAILED"),
            (0, 1, "QUEUED"),
            (1, 0, "SUCCEEDED"),
            (2, 0, "QUEUED"),
        ]
        assert counts_of(task) == {"QUEUED": 2, "SUCCEEDED": 1}
        assert task.closure.metadata.plugin_identifier == "k8s-array"
        assert list((await executions.task_executions(run(), "n0", ALL)).items) == [task]
        # Late and repeated news changes nothing and is not shown as a change.
        cursor = await feed.latest()
        await runs.commit(commit_of(run(), 4, epoch, events=steps[:3]))
        assert await executions.task_execution(run(), "n0", 0) == task
        assert await feed.since(cursor) == []

    play(story)


def test_news_of_items_moves_the_time_of_change_of_their_array(play):
    async def story(executions, runs, feed, epoch):
        def step(phase, seconds, *told):
            metadata = items(*told)
            return task_event(run(), "n0", 0, phase, later(seconds), metadata=metadata)

        await executions.create(new_execution())
        for version, (told, changed) in enumerate(
            [
                (step("RUNNING", 1, (0, 0, "QUEUED")), 1),
                (step("RUNNING", 2, (0, 0, "RUNNING")), 2),
                (step("RUNNING", 3, (0, 0, "RUNNING")), 2),
                (step("SUCCEEDED", 4, (0, 0, "SUCCEEDED")), 4),
                (step("RUNNING", 5, (1, 0, "SUCCEEDED")), 4),
            ]
        ):
            await runs.commit(commit_of(run(), version, epoch, events=[told]))
            closure = (await executions.task_execution(run(), "n0", 0)).closure
            assert closure.updated_at.ToDatetime(NOW.tzinfo) == later(changed), version
            since = f"gt(updated_at,{later(changed - 0.5):%Y-%m-%dT%H:%M:%S.%fZ})"
            found = await executions.task_executions(run(), "n0", Query(since))
            assert len(found.items) == 1, "and it can be asked for"

    play(story)


def test_a_step_of_an_array_is_one_change_which_tells_counts_but_not_each_item(play):
    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        many = [(index, 0, "QUEUED") for index in range(2_000)]
        await runs.commit(commit_of(run(), 0, epoch, events=[array_event("RUNNING", *many)]))
        cursor = await feed.latest()
        step = array_event("RUNNING", (7, 0, "SUCCEEDED"))
        await runs.commit(commit_of(run(), 1, epoch, events=[step]))
        (change,) = await feed.since(cursor)
        assert (change.kind, change.node) == (ChangeKind.TASK_EXECUTION, "n0")
        (shown,) = await executions.look_up([change])
        assert counts_of(shown) == {"QUEUED": 1_999, "SUCCEEDED": 1}
        assert phases_of(shown) == []
        part = await executions.items(run(), "n0", 0, 6, 9)
        assert [(r.index, r.phase) for r in part] == [
            (6, T.QUEUED),
            (7, T.SUCCEEDED),
            (8, T.QUEUED),
        ]

    play(story)


def test_what_an_item_was_told_stays_when_later_news_leaves_it_out(play):
    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        logs = [core.TaskLog(name="log", uri="file:///log")]
        told = [
            array_event("RUNNING", (0, 0, "RUNNING"), logs=logs, external_id="pod-0"),
            array_event("RUNNING", (0, 0, "SUCCEEDED")),
        ]
        await runs.commit(commit_of(run(), 0, epoch, events=told))
        (item,) = await executions.items(run(), "n0", 0, 0, 1)
        assert (item.external_id, [log.uri for log in item.logs]) == ("pod-0", ["file:///log"])
        assert item.phase == T.SUCCEEDED

    play(story)


def test_items_survive_a_new_start_of_the_program(play, path):
    async def before(executions, runs, feed, epoch):
        await executions.create(new_execution())
        first = array_event("RUNNING", (0, 0, "RUNNING"), (1, 0, "RUNNING"))
        await runs.commit(commit_of(run(), 0, epoch, events=[first]))

    async def after(executions, runs, feed, epoch):
        step = array_event("RUNNING", (1, 0, "FAILED"))
        await runs.commit(commit_of(run(), 1, epoch, events=[step]))
        task = await executions.task_execution(run(), "n0", 0)
        assert counts_of(task) == {"RUNNING": 1, "FAILED": 1}

    play(before)
    play(after)


# -- what a write that is undone leaves ------------------------------------------------------------


def test_a_commit_that_is_undone_leaves_nothing_for_the_next_to_build_on(play, path):
    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        queued = [node_event(run(), "n0", "QUEUED"), task_event(run(), "n0", 0, "QUEUED")]
        await runs.commit(commit_of(run(), 0, epoch, events=queued))
        running = [
            node_event(run(), "n0", "RUNNING", later(1)),
            task_event(run(), "n0", 0, "RUNNING", later(1), reason="never committed"),
        ]
        with closing(sqlite3.connect(path)) as other:
            # The feed comes last, when everything has been folded.
            other.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON feed BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
            with pytest.raises(sqlite3.Error, match="refused"):
                await runs.commit(commit_of(run(), 1, epoch, events=running))
            other.execute("DROP TRIGGER refuse")
        again = [
            node_event(run(), "n0", "RUNNING", later(2)),
            task_event(run(), "n0", 0, "RUNNING", later(2)),
        ]
        await runs.commit(commit_of(run(), 1, epoch, events=again))
        task = await executions.task_execution(run(), "n0", 0)
        assert task.closure.started_at.ToDatetime(NOW.tzinfo) == later(2)
        assert list(task.closure.reasons) == []
        node = await executions.node_execution(run(), "n0")
        assert node.closure.started_at.ToDatetime(NOW.tzinfo) == later(2)

    play(story)


def test_what_is_no_longer_kept_in_memory_is_read_again(play, monkeypatch):
    monkeypatch.setattr(folded, "MOST", 3)

    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        for version, phase in enumerate(["QUEUED", "RUNNING", "SUCCEEDED"]):
            events = [
                told
                for number in range(20)
                for told in (
                    node_event(run(), f"n{number}", phase, later(version)),
                    task_event(run(), f"n{number}", 0, phase, later(version), reason=phase),
                )
            ]
            await runs.commit(commit_of(run(), version, epoch, events=events))
        tasks = (await executions.task_executions(run(), "", ALL)).items
        assert len(tasks) == 20
        for task in tasks:
            assert [r.message for r in task.closure.reasons] == ["QUEUED", "RUNNING", "SUCCEEDED"]
            assert task.closure.duration.ToSeconds() == 1
        nodes = (await executions.node_executions(run(), ALL)).items
        assert [node.closure.duration.ToSeconds() for node in nodes] == [1] * 20

    play(story)


class Looked(str):
    """A node's name that counts how often it is compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other):
        Looked.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_attempts_that_are_read_again_are_each_looked_for_once(play, monkeypatch):
    many, reads = 500, recording._tasks

    class Counted:
        def all(self, connection, asked):
            return [(Looked(node), *rest) for node, *rest in reads.all(connection, asked)]

    def told(phase):
        return [task_event(run(), f"n{number}", 0, phase) for number in range(many)]

    async def story(executions, runs, feed, epoch):
        await executions.create(new_execution())
        await runs.commit(commit_of(run(), 0, epoch, events=told("QUEUED")))

    async def goes_on(executions, runs, feed, epoch):
        monkeypatch.setattr(recording, "_tasks", Counted())
        await runs.commit(commit_of(run(), 1, epoch, events=told("ABORTED")))
        found = (await executions.task_executions(run(), "", Query(limit=many))).items
        assert {task.closure.phase for task in found} == {core.TaskExecution.ABORTED}
        assert many <= Looked.times < 10 * many, "an abort after a restart compared all with all"

    play(story)
    play(goes_on)


def test_many_runs_that_take_turns_see_their_own_nodes(play):
    async def story(executions, runs, feed, epoch):
        names = [f"r{number}" for number in range(5)]
        for name in names:
            await executions.create(new_execution(name))
        for version, phase in enumerate(["QUEUED", "RUNNING", "SUCCEEDED"]):
            await asyncio.gather(
                *(
                    runs.commit(
                        commit_of(
                            run(name),
                            version,
                            epoch,
                            events=[node_event(run(name), "n0", phase, later(version))],
                        )
                    )
                    for name in names
                )
            )
        for name in names:
            node = await executions.node_execution(run(name), "n0")
            assert node.id.execution_id == wire(run(name))
            assert node.closure.phase == core.NodeExecution.SUCCEEDED
            assert node.closure.duration.ToSeconds() == 1

    play(story)


parts = st.text(alphabet=["a", "é", ",", '"', "\\", "[", "]", "5", " "], max_size=4) | st.integers(
    0, 99
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.lists(st.lists(parts, min_size=1, max_size=3).map(tuple), max_size=12))
def test_many_paths_are_read_as_each_alone(paths):
    reader = PathReader()
    assert [reader.read(path_key(path)) for path in paths] == paths
