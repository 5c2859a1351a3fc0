from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_jupyter.kernel.notebook.closure import capture
from flyte_jupyter.kernel.notebook.history import History
from flyte_jupyter.kernel.notebook.module import write
from flyte_jupyter.kernel.notebook.statements import Cell, statements

CELLS = [
    "import math\nimport functools",
    "RATE = 2\nTABLE = {'a': 1}",
    "TABLE['b'] = 2",
    "class Shape:\n    side: int = 3",
    "def area(x):\n    return RATE * math.prod([x, Shape.side])",
    "def deco(f):\n    @functools.wraps(f)\n    def inner(*a):\n        return f(*a) + RATE\n    return inner",
    "@deco\ndef entity(x):\n    return area(x) + TABLE['b']",
]


def version(order, *, label="In", live=True):
    """The version after running cells in an order, in a fresh namespace, without IPython."""
    names: dict = {"__name__": "__main__"}
    executed = []
    for number, source in enumerate(order, 1):
        exec(compile(source, "<cell>", "exec"), names)
        lines = tuple(range(1, source.count("\n") + 2))
        executed += statements(
            Cell(number, f"{label}-{number}", f"{label} [{number}]", source, lines)
        )
    ordered = capture(History(executed), "entity", names if live else {}, lambda _: frozenset())
    return write("entity", ordered, {}).version


BEFORE = version(CELLS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(range(len(CELLS))), max_size=8))
def test_running_unchanged_cells_again_changes_nothing(again):
    # A cell that makes TABLE anew takes the entry away that another adds: those two go together.
    repeated = [part for i in again for part in ([1, 2] if i in (1, 2) else [i])]
    assert version([*CELLS, *(CELLS[i] for i in repeated)]) == BEFORE


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_independent_cells_does_not_count(rng: random.Random):
    order = list(range(len(CELLS)))
    rng.shuffle(order)
    position = {cell: place for place, cell in enumerate(order)}
    needs = {2: [1], 5: [0], 6: [5]}
    if any(position[b] > position[a] for a, before in needs.items() for b in before):
        return
    assert version([CELLS[i] for i in order]) == BEFORE


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(CELLS)),
            st.sampled_from(
                [
                    "x = 1",
                    "import json",
                    "def other():\n    return RATE",
                    "print('hello')",
                    "y = [i for i in range(3)]",
                ]
            ),
        ),
        max_size=5,
    )
)
def test_other_cells_do_not_count(others):
    order = list(CELLS)
    for place, source in others:
        if "RATE" not in source or place > 1:
            order.insert(place, source)
    assert version(order) == BEFORE


def test_cell_ids_and_labels_do_not_count():
    assert version(CELLS, label="Out") == BEFORE


@pytest.mark.parametrize("index", range(1, len(CELLS)))
def test_an_edit_of_what_is_used_counts(index):
    edited = list(CELLS)
    edited[index] = (
        edited[index]
        .replace("2", "7")
        .replace("3", "8")
        .replace("+ RATE", "- RATE")
        .replace("+ TABLE", "- TABLE")
    )
    if edited[index] != CELLS[index]:
        assert version(edited) != BEFORE


def test_an_edited_cell_run_again_counts_and_running_the_old_one_again_undoes_it():
    edited = CELLS[4].replace("RATE *", "RATE +")
    assert version([*CELLS, edited]) != BEFORE
    assert version([*CELLS, edited, CELLS[4]]) == BEFORE


def test_a_cell_that_ran_a_thousand_times_is_one_cell():
    assert version([*CELLS, *([CELLS[0], CELLS[4]] * 1000)]) == BEFORE
