"""What cannot be delivered: a fault of our own is not tried for ever, and a world that is away is waited for."""

from __future__ import annotations

import errno

import pytest
from engine_programs import INT, Shelf, approval, flow, node, task
from engine_worlds import RUN, until

from flyte_jupyter.engine.core.state import Blame, Failed, RunPhase
from flyte_jupyter.engine.ports import BlobFailure, NotNow, StoreBusy, StoreFull
from flyte_jupyter.idl import literals
from flyte_jupyter.idl.ids import AttemptId

ADD = task("add", {"x0": INT})
LOOSE = flow("loose", [node("n0", ADD, x0=1), node("n1", ADD, x0=2)])
CHILD = flow("child", [node("c0", ADD, x0=".x0")], {"o": "c0.o"}, {"x0": INT})
PARENT = flow("parent", [node("n0", "child", x0=1)])
GATED = flow("gated", [node("n0", ADD, x0=1), node("g", approval("go"))])


def failing(call, fault, *, times=10**9, after=False, of=None):
    """A port's call that fails so many times, before or after it was done."""
    failed = []

    async def guarded(*args):
        if (of is None or of(*args)) and len(failed) < times:
            failed.append(args)
            if after:
                await call(*args)
            raise fault()
        return await call(*args)

    guarded.failed = failed
    return guarded


def defect():
    return ValueError("this value cannot be rendered")


def of_n0(spec):
    return spec.id.path == ("n0",)


class Misunderstood(NotNow):
    """What the other side does not understand, and may never."""

    passes = False


@pytest.mark.parametrize("after", [False, True], ids=["before it is made", "after it is made"])
@pytest.mark.parametrize("kind", [ValueError, Misunderstood])
def test_an_attempt_that_a_defect_keeps_from_its_executor_is_the_systems_failure(play, after, kind):
    async def scenario(world, engine):
        def defect():
            return kind("this value cannot be rendered")

        launch = failing(world.executor.launch, defect, after=after, of=of_n0)
        world.executor.launch = launch
        world.create(Shelf(ADD).compiled(LOOSE))
        stored = await world.ended()
        summary = stored.state.summary
        assert summary.phase is RunPhase.FAILED
        assert summary.failed_node == "n0"
        assert summary.failure.blame is Blame.SYSTEM
        assert "attempt 3 of node n0 cannot be launched" in summary.failure.message
        assert "this value cannot be rendered" in summary.failure.message
        assert isinstance(stored.state.nodes["n0",], Failed)
        tried = [spec.id.attempt for (spec,) in launch.failed]
        assert tried == sorted(tried)
        assert set(tried) == {0, 1, 2, 3}, "the system's retries are used, and no more"
        assert not world.executor.queued
        assert not world.executor.running

    play(scenario, by_itself=not after)


def test_a_defect_that_passes_costs_nothing(play):
    async def scenario(world, engine):
        world.executor.launch = failing(world.executor.launch, defect, times=10)
        world.create(Shelf(ADD).compiled(LOOSE))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert {a.attempt for a in world.executor.created} == {0}

    play(scenario)


@pytest.mark.parametrize(
    "fault",
    [
        lambda: NotNow("the cluster is away"),
        lambda: ConnectionError("nobody answers"),
        lambda: OSError(errno.ENOSPC, "no space left"),
        lambda: OSError(errno.EMFILE, "too many open files"),
        lambda: StoreFull("no space left"),
        lambda: StoreBusy("another process writes"),
        lambda: BlobFailure("no space left", no_space=True),
        lambda: BlobFailure("connection refused"),
    ],
)
@pytest.mark.parametrize("port", ["executor", "children", "signals"])
def test_a_world_that_is_away_or_full_is_waited_for(play, fault, port):
    async def scenario(world, engine):
        call = "open" if port == "signals" else "launch"
        guarded = failing(getattr(getattr(world, port), call), fault, times=50)
        setattr(getattr(world, port), call, guarded)
        program = {"executor": LOOSE, "children": PARENT, "signals": GATED}[port]
        shelf = Shelf(ADD, plans={"child": CHILD})
        world.plans.update(shelf.plans)
        world.create(shelf.compiled(program))
        if port == "signals":
            await until(lambda: world.signals.opened)
            world.signals.answer(RUN, "go", literals.literal(True))
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED
        assert len(guarded.failed) == 50
        assert {a.attempt for a in world.executor.created} == {0}

    play(scenario)


def test_a_child_execution_whose_inputs_are_damaged_is_the_systems_failure(play):
    async def scenario(world, engine):
        put = world.blobs.put

        async def damaged(uri, data):
            await put(uri, data[:-1] if uri.endswith("/n0/data/inputs.pb") else data)

        world.blobs.put = damaged
        shelf = Shelf(ADD, plans={"child": CHILD})
        world.plans.update(shelf.plans)
        world.create(shelf.compiled(PARENT))
        summary = (await world.ended()).state.summary
        assert summary.phase is RunPhase.FAILED
        assert summary.failure.blame is Blame.SYSTEM
        assert "cannot be launched: DecodeError" in summary.failure.message
        assert not world.children.created

    play(scenario)


def test_a_gate_that_cannot_be_opened_is_refused(play):
    async def scenario(world, engine):
        world.signals.open = failing(world.signals.open, defect)
        world.create(Shelf(ADD).compiled(GATED))
        summary = (await world.ended()).state.summary
        assert summary.phase is RunPhase.FAILED
        assert summary.failed_node == "g"
        assert summary.failure.blame is Blame.SYSTEM
        assert "the gate g cannot be opened" in summary.failure.message

    play(scenario)


def test_what_cannot_even_be_withdrawn_is_ended_before_another_attempt_begins(play):
    async def scenario(world, engine):
        executor, at_last = world.executor, []
        kill = failing(executor.kill, defect, times=25)

        async def ends(attempt):
            await kill(attempt)
            at_last.append((attempt, list(executor.created)))

        executor.kill = ends
        executor.launch = failing(
            executor.launch, defect, after=True, of=lambda spec: not spec.id.attempt
        )
        world.create(Shelf(ADD).compiled(flow("one", [node("n0", ADD, x0=1)])))
        first, second = (AttemptId(RUN, ("n0",), number) for number in (0, 1))
        await until(lambda: second in executor.queued)
        assert kill.failed == [(first,)] * 25
        assert at_last == [(first, [first])], "the second one was made after the first had gone"
        executor.begin(second)
        await executor.finish(second)
        assert (await world.ended()).state.summary.phase is RunPhase.SUCCEEDED

    play(scenario, by_itself=False)
