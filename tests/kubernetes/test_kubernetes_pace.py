"""The pace of writes, by a clock of the event loop that jumps from timer to timer."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from virtual_time import virtually

from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff, Gate
from flyte_jupyter.engine.adapters.kubernetes.settings import PaceSettings

SETTINGS = PaceSettings(qps=10, burst=5, first_wait=1, longest_wait=8)


async def times(gate, number):
    loop, at = asyncio.get_running_loop(), []

    async def enter(i):
        await gate.enter()
        at.append((i, round(loop.time(), 3)))

    await asyncio.gather(*(enter(i) for i in range(number)))
    assert [i for i, _ in at] == list(range(number)), "in the order of asking"
    return [when for _, when in at]


def test_a_burst_goes_at_once_and_the_rest_evenly():
    async def main():
        at = await times(Gate(SETTINGS, random.Random(1)), 15)
        assert at[:5] == [0.0] * 5
        assert at[5:] == pytest.approx([0.1 * n for n in range(1, 11)], abs=0.002)

    virtually(main)


def test_nobody_goes_before_the_server_said_and_then_not_all_at_once():
    async def main():
        gate = Gate(SETTINGS, random.Random(1))
        gate.hold(30.0)
        at = await times(gate, 10)
        assert 30.0 <= at[0] <= 32.0
        gaps = [later - sooner for sooner, later in itertools.pairwise(at)]
        assert min(gaps) >= 0.099

    virtually(main)


def test_a_hold_reaches_those_who_wait_already_and_many_failures_at_once_count_once():
    async def main():
        gate = Gate(SETTINGS, random.Random(1))
        await times(gate, 5)
        waiting = asyncio.create_task(times(gate, 2))
        await asyncio.sleep(0)
        for _ in range(20):
            gate.hold(None)
        first, _ = await waiting
        assert 0.5 <= first <= 1.1, "one failure's pause, not twenty's"

    virtually(main)


def test_pauses_double_up_to_the_longest_and_begin_again_after_a_success():
    backoff = Backoff(SETTINGS, random.Random(1))
    for longest in (1, 2, 4, 8, 8, 8):
        assert longest / 2 <= backoff.next() <= longest
    assert 20 <= backoff.next(20.0) <= 21
    backoff.reset()
    assert backoff.next() <= 1
