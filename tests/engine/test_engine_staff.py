"""A staff does it all in one task, beside one that waits in another, in turns with everybody else, and stops at the first failure."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import pairwise

import pytest

from flyte_jupyter.engine.staff import Staff


class Work:
    """Pieces of work by number: those of `waits` wait until they may go on, and the tasks that did each are noted."""

    def __init__(self, line, *, most=32, waits=()):
        self.goes_on = {number: asyncio.Event() for number in waits}
        self.begun, self.done, self.by, self.stopped = [], [], {}, []
        self.line = deque(line)
        self.staff = Staff(self.do, most, self.line)

    async def do(self, number):
        self.begun.append(number)
        self.by[number] = asyncio.current_task()
        if number in self.goes_on:
            try:
                await self.goes_on[number].wait()
            except asyncio.CancelledError:
                self.stopped.append(number)
                raise
        if number < 0:
            raise ValueError(number)
        self.done.append(number)

    async def until_begun(self, *numbers):
        async with asyncio.timeout(20):
            while not set(numbers) <= set(self.begun):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)


def test_what_never_waits_is_done_in_order_by_one_task():
    async def main():
        work = Work(range(100))
        await work.staff.finish()
        assert work.done == list(range(100))
        assert len(set(work.by.values())) == 1

    asyncio.run(main())


def test_beside_what_waits_all_else_is_done():
    async def main():
        work = Work(range(40), waits=[0, 7])
        finishing = asyncio.create_task(work.staff.finish())
        await work.until_begun(39)
        assert not finishing.done()
        assert sorted({*range(40)} - {*work.done}) == [0, 7]
        assert len(set(work.by.values())) == 3
        work.goes_on[7].set()
        work.goes_on[0].set()
        await finishing
        assert work.done[-2:] == [7, 0]

    asyncio.run(main())


def test_no_more_than_so_many_are_begun_at_once():
    async def main():
        work = Work(range(5), most=2, waits=range(5))
        finishing = asyncio.create_task(work.staff.finish())
        await work.until_begun(0, 1)
        for _ in range(10):
            await asyncio.sleep(0)
        assert work.begun == [0, 1]
        work.goes_on[1].set()
        await work.until_begun(2)
        assert work.begun == [0, 1, 2]
        for event in work.goes_on.values():
            event.set()
        await finishing
        assert sorted(work.done) == list(range(5))

    asyncio.run(main())


def test_the_first_failure_is_raised_and_nothing_goes_on():
    async def main():
        work = Work([0, 1, -1, -2, 3], waits=[0, 1, -2])
        with pytest.raises(ValueError, match="-1"):
            await work.staff.finish()
        assert sorted(work.stopped) == [0, 1]
        assert work.begun == [0, 1, -1]
        assert not work.done

    asyncio.run(main())


def test_whoever_is_stopped_stops_its_staff():
    async def main():
        work = Work([0, 1, 2], waits=[0, 1])
        finishing = asyncio.create_task(work.staff.finish())
        await work.until_begun(2)
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing
        assert work.done == [2]
        assert sorted(work.stopped) == [0, 1]

    asyncio.run(main())


def test_others_have_their_turn_while_much_is_done_that_never_waits():
    async def main():
        work, seen = Work(range(200)), []

        async def other():
            while len(work.done) < 200:
                seen.append(len(work.done))
                await asyncio.sleep(0)

        await asyncio.gather(work.staff.finish(), other())
        assert max(b - a for a, b in pairwise(seen)) <= 16

    asyncio.run(main())


def test_what_is_last_is_done_when_nothing_else_is_left():
    async def main():
        work = Work([1, 2])
        do = work.do

        async def finds_more(number):
            await do(number)
            if number == 8:
                work.line.append(3)

        work.staff = Staff(finds_more, 32, work.line, deque([8, 9]))
        await work.staff.finish()
        assert work.done == [1, 2, 8, 3, 9]

    asyncio.run(main())
