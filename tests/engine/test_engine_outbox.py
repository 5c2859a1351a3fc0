"""Deliveries: in order per node, again until done, and no launch after its kill."""

from __future__ import annotations

import asyncio

from flyte_jupyter.engine.core.actions import Kill, Launch, Reap
from flyte_jupyter.engine.outbox import Outbox, Pace
from flyte_jupyter.engine.ports import OwedAction
from flyte_jupyter.idl.ids import RunId

RUN = RunId("p", "d", "r")
A, B, C = ("a",), ("b",), ("c",)


class Deliveries:
    """What was delivered and settled; `gate` holds deliveries back, `failing` says how many fail."""

    def __init__(self, *, held=False, failing=0, workers=32):
        self.seen = []
        self.done = []
        self.gate = asyncio.Event()
        self.failing = failing
        if not held:
            self.gate.set()
        pace = Pace(workers=workers, first_wait=0.001, longest_wait=0.002)
        self.outbox = Outbox(self.deliver, self.settle, pace)
        self.outbox.release()

    async def deliver(self, run, owed):
        self.seen.append(owed.action)
        await self.gate.wait()
        if self.failing:
            self.failing -= 1
            raise ConnectionError("not now")

    def settle(self, run, ids):
        self.done += ids

    async def until_done(self, count):
        async with asyncio.timeout(20):
            while len(self.done) < count:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)

    def owe(self, *actions):
        first = len(self.seen) + len(self.done) + len(self.outbox) + 1
        self.outbox.add(RUN, [OwedAction(first + i, a) for i, a in enumerate(actions)])


def play(scenario, **settings):
    async def main():
        deliveries = Deliveries(**settings)
        await scenario(deliveries)
        await deliveries.outbox.close()

    asyncio.run(main())


def test_one_nodes_effects_go_in_order():
    async def scenario(d):
        d.owe(Launch(A, 0), Reap(A, 0), Launch(A, 1), Reap(A, 1))
        await d.until_done(4)
        assert d.seen == [Launch(A, 0), Reap(A, 0), Launch(A, 1), Reap(A, 1)]

    play(scenario)


def test_what_has_ended_is_cleared_away_after_what_is_to_start():
    async def scenario(d):
        d.owe(Reap(A, 0), Launch(B, 0), Reap(C, 0), Launch(C, 1))
        await d.until_done(4)
        assert d.seen == [Launch(B, 0), Reap(C, 0), Launch(C, 1), Reap(A, 0)]

    play(scenario, workers=1)


def test_a_kill_cancels_its_launch_and_no_other():
    async def scenario(d):
        d.owe(Reap(A, 0), Launch(A, 1))
        await asyncio.sleep(0)
        d.outbox.add(RUN, [OwedAction(10, Kill(A, 1)), OwedAction(11, Launch(A, 2))])
        d.gate.set()
        await d.until_done(4)
        assert d.seen == [Reap(A, 0), Kill(A, 1), Launch(A, 2)]
        assert sorted(d.done) == [1, 2, 10, 11], "the cancelled launch is settled too"

    play(scenario, held=True)


def test_a_launch_under_way_is_followed_by_its_kill():
    async def scenario(d):
        d.owe(Launch(A, 0))
        await asyncio.sleep(0)
        d.outbox.add(RUN, [OwedAction(10, Kill(A, 0))])
        d.gate.set()
        await d.until_done(2)
        assert d.seen == [Launch(A, 0), Kill(A, 0)]

    play(scenario, held=True)


def test_a_launch_that_is_cancelled_while_it_waits_for_a_worker_holds_up_nobody():
    async def scenario(d):
        d.owe(Launch(A, 0), Launch(B, 0))
        await asyncio.sleep(0)
        d.outbox.add(RUN, [OwedAction(10, Kill(B, 0)), OwedAction(11, Launch(C, 0))])
        d.gate.set()
        await d.until_done(4)
        assert d.seen == [Launch(A, 0), Kill(B, 0), Launch(C, 0)]

    play(scenario, held=True, workers=1)


def test_what_is_added_while_the_last_worker_leaves_is_delivered():
    async def scenario(d):
        for moments in range(12):
            d.owe(Launch(A, moments))
            for _ in range(moments):
                await asyncio.sleep(0)
            d.owe(Launch(B, moments))
            await d.until_done(2 * moments + 2)

    play(scenario, workers=1)


def test_what_fails_is_done_again_and_blocks_only_its_node():
    async def scenario(d):
        d.owe(Launch(A, 0), Launch(B, 0), Reap(A, 0))
        await d.until_done(3)
        assert d.seen.count(Launch(A, 0)) + d.seen.count(Launch(B, 0)) == 5
        assert d.seen[-1] == Reap(A, 0) or d.seen[-1] == Launch(B, 0)
        assert d.seen.index(Reap(A, 0)) > d.seen.index(Launch(A, 0))

    play(scenario, failing=3)


def test_nothing_goes_out_before_it_is_released():
    async def main():
        seen = []

        async def deliver(run, owed):
            seen.append(owed.action)

        outbox = Outbox(deliver, lambda run, ids: None)
        outbox.add(RUN, [OwedAction(1, Launch(A, 0))])
        for _ in range(5):
            await asyncio.sleep(0)
        assert not seen
        outbox.release()
        while len(outbox):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        assert seen == [Launch(A, 0)]
        await outbox.close()

    asyncio.run(main())
