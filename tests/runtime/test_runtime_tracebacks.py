"""Tracebacks point at notebook cells and leave the runtime out."""

from __future__ import annotations

import pytest

from flyte_jupyter.kernel.runtime.bundle import Cell, Unpacked
from flyte_jupyter.kernel.runtime.tracebacks import readable, summary

SOURCE = """import json

def train(x):
    return scale(x)

def scale(x):
    try:
        return 1 / x
    except ZeroDivisionError as e:
        raise ValueError(f"cannot scale {x}") from e

def parse(text):
    return json.loads(text)
"""
CELLS = [Cell("steps.py", 3, 4, "c1", 1, "In [2]"), Cell("steps.py", 6, 10, "c2", 5, "In [4]")]


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "steps.py"
    path.write_text(SOURCE)
    names = {}
    exec(compile(SOURCE, str(path), "exec"), names)
    return Unpacked(tmp_path, CELLS), names


def caught(call, *args):
    try:
        call(*args)
    except Exception as e:
        return e
    raise AssertionError("it did not raise")


def test_frames_in_cells_name_the_cell_and_its_line(code):
    bundle, names = code
    text = readable(caught(names["train"], 0), bundle)
    assert text.splitlines()[0] == "ValueError: cannot scale 0"
    assert 'Cell "In [2]", line 2, in train\n    return scale(x)' in text
    assert 'Cell "In [4]", line 9, in scale\n    raise ValueError' in text


def test_causes_come_first(code):
    bundle, names = code
    text = readable(caught(names["train"], 0), bundle)
    first = text.index("ZeroDivisionError: division by zero")
    assert first < text.index("direct cause of the following") < text.index('Cell "In [2]"')
    assert 'Cell "In [4]", line 7, in scale' in text[:first]


def test_of_a_group_each_error_is_told_with_its_place(code):
    bundle, names = code
    inner = ExceptionGroup("two", [caught(names["parse"], ""), KeyError("k")])
    text = readable(ExceptionGroup("many", [caught(names["train"], 0), inner]), bundle)
    assert text.splitlines()[0] == "ExceptionGroup: many (2 sub-exceptions)"
    assert 'Cell "In [2]", line 2, in train' in text
    for each in ("ValueError: cannot scale 0", "JSONDecodeError: Expecting value", "KeyError: 'k'"):
        assert each in text


def test_lines_outside_of_cells_name_the_bundled_file(code):
    bundle, names = code
    text = readable(caught(names["parse"], "{"), bundle)
    assert 'File "steps.py", line 13, in parse' in text
    assert text.startswith("JSONDecodeError: Expecting")


def test_a_syntax_error_names_its_cell(tmp_path):
    (tmp_path / "steps.py").write_text("\n\nx = = 1\n")
    bundle = Unpacked(tmp_path, [Cell("steps.py", 3, 3, "c1", 1, "In [1]")])
    error = caught(compile, "\n\nx = = 1\n", str(tmp_path / "steps.py"), "exec")
    text = readable(error, bundle)
    assert text.splitlines()[0] == "SyntaxError: invalid syntax"
    assert 'Cell "In [1]", line 1' in text


def test_an_endless_recursion_is_shortened(code):
    bundle, _ = code

    def down(n):
        return down(n + 1)

    assert len(readable(caught(down, 0), bundle).splitlines()) < 200


def test_a_circle_of_causes_ends(code):
    bundle, _ = code
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert readable(one, bundle).count("ValueError: one") == 2


def test_a_long_chain_of_causes_ends(code):
    error = ValueError("0")
    for n in range(1, 50):
        following = ValueError(str(n))
        following.__cause__ = error
        error = following
    assert readable(error).startswith("ValueError: 49")


def test_an_error_that_cannot_be_shown_is_shown_all_the_same():
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    assert "Silent" in summary(Silent())
