"""A step looks at what it changes, not at the graph: counted, not timed."""

from __future__ import annotations

import pytest
from core_plans import at, chain, fan, graph

from flyte_jupyter.engine.core import observations as o
from flyte_jupyter.engine.core.persistent import PersistentMap
from flyte_jupyter.engine.core.plan import START, ArrayPlan, NodeKind, NodePlan, Plan
from flyte_jupyter.engine.core.state import Nested
from flyte_jupyter.engine.core.step import fold, initial, step


class Counted(PersistentMap):
    """Counts looks at a run's nodes, and refuses to be walked through."""

    __slots__ = ("looks",)

    def __getitem__(self, key):
        self.looks += 1
        return super().__getitem__(key)

    def get(self, key, default=None):
        self.looks += 1
        return super().get(key, default)

    def __iter__(self):
        raise AssertionError("a step walked through all nodes")


def counted(state):
    nodes = Counted(dict(state.nodes))
    nodes.looks = 0
    return type(state)(state.summary, nodes, state.index), nodes


NEWS = [
    o.InputsReady(("n0",), "d"),
    o.AttemptAccepted(("n0",), 0),
    o.AttemptStarted(("n0",), 0),
    o.Tick(),
    o.Live(frozenset({(("n0",), 0)}), at(5)),
    o.AttemptEnded(("n0",), 0, o.Exit(0)),
    o.AttemptSucceeded(("n0",), 0, "out"),
]


@pytest.mark.parametrize("shape", [chain, fan])
@pytest.mark.parametrize("parallelism", [0, 5])
def test_a_step_costs_the_same_in_a_small_and_in_a_large_graph(shape, parallelism):
    costs = []
    for size in (20, 5000):
        plan = shape(size)
        state = initial(plan, max_parallelism=parallelism, most_opening=parallelism)
        state = step(plan, state, o.Started(), at(0)).state
        cost = []
        for seen in NEWS:
            watched, nodes = counted(state)
            done = step(plan, watched, seen, at(1))
            cost.append((nodes.looks, len(done.changed)))
            state = step(plan, state, seen, at(1)).state
        costs.append(cost)
    assert costs[0] == costs[1]
    assert max(looks for looks, _ in costs[1]) < 30


def test_a_step_shares_nearly_everything_with_the_state_before():
    plan = fan(5000)
    before = step(plan, initial(plan), o.Started(), at(0)).state
    after = step(plan, before, NEWS[0], at(1)).state
    pairs = zip(before.nodes._shelves, after.nodes._shelves, strict=True)
    assert sum(b is not a for b, a in pairs) == 1


def test_a_fold_of_a_whole_layer_changes_each_node_once():
    plan = fan(500)
    state = step(plan, initial(plan, most_opening=0), o.Started(), at(0)).state
    done = fold(plan, state, [o.InputsReady((f"n{i}",), "d") for i in range(500)], at(1))
    assert len(done.changed) == 500
    assert len(done.actions) == 500


def within(plan: Plan) -> Plan:
    """A sub-workflow of this graph, and its node's path."""
    return graph(NodePlan("w", NodeKind.WORKFLOW, (START,), body=plan))


@pytest.mark.parametrize("parallelism", [0, 5])
def test_entering_a_graph_costs_those_that_begin(parallelism):
    plan = within(chain(5000))
    state = step(plan, initial(plan, max_parallelism=parallelism), o.Started(), at(0)).state
    watched, nodes = counted(state)
    done = step(plan, watched, o.InputsReady(("w",), "d"), at(1))
    assert len(done.changed) == 4
    assert nodes.looks < 40
    assert isinstance(done.state.nodes["w",], Nested)


def test_a_step_inside_a_graph_costs_the_same_however_large_it_is():
    costs = []
    for size in (20, 5000):
        plan = within(chain(size))
        state = step(plan, initial(plan), o.Started(), at(0)).state
        state = step(plan, state, o.InputsReady(("w",), "d"), at(0)).state
        cost = []
        path = ("w", 0, "n0")
        for seen in (
            o.InputsReady(path, "d"),
            o.AttemptStarted(path, 0),
            o.AttemptSucceeded(path, 0, "o"),
        ):
            watched, nodes = counted(state)
            done = step(plan, watched, seen, at(1))
            cost.append((nodes.looks, len(done.changed)))
            state = step(plan, state, seen, at(1)).state
        costs.append(cost)
    assert costs[0] == costs[1]
    assert max(looks for looks, _ in costs[1]) < 50


def test_an_item_costs_the_same_however_many_there_are():
    costs = []
    for size in (20, 100_000):
        array = NodePlan(
            "m", NodeKind.ARRAY, (START,), item=NodePlan("m", NodeKind.TASK), array=ArrayPlan()
        )
        plan = graph(array)
        state = step(plan, initial(plan, max_parallelism=5), o.Started(), at(0)).state
        cost = []
        path = ("m", 3)
        for seen in (
            o.ItemsReady(("m",), "d", size),
            o.InputsReady(path, "d"),
            o.AttemptStarted(path, 0),
            o.AttemptSucceeded(path, 0, ""),
        ):
            watched, nodes = counted(state)
            done = step(plan, watched, seen, at(1))
            cost.append((nodes.looks, len(done.changed)))
            state = step(plan, state, seen, at(1)).state
        costs.append(cost)
    assert costs[0] == costs[1]
    assert max(looks for looks, _ in costs[1]) < 50
