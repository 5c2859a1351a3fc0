"""What every clock owes the engine."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import pytest

from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.engine.adapters.memory import ManualClock

A_MOMENT = timedelta(milliseconds=50)


async def system(clock: SystemClock, sleeping: asyncio.Task) -> None:
    """Let the time pass by itself."""
    await sleeping


async def manual(clock: ManualClock, sleeping: asyncio.Task) -> None:
    """Move the time on."""
    await asyncio.sleep(0)
    assert not sleeping.done()
    clock.advance(A_MOMENT)
    await sleeping


CLOCKS = [(SystemClock, system), (ManualClock, manual)]
pytestmark = pytest.mark.parametrize(("make", "pass_time"), CLOCKS, ids=["system", "manual"])


def test_the_time_is_in_utc_and_never_goes_back(make, pass_time):
    clock = make()
    seen = [clock.now() for _ in range(1000)]
    assert seen == sorted(seen)
    assert all(each.tzinfo is UTC for each in seen)


def test_a_sleeper_wakes_at_its_time_and_not_before(make, pass_time):
    async def story():
        clock = make()
        when = clock.now() + A_MOMENT
        sleeping = asyncio.create_task(clock.sleep_until(when))
        await pass_time(clock, sleeping)
        assert clock.now() >= when

    asyncio.run(story())


def test_what_has_passed_is_not_waited_for(make, pass_time):
    async def story():
        clock = make()
        await asyncio.wait_for(clock.sleep_until(clock.now() - A_MOMENT), 10)

    asyncio.run(story())


def test_a_clock_that_ran_on_tells_of_no_gap_and_of_each_gap_once(make, pass_time):
    clock = make()
    assert clock.gap() == timedelta(0)
    if isinstance(clock, ManualClock):
        clock.stand_still(timedelta(hours=1))
        assert clock.gap() == timedelta(hours=1)
    assert clock.gap() == timedelta(0)
