"""Whole runs through the engine's public door, over memory."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from datetime import timedelta

import pytest
from engine_worlds import RUN, World, expected, until, workflow

from flyte_jupyter.engine.adapters.memory import NewRun
from flyte_jupyter.engine.core.errors import UnreadableRecord
from flyte_jupyter.engine.core.observations import AbortRequested, Exit, Started
from flyte_jupyter.engine.core.state import (
    Aborted,
    Blame,
    Failed,
    Failure,
    RunPhase,
    Skipped,
    Stage,
    Succeeded,
)
from flyte_jupyter.engine.engine import EngineState
from flyte_jupyter.engine.ports import AttemptSpec, Fenced, NotNow, Rejected, StoreBusy, Waits
from flyte_jupyter.idl import admin, core, event
from flyte_jupyter.idl.ids import AttemptId, RunId

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
ONE = {"a": ()}
FINISH = core.WorkflowMetadata.OnFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
RETRIES = {"retries": core.RetryStrategy(retries=2)}
CACHED = {"discoverable": True, "discovery_version": "1"}


def error(code="Broken", *, again=False, system=False):
    return core.ContainerError(
        code=code,
        message="it broke",
        kind=core.ContainerError.RECOVERABLE if again else core.ContainerError.NON_RECOVERABLE,
        origin=core.ExecutionError.SYSTEM if system else core.ExecutionError.USER,
    )


def test_a_diamond_runs_to_its_outputs(play):
    async def scenario(world, engine):
        world.create(workflow(DIAMOND))
        stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.SUCCEEDED
        assert await world.outputs() == expected(DIAMOND)
        assert all(isinstance(s, Succeeded) for s in stored.state.nodes.values())
        assert len(world.executor.created) == 4
        assert not world.executor.ended, "what is recorded is reaped"
        await until(lambda: engine.status().runs == 0)

    play(scenario)


@pytest.mark.parametrize("later", range(3))
def test_a_message_that_is_read_while_a_run_ends_disturbs_nothing(play, later):
    async def scenario(world, engine):
        disturbed, read = [], world.runs.inbox
        asyncio.get_running_loop().set_exception_handler(lambda _, told: disturbed.append(told))

        async def inbox(run):
            await world.ended(run)
            for _ in range(later):
                await asyncio.sleep(0)
            return await read(run)

        world.create(workflow(ONE))
        await until(lambda: world.worked)
        world.runs.inbox = inbox
        engine.notice(RUN)
        await world.ended()
        await until(lambda: engine.status().runs == 0)
        return disturbed

    assert play(scenario) == []


def test_an_end_and_what_follows_from_it_are_one_commit(play):
    """Ended, collected, the next one's inputs bound and its launch owed: nothing of it is written by itself."""
    chain = {f"n{i}": (f"n{i - 1}",) if i else () for i in range(50)}

    async def scenario(world, engine):
        world.create(workflow(chain))
        await world.ended()
        assert world.runs.commits <= len(chain) + 3

    play(scenario, linger=5.0)


def test_a_wide_run_takes_few_commits(play):
    wide = {f"n{i}": () for i in range(500)}

    async def scenario(world, engine):
        world.create(workflow(wide))
        await world.ended()
        assert await world.outputs() == expected(wide)
        assert world.runs.commits < 100

    play(scenario)


def test_parallelism_is_kept(play):
    async def scenario(world, engine):
        world.create(workflow({f"n{i}": () for i in range(6)}), max_parallelism=2)
        for done in range(6):
            wanted = min(2, 6 - done)
            await until(lambda n=wanted: len(world.executor.queued) == n)
            attempt = min(world.executor.queued)
            world.executor.begin(attempt)
            await world.executor.finish(attempt)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario, by_itself=False)


@pytest.mark.parametrize(
    ("instead", "code", "blame"),
    [
        (error(), "Broken", Blame.USER),
        (error(system=True), "Broken", Blame.SYSTEM),
        (Exit(code=0), "OutputsNotFound", Blame.USER),
        (Exit(code=3), "NonZeroExit", Blame.USER),
        (Exit(signal=11), "Killed", Blame.USER),
        (Exit(code=1, why=Failure("OOMKilled", "too much")), "OOMKilled", Blame.USER),
    ],
)
def test_every_bad_end_has_a_name(play, instead, code, blame):
    async def scenario(world, engine):
        world.failures[("a", 0)] = instead
        world.create(workflow({"a": (), "b": ("a",)}))
        stored = await world.ended()
        summary = stored.state.summary
        assert summary.phase is RunPhase.FAILED
        assert summary.failed_node == "a"
        assert code in summary.failure.code
        assert summary.failure.blame is blame
        assert isinstance(stored.state.nodes[("a",)], Failed)
        assert [a.path for a in world.executor.created] == [("a",)]

    play(scenario)


def test_a_killed_process_is_the_systems_fault_and_tried_again(play):
    async def scenario(world, engine):
        world.failures[("a", 0)] = Exit(signal=9)
        world.create(workflow(ONE))
        stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.SUCCEEDED
        assert [a.attempt for a in world.executor.created] == [0, 1]

    play(scenario)


def test_outputs_of_the_wrong_type_are_no_success(play):
    async def scenario(world, engine):
        literal = core.Literal(scalar=core.Scalar(primitive=core.Primitive(string_value="x")))
        wrong = core.LiteralMap(literals={"o": literal})
        world.create(workflow(ONE))
        await until(lambda: world.executor.queued)
        attempt = min(world.executor.queued)
        prefix = f"{world.node_prefix('a')}/0"
        await world.blobs.put(f"{prefix}/outputs.pb", wrong.SerializeToString())
        world.executor.end(attempt, Exit(code=0))
        failure = (await world.ended()).state.summary.failure
        assert failure.code == "OutputsInvalid"
        assert "expected int, given str" in failure.message

    play(scenario, by_itself=False)


def test_retries_are_counted_and_then_it_is_over(play):
    async def scenario(world, engine):
        for attempt in range(3):
            world.failures[("a", attempt)] = error(again=True)
        world.create(workflow(ONE, **RETRIES))
        stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.FAILED
        assert [a.attempt for a in world.executor.created] == [0, 1, 2]

    play(scenario)


def test_independent_nodes_finish_where_the_workflow_says_so(play):
    async def scenario(world, engine):
        world.failures[("a", 0)] = error()
        world.create(workflow({"a": (), "b": ("a",), "c": (), "d": ("c",)}, policy=FINISH))
        nodes = (await world.ended()).state.nodes
        assert isinstance(nodes[("b",)], Skipped)
        assert isinstance(nodes[("d",)], Succeeded)

    play(scenario)


def test_a_second_run_takes_remembered_outputs(play):
    async def scenario(world, engine):
        compiled = workflow(DIAMOND, **CACHED)
        world.create(compiled)
        await world.ended()
        again = RunId("p", "d", "r2")
        world.create(compiled, again)
        stored = await world.ended(again)
        assert await world.outputs(again) == expected(DIAMOND)
        assert len([a for a in world.executor.created if a.run == again]) == 0
        # In the first run, b and c are the same task with the same inputs; they ran side by side.
        assert stored.state.nodes[("a",)].cached == "p/d/r1/a/0"

    play(scenario)


def test_a_broken_catalog_never_fails_a_run(play):
    async def scenario(world, engine):
        world.catalog.broken = True
        world.create(workflow(DIAMOND, **CACHED))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario)


def test_an_abort_kills_what_runs(play):
    async def scenario(world, engine):
        world.create(workflow(DIAMOND))
        await until(lambda: world.executor.queued)
        world.executor.begin(min(world.executor.queued))
        world.runs.post(RUN, AbortRequested("enough", "me"))
        stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.ABORTED
        assert stored.state.summary.abort == "enough"
        assert not world.executor.running
        assert not stored.inbox

    play(scenario, by_itself=False)


def test_a_rejected_attempt_fails_by_the_executors_reason(play):
    async def scenario(world, engine):
        why = Failure("InterpreterNotFound", "there is no such Python")
        world.executor.refuse[AttemptId(RUN, ("a",), 0)] = Rejected(why)
        world.create(workflow(ONE))
        assert (await world.ended()).state.summary.failure.code == "InterpreterNotFound"

    play(scenario)


def test_a_timeout_ends_the_attempt_and_a_gap_extends_it(play):
    async def scenario(world, engine):
        compiled = workflow(ONE)
        compiled.closure.tasks[0].template.metadata.timeout.FromSeconds(60)
        compiled = replace(compiled, digest="with a timeout")
        world.create(compiled)
        await until(lambda: world.executor.queued)
        world.executor.begin(min(world.executor.queued))
        await until(lambda: any("Started" in repr(o) for _, o in world.runs.heard(RUN)[1:]))
        world.clock.stand_still(timedelta(seconds=120))
        await until(lambda: any("gap" in repr(o) for _, o in world.runs.heard(RUN)))
        assert world.executor.running, "the time asleep does not count"
        world.clock.advance(timedelta(seconds=61))
        stored = await world.ended()
        assert "TimeoutExpired" in stored.state.summary.failure.code
        assert not world.executor.running

    play(scenario, by_itself=False)


def test_waiting_for_room_uses_up_nothing_of_a_tasks_time(play):
    async def scenario(world, engine):
        compiled = workflow(ONE)
        compiled.closure.tasks[0].template.metadata.timeout.FromSeconds(60)
        world.create(replace(compiled, digest="with a timeout"))
        await until(lambda: world.executor.queued)
        (only,) = world.executor.queued
        await until(lambda: "AttemptAccepted" in repr(world.runs.heard(RUN)))
        world.clock.advance(timedelta(hours=1))
        world.executor.begin(only)
        await until(lambda: "AttemptStarted" in repr(world.runs.heard(RUN)))
        world.clock.advance(timedelta(seconds=59))
        await world.executor.finish(only)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario, by_itself=False)


def test_an_attempt_that_stays_queued_longer_than_its_execution_allows_is_replaced(play):
    async def scenario(world, engine):
        spec = admin.ExecutionSpec()
        spec.quality_of_service.spec.queueing_budget.FromSeconds(60)
        world.create(workflow(ONE), spec=spec)
        await until(lambda: world.executor.queued)
        (first,) = world.executor.queued
        await until(lambda: "AttemptAccepted" in repr(world.runs.heard(RUN)))
        world.clock.advance(timedelta(seconds=61))
        second = first._replace(attempt=1)
        await until(lambda: list(world.executor.queued) == [second])
        world.executor.begin(second)
        await until(lambda: "AttemptStarted" in repr(world.runs.heard(RUN)))
        world.clock.advance(timedelta(seconds=61))
        await world.executor.finish(second)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario, by_itself=False)


def test_a_run_has_so_much_time_and_a_gap_extends_it(play):
    async def scenario(world, engine):
        world.create(workflow({"a": (), "b": ("a",)}), timeout=timedelta(seconds=60))
        await until(lambda: world.executor.queued)
        attempt = min(world.executor.queued)
        world.executor.begin(attempt)
        await until(lambda: any("Started" in repr(o) for _, o in world.runs.heard(RUN)[1:]))
        world.clock.stand_still(timedelta(seconds=120))
        await until(lambda: any("gap" in repr(o) for _, o in world.runs.heard(RUN)))
        assert world.executor.running, "the time asleep does not count"
        world.clock.advance(timedelta(seconds=61))
        stored = await world.ended()
        summary = stored.state.summary
        assert (summary.phase, summary.failure.code) == (RunPhase.FAILED, "Timeout")
        assert summary.failed_node == ""
        assert isinstance(stored.state.nodes["a",], Aborted)
        assert not world.executor.running
        told = [e for e in world.runs.events(RUN) if isinstance(e, event.WorkflowExecutionEvent)]
        assert told[-1].error.code == "Timeout"

    play(scenario, by_itself=False)


def test_the_next_engine_keeps_a_runs_time_limit():
    async def main():
        world = World(by_itself=False)
        first = world.engine()
        await first.start()
        world.create(workflow(ONE), timeout=timedelta(seconds=60))
        await until(lambda: world.executor.queued)
        await first.stop()
        world.clock.advance(timedelta(seconds=61))
        second = world.engine()
        await second.start()
        assert (await world.ended()).state.summary.failure.code == "Timeout"
        await second.stop()

    asyncio.run(main())


def test_a_lost_attempt_is_found_missing_and_tried_again(play):
    async def scenario(world, engine):
        world.create(workflow(ONE))
        await until(lambda: world.executor.queued)
        attempt = min(world.executor.queued)
        world.executor.begin(attempt)
        await until(lambda: any("AttemptStarted" in repr(o) for _, o in world.runs.heard(RUN)))
        world.executor.vanish(attempt)
        world.clock.advance(timedelta(seconds=31))
        await until(lambda: world.executor.queued)
        again = min(world.executor.queued)
        assert again.attempt == 1
        world.executor.begin(again)
        await world.executor.finish(again)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario, by_itself=False)


def test_an_attempt_that_waited_for_room_costs_nothing_when_its_executor_forgets_it():
    """It was never made, so that nothing of it can have been lost."""

    async def main():
        world = World(by_itself=False)
        first = world.engine()
        await first.start()
        world.create(workflow({"a": (), "b": ()}))
        await until(lambda: len(world.executor.queued) == 2)
        waits, queued = sorted(world.executor.queued)
        world.executor.hold(waits, Waits(Stage.RESOURCES, "the quota is used up"))
        await until(lambda: "quota" in repr(world.runs.heard(RUN)))
        await first.stop()
        world.executor.vanish(waits)
        world.executor.vanish(queued)
        world.clock.advance(timedelta(seconds=20))
        launch, away = world.executor.launch, [1, 2, 3]

        async def later(spec):
            if away and spec.id == waits:
                raise NotNow(f"the cluster is away for {away.pop()} surveys more")
            return await launch(spec)

        world.executor.launch = later
        second = world.engine()
        await second.start()
        while waits not in world.executor.queued:
            world.clock.advance(timedelta(seconds=31))
            await asyncio.sleep(0)
        lost = queued._replace(attempt=1)
        await until(lambda: lost in world.executor.queued)
        for attempt in (waits, lost):
            world.executor.begin(attempt)
            await world.executor.finish(attempt)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert waits._replace(attempt=1) not in world.executor.created
        assert not away
        await second.stop()

    asyncio.run(main())


def test_what_cannot_be_launched_again_yet_hides_no_loss_of_others():
    async def main():
        world, other = World(by_itself=False), RunId("p", "d", "r2")
        first = world.engine()
        await first.start()
        world.create(workflow(ONE))
        world.create(workflow(ONE), run=other)
        await until(lambda: len(world.executor.queued) == 2)
        waits, runs = sorted(world.executor.queued)
        world.executor.hold(waits, Waits(Stage.RESOURCES, "the quota is used up"))
        world.executor.begin(runs)
        await until(lambda: "quota" in repr(world.runs.heard(RUN)))
        await until(lambda: "AttemptStarted" in repr(world.runs.heard(other)))
        await first.stop()
        world.executor.vanish(waits)
        world.executor.vanish(runs)
        world.clock.advance(timedelta(seconds=20))
        launch = world.executor.launch

        async def refusing(spec):
            if spec.id.run == RUN:
                raise NotNow("its namespace is being deleted")
            return await launch(spec)

        world.executor.launch = refusing
        second = world.engine()
        await second.start()
        await until(lambda: runs._replace(attempt=1) in world.executor.queued)
        world.executor.launch = launch
        world.clock.advance(timedelta(seconds=31))
        await until(lambda: waits in world.executor.queued)
        await second.stop()

    asyncio.run(main())


def test_what_waited_for_room_and_is_refused_later_fails_by_its_reason():
    async def main():
        world = World(by_itself=False)
        first = world.engine()
        await first.start()
        world.create(workflow(ONE))
        await until(lambda: world.executor.queued)
        (waits,) = world.executor.queued
        world.executor.hold(waits, Waits(Stage.RESOURCES, "the quota is used up"))
        await until(lambda: "quota" in repr(world.runs.heard(RUN)))
        await first.stop()
        world.executor.vanish(waits)
        world.executor.refuse[waits] = Rejected(Failure("AdmissionDenied", "not any more"))
        world.clock.advance(timedelta(seconds=20))
        second = world.engine()
        await second.start()
        assert (await world.ended()).state.summary.failure.code == "AdmissionDenied"
        await second.stop()

    asyncio.run(main())


def test_an_attempt_that_no_run_claims_is_killed(play):
    async def scenario(world, engine):
        stranger = AttemptId(RunId("p", "d", "gone"), ("a",), 0)
        spec = AttemptSpec(stranger, core.TaskTemplate(), "", "", "", {})
        await world.executor.launch(spec)

        def surveyed():
            world.clock.advance(timedelta(seconds=4))
            return not world.executor.queued

        await until(surveyed)

    play(scenario, by_itself=False)


def test_what_has_ended_is_reaped_and_never_killed(play):
    """Whether its reaping takes longer than a survey, or its run was over before it was heard of."""

    async def scenario(world, engine):
        kills, reaps, may = [], [], asyncio.Event()
        kill, reap = world.executor.kill, world.executor.reap

        async def killing(attempt):
            kills.append(attempt)
            await kill(attempt)

        async def reaping(attempt):
            reaps.append(attempt)
            await may.wait()
            await reap(attempt)

        world.executor.kill, world.executor.reap = killing, reaping
        world.create(workflow({"a": (), "b": ("a",)}))
        await until(lambda: world.executor.queued)
        (attempt,) = world.executor.queued
        world.executor.begin(attempt)
        await world.executor.finish(attempt)
        await until(lambda: reaps)
        stranger = AttemptId(RunId("p", "d", "gone"), ("a",), 0)
        world.executor.ended[stranger] = Exit(code=0)

        def surveyed():
            world.clock.advance(timedelta(seconds=4))
            return stranger in reaps + kills

        await until(surveyed)
        may.set()
        await until(lambda: not world.executor.ended)
        (last,) = world.executor.queued
        world.executor.begin(last)
        await world.executor.finish(last)
        await world.ended()
        assert not kills
        assert reaps.count(attempt) == 1

    play(scenario, by_itself=False)


def test_a_full_store_loses_nothing(play):
    async def scenario(world, engine):
        world.create(workflow(DIAMOND))
        await until(lambda: world.executor.queued)
        world.runs.full = True
        attempt = min(world.executor.queued)
        world.executor.begin(attempt)
        await world.executor.finish(attempt)
        await until(lambda: engine.status().troubles)
        assert "no space" in engine.status().troubles[RUN]
        assert list(world.executor.created) == [attempt], "nothing new is started meanwhile"
        world.runs.full = False
        while (await world.phase()) is not RunPhase.SUCCEEDED:
            for queued in sorted(world.executor.queued):
                world.executor.begin(queued)
                await world.executor.finish(queued)
            await asyncio.sleep(0)
        assert await world.outputs() == expected(DIAMOND)
        assert not engine.status().troubles

    play(scenario, by_itself=False)


def test_full_blobs_wait_for_space(play):
    async def scenario(world, engine):
        world.blobs.full = True
        world.create(workflow(ONE))
        await until(lambda: engine.status().troubles)
        assert not world.executor.created
        world.blobs.full = False
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario)


def test_what_a_question_keeps_meeting_becomes_a_failure_of_the_system(play):
    async def scenario(world, engine):
        async def broken(uri, data):
            raise OSError(5, "the disk is broken", uri)

        put, world.blobs.put = world.blobs.put, None
        world.blobs.put = lambda uri, data: (
            broken(uri, data) if uri.endswith("inputs.pb") else put(uri, data)
        )
        world.create(workflow(ONE))
        stored = await world.ended()
        assert stored.state.summary.failure.blame is Blame.SYSTEM
        assert "the disk is broken" in stored.state.summary.failure.message

    play(scenario)


def test_one_broken_run_stops_nobody(play):
    async def scenario(world, engine):
        broken = RunId("p", "d", "broken")
        compiled = workflow(ONE)
        world.create(replace(compiled, digest="unreadable"), broken)
        world.runs.spoil(broken)
        world.create(workflow(DIAMOND))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert "cannot be loaded" in engine.status().troubles[broken]

    play(scenario)


def unreadable(call, *, times):
    """A call of the store that fails so many times."""
    failed = []

    async def guarded(run):
        if len(failed) < times:
            failed.append(run)
            raise OSError(errno.EMFILE, "too many open files")
        return await call(run)

    return guarded


@pytest.mark.parametrize("times", [1, 20])
def test_a_new_run_that_could_not_be_read_is_looked_at_again(play, times):
    async def scenario(world, engine):
        world.runs.load = unreadable(world.runs.load, times=times)
        world.create(workflow(DIAMOND))
        await until(lambda: engine.status().troubles)
        assert "too many open files" in engine.status().troubles[RUN]
        await until(lambda: any(a.path == ("d",) for a in world.executor.created))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert not engine.status().troubles

    play(scenario)


def test_a_message_that_could_not_be_read_is_heard_all_the_same(play):
    async def scenario(world, engine):
        world.create(workflow(ONE))
        await until(lambda: world.executor.queued)
        world.runs.inbox = unreadable(world.runs.inbox, times=3)
        world.runs.post(RUN, AbortRequested("enough", "me"))
        assert (await world.ended()).state.summary.phase is RunPhase.ABORTED
        assert not world.executor.queued

    play(scenario, by_itself=False)


def test_what_another_version_wrote_is_read_once(play):
    async def scenario(world, engine):
        asked, other = [], RunId("p", "d", "other")
        load = world.runs.load

        async def guarded(run):
            if run != other:
                return await load(run)
            asked.append(run)
            raise UnreadableRecord("written by a newer version")

        world.runs.load = guarded
        world.create(workflow(ONE), other)
        await until(lambda: asked)
        for number in range(40):
            world.create(workflow(ONE), RunId("p", "d", f"r{number}"))
            await world.ended(RunId("p", "d", f"r{number}"))
        assert asked == [other]

    play(scenario)


def test_many_runs_side_by_side(play):
    async def scenario(world, engine):
        compiled = workflow(DIAMOND)
        runs = [RunId("p", "d", f"r{i}") for i in range(40)]
        for run in runs:
            world.create(compiled, run)
        for run in runs:
            assert (await world.ended(run)).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario)


def test_events_tell_the_story_in_order(play):
    async def scenario(world, engine):
        world.create(workflow({"a": (), "b": ("a",)}))
        await world.ended()
        events = world.runs.events(RUN)
        phases = [
            core.WorkflowExecution.Phase.Name(e.phase)
            for e in events
            if isinstance(e, event.WorkflowExecutionEvent)
        ]
        assert phases[0] == "RUNNING"
        assert phases[-1] == "SUCCEEDED"
        outputs = [e.output_uri for e in events if isinstance(e, event.NodeExecutionEvent)]
        for uri in filter(None, outputs):
            assert await world.blobs.exists(uri), f"{uri} was told of and is not there"

    play(scenario)


def test_a_store_that_others_keep_busy_costs_no_run(play):
    async def scenario(world, engine):
        commit, left = world.runs.commit, 30

        async def busy(committed, nearly=None):
            nonlocal left
            left -= 1
            if left > 0:
                raise StoreBusy("another process writes and does not come to an end")
            return await commit(committed, nearly)

        world.runs.commit = busy
        world.create(workflow(ONE))
        await until(lambda: engine.status().troubles)
        assert "does not come to an end" in engine.status().troubles[RUN]
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert left <= 0

    play(scenario)


@pytest.mark.parametrize("which", [1, 2, 3])
def test_what_was_written_without_the_writer_hearing_of_it_is_done_all_the_same(play, which):
    async def scenario(world, engine):
        commit, made = world.runs.commit, 0

        async def unheard(asked, nearly=None):
            nonlocal made
            made += 1
            committed = await commit(asked, nearly)
            if made == which:
                raise OSError("the answer was lost")
            return committed

        world.runs.commit = unheard
        world.create(workflow(DIAMOND))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert await world.outputs() == expected(DIAMOND)
        assert len(world.executor.created) == len(set(world.executor.created)) == 4
        assert not (await world.runs.load(RUN)).owed

    play(scenario)


def test_a_second_engine_stands_by_and_takes_over():
    async def main():
        world = World(by_itself=False)
        first, second = world.engine(), world.engine()
        await first.start()
        await second.start()
        assert first.status().state is EngineState.ACTIVE
        assert second.status().state is EngineState.STANDBY
        assert "another engine" in second.status().notice
        world.create(workflow(ONE))
        await until(lambda: world.executor.queued)
        await first.stop()
        world.clock.advance(timedelta(seconds=6))
        await until(lambda: second.status().state is EngineState.ACTIVE)
        attempt = min(world.executor.queued)
        world.executor.begin(attempt)
        await world.executor.finish(attempt)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert world.executor.created == [attempt], "the attempt went on"
        await second.stop()

    asyncio.run(main())


def test_an_engine_that_lost_its_lease_writes_no_more():
    async def main():
        world = World(by_itself=False)
        first = world.engine()
        await first.start()
        world.create(workflow(ONE))
        await until(lambda: world.executor.queued)
        await world.runs.acquire("usurper", timedelta(hours=1), world.clock.now(), force=True)
        commits = world.runs.commits
        world.executor.begin(min(world.executor.queued))
        await world.executor.finish(min(world.executor.running))
        world.clock.advance(timedelta(seconds=6))
        await until(lambda: first.status().state is EngineState.STANDBY)
        assert "taken over" in first.status().notice
        assert world.runs.commits == commits
        await first.stop()

    asyncio.run(main())


async def stands_by(engine, world):
    def look():
        world.clock.advance(timedelta(seconds=1))
        return engine.status().state is EngineState.STANDBY

    await until(look)


def test_an_engine_that_stood_still_kills_nothing_of_what_another_has_begun_meanwhile():
    async def main():
        world = World(by_itself=False)
        first = world.engine()
        await first.start()
        anothers = AttemptId(RunId("p", "d", "new"), ("a",), 0)
        await world.executor.launch(AttemptSpec(anothers, core.TaskTemplate(), "", "", "", {}))
        world.clock.stand_still(timedelta(seconds=20))
        await world.runs.acquire("another", timedelta(hours=1), world.clock.now())
        world.executor.begin(anothers)
        await stands_by(first, world)
        assert set(world.executor.running) == {anothers}
        await first.stop()

    asyncio.run(main())


def test_an_engine_that_stood_still_does_nothing_more_that_it_owed():
    async def main():
        world = World(by_itself=False)
        world.create(workflow(ONE))
        first = world.engine()
        launch, held = world.executor.launch, asyncio.Event()

        async def slow(spec):
            await held.wait()
            raise ConnectionError("the executor did not answer")

        world.executor.launch = slow
        await first.start()
        await until(lambda: first.status().undelivered)
        world.executor.launch = launch
        world.clock.stand_still(timedelta(seconds=20))
        await world.runs.acquire("another", timedelta(hours=1), world.clock.now())
        held.set()
        await stands_by(first, world)
        assert not world.executor.created
        await first.stop()

    asyncio.run(main())


def test_an_executor_hears_when_its_engine_may_act_no_longer():
    async def main():
        world = World()
        first = world.engine()
        start, told = world.executor.start, []

        async def hears(news, ready):
            told.append(ready)
            await start(news, ready)

        world.executor.start = hears
        await first.start()
        (ready,) = told
        await ready()
        world.clock.stand_still(timedelta(seconds=20))
        await world.runs.acquire("another", timedelta(hours=1), world.clock.now())
        with pytest.raises(Fenced):
            await ready()
        await first.stop()

    asyncio.run(main())


def test_a_run_created_while_no_engine_ran_is_taken_up():
    async def main():
        world = World()
        world.create(workflow(DIAMOND))
        world.create(workflow(ONE), RunId("p", "d", "r2"), max_parallelism=1)
        engine = world.engine()
        await engine.start()
        for run in (RUN, RunId("p", "d", "r2")):
            assert (await world.ended(run)).state.summary.phase is RunPhase.SUCCEEDED
            assert world.runs.heard(run)[0][1] == Started()
        await engine.stop()

    asyncio.run(main())


def test_a_run_that_cannot_go_on_is_ended_in_order(play):
    async def scenario(world, engine):
        compiled = workflow(DIAMOND)
        closure = compiled.closure.SerializeToString(deterministic=True)
        missing = f"{world.blobs.root}/never-written.pb"
        world.runs.create(NewRun(RUN, closure, compiled.digest, inputs=missing), Started())
        stored = await world.ended()
        assert stored.state.summary.phase is RunPhase.FAILED
        assert stored.state.summary.failure.code == "EngineError"
        assert "never-written" in stored.state.summary.failure.message
        assert all(isinstance(s, Aborted) for s in stored.state.nodes.values())
        assert stored.state.summary.open == 0
        assert not world.executor.created
        await until(lambda: engine.status().runs == 0)

    play(scenario)
