from __future__ import annotations

import pytest

from flyte_jupyter.kernel.notebook.problems import CaptureError, NotebookError

# name, cells, entity, expression, what it prints in a fresh Python
RUNS_ELSEWHERE = [
    ("a helper of another cell", ["def twice(x):\n    return 2 * x", "def f(x):\n    return twice(x) + 1"], "f", "f(20)", "41"),
    ("a dataclass whose method uses a later cell", ["from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    def area(self):\n        return square(self.x)", "def square(x):\n    return x * x"], "P", "P(5).area()", "25"),
    ("constants", ["RATE = 0.5\nNAMES = ['a', 'b']", "def f():\n    return RATE, NAMES"], "f", "f()", "(0.5, ['a', 'b'])"),
    ("an imported library", ["import numpy as np", "def f():\n    return int(np.arange(4).sum())"], "f", "f()", "6"),
    ("a decorator with arguments", ["import functools\ndef times(n):\n    def deco(g):\n        @functools.wraps(g)\n        def inner(*a):\n            return n * g(*a)\n        return inner\n    return deco", "@times(3)\ndef f(x):\n    return x"], "f", "f(5)", "15"),
    ("the latest definition of a helper", ["def h():\n    return 1", "def f():\n    return h()", "def h():\n    return 2"], "f", "f()", "2"),
    ("a default taken when it was defined", ["N = 1\ndef f(n=N):\n    return n", "N = 2"], "f", "f()", "1"),
    ("the earlier and the later value of a name", ["N = 1\nA = N + 1", "N = 10", "def f():\n    return A, N"], "f", "f()", "(2, 10)"),
    ("mutual recursion", ["def even(n):\n    return n == 0 or odd(n - 1)", "def odd(n):\n    return n != 0 and even(n - 1)"], "even", "even(10)", "True"),
    ("inheritance and super", ["class A:\n    def v(self):\n        return 1", "class B(A):\n    def v(self):\n        return super().v() + 1"], "B", "B().v()", "2"),
    ("a closure from a factory", ["def adder(n):\n    return lambda x: x + n", "add2 = adder(2)", "def f(x):\n    return add2(x)"], "f", "f(1)", "3"),
    ("a namedtuple", ["from collections import namedtuple\nP = namedtuple('P', 'x y')", "def f():\n    return P(1, 2).y"], "f", "f()", "2"),
    ("an enum", ["import enum\nclass C(enum.Enum):\n    RED = 1", "def f():\n    return C.RED.value"], "f", "f()", "1"),
    ("a compiled pattern", ["import re\nWORD = re.compile(r'[a-z]+')", "def f():\n    return WORD.findall('ab 1 c')"], "f", "f()", "['ab', 'c']"),
    ("a future import of an earlier cell", ["from __future__ import annotations", "def f(x: Undefined = 1):\n    return f.__annotations__['x']"], "f", "f()", "Undefined"),
    ("a quoted annotation", ["class Model:\n    pass", "def f(m: 'list[Model]'):\n    import typing\n    return typing.get_type_hints(f)['m']"], "f", "f(1)", "list[notebook_cells.Model]"),
    ("a star import", ["from math import *", "def f():\n    return floor(pi)"], "f", "f()", "3"),
    ("an import with a fallback", ["try:\n    import nothing_of_that_name as js\nexcept ImportError:\n    import json as js", "def f():\n    return js.dumps([1])"], "f", "f()", "[1]"),
    ("a cell under %%time", ["%%time\ndef h():\n    return 7", "def f():\n    return h()"], "f", "f()", "7"),
    ("a line under %time", ["%time N = 7", "def f():\n    return N"], "f", "f()", "7"),
    ("a line under %time in an if", ["if True:\n    %time N = 'ü'\n    M = 8", "def f():\n    return N, M"], "f", "f()", "('ü', 8)"),
    ("a bare %time in an if", ["if True:\n    %time\nM = 8", "def f():\n    return M"], "f", "f()", "8"),
    ("a line beside one under a magic with options", ["%prun -q M = 8\nN = 7", "def f():\n    return N"], "f", "f()", "7"),
    ("a shell line in the same cell", ["!true\ndef h():\n    return 8", "def f():\n    return h()"], "f", "f()", "8"),
    ("a changed dictionary", ["CONF = {'a': 1}", "CONF['b'] = 2\nCONF.update(c=3)", "def f():\n    return CONF"], "f", "f()", "{'a': 1, 'b': 2, 'c': 3}"),
    ("a list that grows in a loop", ["L = []\nfor i in range(3):\n    L.append(i)", "def f():\n    return L"], "f", "f()", "[0, 1, 2]"),
    ("an augmented number", ["N = 1", "N += 4", "def f():\n    return N"], "f", "f()", "5"),
    ("an instance of a class of the notebook", ["from dataclasses import dataclass\n@dataclass\nclass Conf:\n    n: int = 3", "CONF = Conf(n=4)", "def f():\n    return CONF.n"], "f", "f()", "4"),
    ("a timedelta", ["from datetime import timedelta\nWAIT = timedelta(minutes=2)", "def f():\n    return WAIT.seconds"], "f", "f()", "120"),
    ("two statements in one line", ["A = 1; B = 2  # both", "def f():\n    return B"], "f", "f(), hasattr(m, 'A')", "(2, False)"),
    ("a lambda", ["inc = lambda x: x + 1", "def f():\n    return inc(1)"], "f", "f()", "2"),
    ("a helper called while the module is imported", ["def unit():\n    return 3\ndef make(g):\n    k = unit()\n    def inner():\n        return k * g()\n    return inner", "@make\ndef f():\n    return 5"], "f", "f()", "15"),
    ("a name in a comprehension and in an f-string", ["K = 2", "def f():\n    return [f'{x * K}' for x in range(2)]"], "f", "f()", "['0', '2']"),
    ("a global that a local hides", ["x = object()", "def f():\n    x = 3\n    return x"], "f", "f(), hasattr(m, 'x')", "(3, False)"),
    ("a registered overload", ["from functools import singledispatch\n@singledispatch\ndef f(x):\n    return 'any'", "@f.register\ndef _(x: int):\n    return 'int'"], "f", "f(1), f('')", "('int', 'any')"),
    ("a string of several lines", ["TEXT = '''a\n  b\n'''", "def f():\n    return TEXT"], "f", "repr(f())", "'a\\n  b\\n'"),
    ("a name bound in an if", ["import sys\nif sys.version_info > (3,):\n    MODE = 'new'\nelse:\n    MODE = 'old'", "def f():\n    return MODE"], "f", "f()", "new"),
    ("an imported submodule", ["import os.path", "def f():\n    return os.path.basename('a/b')"], "f", "f()", "b"),
    ("a type alias", ["from typing import Optional\nMaybe = Optional[int]", "def f(x: Maybe = None) -> Maybe:\n    return x"], "f", "f(2)", "2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "entity", "expression", "expected"),
    [case[1:] for case in RUNS_ELSEWHERE],
    ids=[case[0] for case in RUNS_ELSEWHERE],
)
def test_captured_code_runs_in_a_fresh_python(notebook, cells, entity, expression, expected):
    notebook(*cells)
    assert notebook.elsewhere(entity, expression) == expected


# name, cells, entity, words of the message
REFUSED = [
    ("a value from the shell", ["files = !echo a", "def f():\n    return files"], ["`files`", "In [1]", "the shell", "input of the task"]),
    ("a top-level await", ["import asyncio\nasync def g():\n    return 1", "V = await g()", "def f():\n    return V"], ["`V`", "In [2]", "top-level await"]),
    ("a deleted name", ["K = 1", "def f():\n    return K", "del K"], ["`K`", "deleted in cell In [3]"]),
    ("a name made by exec", ["exec('K = 1')", "def f():\n    return K"], ["`K`", "exec", "Write its definition"]),
    ("a data frame", ["import pandas as pd\ndf = pd.DataFrame({'a': [1]})", "def f():\n    return len(df)"], ["`df`", "In [1], line 2", "pandas.DataFrame", "Make it an input of the task"]),
    ("an array", ["import numpy as np\nW = np.arange(4)", "def f():\n    return W"], ["`W`", "numpy.ndarray"]),
    ("a number computed from data", ["import pandas as pd\ndf = pd.DataFrame({'a': [1]})", "n = len(df)", "def f():\n    return n"], ["`df`", "pandas.DataFrame"]),
    ("a computed number", ["import time\nT = time.monotonic()", "def f():\n    return T"], ["`T`", "computes it with a call", "write the value down"]),
    ("a loop that defines", ["for i in range(3):\n    LAST = i", "def f():\n    return LAST"], ["`LAST`", "a loop"]),
    ("a list changed by a function", ["L = [1]\ndef grow():\n    L.append(2)", "grow()", "def f():\n    return L"], ["`L`", "changed it afterwards"]),
    ("a global set by a function", ["N = 1\ndef bump():\n    global N\n    N = 2", "bump()", "def f():\n    return N"], ["`N`", "changed it afterwards"]),
    ("an undefined name", ["def f():\n    return nowhere"], ["`nowhere`", "nothing defines it"]),
    ("IPython's own names", ["def f():\n    return get_ipython()"], ["`get_ipython`", "session"]),
    ("a name from a magic with options", ["%prun -q N = 7", "def f():\n    return N"], ["`N`", "In [2]", "magics", "Write its definition"]),
    ("a line for the shell", ["def f():\n    !ls\n    return 1"], ["magic", "subprocess.run"]),
    ("an open file", ["handle = open('x', 'w')\nhandle.close()", "def f():\n    return handle"], ["`handle`", "TextIOWrapper"]),
    ("input", ["import builtins\nbuiltins.input = lambda *a: 'x'\nname = input('?')", "def f():\n    return name"], ["`name`", "input()"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_cannot_travel_is_refused_with_the_cell_and_the_remedy(
    notebook, monkeypatch, cells, words
):
    monkeypatch.setattr("builtins.input", input)
    notebook(*cells)
    with pytest.raises(CaptureError) as caught:
        notebook.captured("f")
    for word in words:
        assert word in str(caught.value)


def test_all_problems_are_told_at_once(notebook):
    notebook("files = !ls\nimport time\nT = time.time()", "def f():\n    return files, T, gone")
    with pytest.raises(CaptureError) as caught:
        notebook.captured("f")
    assert [problem.name for problem in caught.value.problems] == ["T", "files", "gone"]


def test_a_cell_that_raised_gives_what_it_finished(notebook):
    notebook("N = 1\ndef h():\n    return 1")
    notebook.run("N = 2\nraise ValueError\ndef h():\n    return 2", fails=True)
    notebook("def f():\n    return N, h()")
    assert notebook.elsewhere("f", "f()") == "(2, 1)"


def test_a_cell_with_a_syntax_error_gives_nothing(notebook):
    notebook("N = 1")
    notebook.run("N = 2\nthis is no python", fails=True)
    notebook("def f():\n    return N")
    assert notebook.elsewhere("f", "f()") == "1"


def test_the_cell_that_is_running_counts_up_to_its_line(notebook):
    notebook(
        "N = 1\ndef f():\n    return N\nsource = get_ipython().flyte_jupyter.capture('f').source\nN = 2"
    )
    assert "N = 1" in notebook.names["source"]
    assert "N = 2" not in notebook.names["source"]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_cells_from_before_the_extension_was_loaded_count(notebook, end):
    notebook.shell.run_line_magic("unload_ext", "flyte_jupyter")
    notebook("N = 4")
    notebook(f"import math\n%load_ext flyte_jupyter\nM = 5{end}")
    notebook("def f():\n    return N, M, math.floor(1.5)")
    assert notebook.elsewhere("f", "f()") == "(4, 5, 1)"


def test_only_what_is_needed_travels(notebook):
    notebook("secret = 'x'\nimport pandas as pd", "df = pd.DataFrame()", "def f():\n    return 1")
    assert notebook.captured("f").source == "def f():\n    return 1\n"


def test_comments_and_decorators_stay(notebook):
    notebook("import functools\n@functools.cache  # once\ndef f():\n    # why\n    return 1")
    assert notebook.captured("f").source == (
        "import functools\n\n\n@functools.cache  # once\ndef f():\n    # why\n    return 1\n"
    )


def test_lines_are_mapped_to_the_cell(notebook):
    notebook.run("\n\nimport math\n\n\ndef h():\n    return math.pi", cell_id="abc")
    notebook.run("%%time\n\ndef f():\n    return h()", cell_id="def")
    captured = notebook.captured("f")
    lines = captured.source.splitlines()
    places = {
        lines[number - 1]: (c.cell_id, c.cell_line + number - c.first, c.label)
        for c in captured.cells
        for number in range(c.first, c.last + 1)
    }
    assert places["import math"] == ("abc", 3, "In [1]")
    assert places["    return math.pi"] == ("abc", 7, "In [1]")
    assert places["    return h()"] == ("def", 4, "In [2]")


def test_modules_beside_the_notebook_come_along_and_installed_ones_do_not(notebook):
    (notebook.folder / "shapes").mkdir()
    (notebook.folder / "shapes" / "__init__.py").write_text("from shapes.area import area\n")
    (notebook.folder / "shapes" / "area.py").write_text(
        "import units\ndef area(x):\n    return units.K * x\n"
    )
    (notebook.folder / "units.py").write_text("K = 3\n")
    (notebook.folder / "unused.py").write_text("")
    notebook(
        "import numpy as np\ndef f(x):\n    from shapes import area\n    return np.float64(area(x))"
    )
    captured = notebook.captured("f")
    assert set(captured.files) == {
        "notebook_cells.py", "shapes/__init__.py", "shapes/area.py", "units.py",
    }  # fmt: skip
    assert notebook.elsewhere("f", "float(f(2))") == "6.0"
    assert "units.py" in captured.preview()


def test_an_object_that_was_defined_again_is_told_apart(notebook):
    notebook("def f():\n    return 1", "old = [f]", "def f():\n    return 2")
    with pytest.raises(NotebookError, match="defined anew"):
        notebook.shell.flyte_jupyter.capture(notebook.names["old"][0])


TASK = "from flyte_jupyter import task, workflow\n@task\ndef f(x: int) -> int:\n    return x + {0}"


def test_a_task_whose_cell_ran_again_unchanged_is_the_same_one(notebook):
    notebook(TASK.format(1), "old = [f]")
    version = notebook.shell.flyte_jupyter.bundle_of(notebook.names["f"]).version
    notebook(TASK.format(1))
    assert notebook.shell.flyte_jupyter.bundle_of(notebook.names["old"][0]).version == version
    notebook(TASK.format(2))
    with pytest.raises(NotebookError, match="run the cells again"):
        notebook.shell.flyte_jupyter.bundle_of(notebook.names["old"][0])


def test_a_task_under_another_name_is_told(notebook):
    notebook(TASK.format(1), "g = f\ndel f")
    with pytest.raises(NotebookError, match="is called g"):
        notebook.shell.flyte_jupyter.bundle_of(notebook.names["g"])


def test_the_bundle_says_which_cell_defines_what(notebook):
    notebook.run(TASK.format(1), cell_id="one")
    bundle = notebook.shell.flyte_jupyter.bundle_of(notebook.names["f"])
    assert bundle.cells == {"f": "one"}
    assert bundle.entry_module == "notebook_cells"


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/a/Quick start-2.ipynb", "quick_start_2"),
        ("7 steps.ipynb", "_7_steps"),
        ("", "notebook"),
        ("/a/Модель 2.ipynb", "модель_2"),
        ("/a/数据.ipynb", "数据"),
        ("/a/Cafe\u0301.ipynb", "café"),
        ("/a/---.ipynb", "notebook"),
    ],
)
def test_registered_names_begin_with_the_notebooks_own(notebook, monkeypatch, path, slug):
    monkeypatch.setenv("JPY_SESSION_NAME", path)
    notebook(TASK.format(1))
    assert notebook.shell.flyte_jupyter.bundle_of(notebook.names["f"]).namespace == slug
