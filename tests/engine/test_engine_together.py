"""Much to be done at once: in order, no more at once than may be, and nothing left behind."""

from __future__ import annotations

import asyncio

import pytest

from flyte_jupyter.engine.together import together


def run(story):
    async def within():
        async with asyncio.timeout(30):
            await story()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not others, "somebody was left at work"

    asyncio.run(within())


@pytest.mark.parametrize("most", [1, 3, 32, 500])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_everything_is_made_in_order_and_not_too_much_at_once(most, count):
    async def story():
        at_once = highest = 0

        async def make(number):
            nonlocal at_once, highest
            at_once += 1
            highest = max(highest, at_once)
            for _ in range(2 + number % 3):
                await asyncio.sleep(0)
            at_once -= 1
            return number * 2

        assert await together(make, range(count), most) == [2 * n for n in range(count)]
        assert highest <= most
        assert (highest > 1) == (count > 1 and most > 1)

    run(story)


def test_who_waits_for_nothing_needs_no_task():
    async def story():
        mine = asyncio.current_task()

        async def make(number):
            return asyncio.current_task() is mine

        assert all(await together(make, range(100), 32))

    run(story)


def test_all_wait_at_the_same_time():
    async def story():
        barrier = asyncio.Barrier(20)

        async def make(number):
            await barrier.wait()
            return number

        assert await together(make, range(20), 32) == list(range(20))

    run(story)


@pytest.mark.parametrize("bad", [0, 1, 7, 19])
def test_one_that_fails_ends_it(bad):
    async def story():
        begun, never = [], asyncio.Event()

        async def make(number):
            begun.append(number)
            await asyncio.sleep(0)
            if number == bad:
                raise LookupError(number)
            if number < bad:
                await asyncio.sleep(0)
            else:
                await never.wait()

        with pytest.raises(LookupError):
            await together(make, range(20), 32)
        for _ in range(5):
            await asyncio.sleep(0)
        count = len(begun)
        await asyncio.sleep(0)
        assert len(begun) == count

    run(story)


def test_who_is_cancelled_leaves_nobody_at_work():
    async def story():
        never = asyncio.Event()

        async def make(number):
            await never.wait()

        work = asyncio.create_task(together(make, range(20), 8))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        for _ in range(5):
            await asyncio.sleep(0)

    run(story)
