"""Kill the control plane twenty times at random moments of one run of 200 nodes, and count what its tasks did."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter

import flows
from processes import alive, eventually

import flyte_jupyter
from flyte_jupyter.supervisor import find, find_or_start, status

KILLS = 20


def test_twenty_kills_lose_nothing_and_repeat_nothing(data_home, tmp_path):
    """Every node's effect is there; an effect may be repeated at most once a kill, and never after its success was recorded."""
    moments = random.Random(20)
    trace = tmp_path / "trace"
    trace.touch()
    execution = flyte_jupyter.launch(flows.grid, file=str(trace))
    nodes = flows.WIDE * flows.DEEP
    kills = 0
    for k in range(KILLS):
        # Spread over the whole run: each kill waits for its own share of the work, and then for a random moment.
        share = nodes * k // (KILLS + 1)
        eventually(
            lambda share=share: len(trace.read_text().splitlines()) >= share,
            within=120,
            what=f"{share} effects",
        )
        threading.Event().wait(moments.uniform(0, 0.3))
        endpoint = find_or_start()
        pid = status(endpoint)["pid"]
        os.kill(pid, signal.SIGKILL)
        kills += 1
        eventually(lambda pid=pid: not alive(pid))
        assert find() is None
        find_or_start()
    execution.wait(timeout=240)
    assert execution.outputs["o0"] == nodes
    done = Counter(line.split()[0] for line in trace.read_text().splitlines())
    assert len(done) == nodes, "a node was lost"
    assert sum(done.values()) - nodes <= kills, "more than one repeated effect a kill"
