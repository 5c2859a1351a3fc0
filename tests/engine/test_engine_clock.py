"""The system's clock as the engine sees it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from flyte_jupyter.engine.adapters.clock import SystemClock


class Clocks:
    """A wall clock and a steady clock that are set by hand."""

    def __init__(self):
        self.wall = 1_700_000_000.0
        self.steady = 100.0

    def pass_(self, wall, steady=None):
        self.wall += wall
        self.steady += wall if steady is None else steady

    def made(self):
        return SystemClock(lambda: self.wall, lambda: self.steady)


def test_time_never_goes_back():
    clocks = Clocks()
    clock = clocks.made()
    before = clock.now()
    clocks.pass_(-3600, 10)
    assert clock.now() == before + timedelta(seconds=10), "it goes on at its own pace"
    clocks.pass_(7200, 1)
    assert clock.now() == datetime.fromtimestamp(clocks.wall, UTC)


def asleep(scenario):
    """Run a scenario while somebody sleeps on the clock, as the engine always does."""

    async def main():
        clocks = Clocks()
        clock = clocks.made()
        sleeper = asyncio.create_task(clock.sleep_until(clock.now() + timedelta(days=1)))
        await asyncio.sleep(0)
        scenario(clocks, clock)
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)

    asyncio.run(main())


def test_a_suspended_machine_is_a_gap():
    def scenario(clocks, clock):
        clocks.pass_(3600, 0.5)
        assert clock.gap() == timedelta(seconds=3599)
        assert clock.gap() == timedelta(0), "a gap is told once"

    asleep(scenario)


def test_a_stopped_process_is_a_gap():
    def scenario(clocks, clock):
        clocks.pass_(60)
        assert clock.gap() == timedelta(seconds=59)

    asleep(scenario)


def test_slowness_and_a_clock_set_back_are_no_gaps():
    def scenario(clocks, clock):
        clocks.pass_(2)
        assert clock.gap() == timedelta(0)
        clocks.pass_(-3600, 1)
        assert clock.gap() == timedelta(0)

    asleep(scenario)


def test_silence_while_nobody_sleeps_says_nothing():
    clocks = Clocks()
    clock = clocks.made()
    clocks.pass_(600)
    assert clock.gap() == timedelta(0)


def test_a_moment_that_has_passed_is_not_waited_for():
    clock = SystemClock()
    asyncio.run(asyncio.wait_for(clock.sleep_until(clock.now() - timedelta(seconds=1)), 10))
