"""Random graphs in a random, faulty world: the invariants hold at every step, and every run ends and leaves nothing behind."""

from __future__ import annotations

import os

from core_plans import plans
from core_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core.actions import WakeAt
from flyte_jupyter.engine.core.step import fold, initial, step

EXAMPLES = int(os.environ.get("CORE_EXAMPLES", "60"))
calmly = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


@calmly
@given(plans(), st.integers(0, 2**32), st.integers(0, 3), st.booleans())
def test_a_run_survives_a_faulty_world(plan, seed, max_parallelism, overwrite):
    world = World(plan, seed, max_parallelism=max_parallelism, overwrite=overwrite)
    for _ in range(120):
        world.turn()
    world.settle()


@calmly
@given(plans(), st.integers(0, 2**32), st.integers(0, 3), st.integers(0, 100))
def test_an_abort_at_any_moment_leaves_nothing(plan, seed, max_parallelism, moment):
    world = World(plan, seed, max_parallelism=max_parallelism)
    for _ in range(moment):
        world.turn(abort=0.01)
    world.hear(o.AbortRequested("enough", "me"))
    assert world.state.summary.phase.final
    for _ in range(20):
        world.turn(abort=0.1)
    world.settle()


@calmly
@given(plans(), st.integers(0, 2**32), st.integers(0, 3))
def test_a_calm_world_needs_no_luck(plan, seed, max_parallelism):
    world = World(plan, seed, max_parallelism=max_parallelism)
    world.settle()


class Recorder(World):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.heard: list[tuple] = []

    def hear(self, seen):
        self.heard.append((seen, self.now))
        super().hear(seen)


@calmly
@given(plans(), st.integers(0, 2**32), st.integers(0, 3), st.integers(1, 10))
def test_a_fold_is_so_many_steps(plan, seed, max_parallelism, size):
    world = Recorder(plan, seed, max_parallelism=max_parallelism)
    for _ in range(120):
        world.turn()
    one = many = initial(plan, max_parallelism=max_parallelism)
    for at in range(0, len(world.heard), size):
        batch = [seen for seen, _ in world.heard[at : at + size]]
        now = world.heard[min(at + size, len(world.heard)) - 1][1]
        changed, actions = set(), []
        before = one
        for seen in batch:
            done = step(plan, one, seen, now)
            one = done.state
            changed |= done.changed
            actions += done.actions
        folded = fold(plan, many, batch, now)
        many = folded.state
        assert many == one
        assert many.index == one.index
        assert folded.changed <= changed
        assert folded.changed == {p for p in changed if before.nodes[p] != one.nodes[p]}
        kept = [x for x in folded.actions if not isinstance(x, WakeAt)]
        assert kept == [x for x in actions if not isinstance(x, WakeAt)]
