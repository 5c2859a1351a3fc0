from __future__ import annotations

import re

import pytest
from IPython.core.completer import provisionalcompleter

TRAIN = """%%flyte_task {name} --inputs "xs: list[int], depth: int = 3" --outputs "total: int, label: str" {options}
import math
total = math.prod(xs) * depth
hidden = 5
label = f'''a
  b{{depth}}'''
"""


def cell(name="train", options=""):
    return TRAIN.format(name=name, options=options)


def test_the_body_runs_on_the_notebooks_variables_and_only_outputs_come_back(notebook):
    notebook("xs = [2, 3]", cell())
    names = notebook.names
    assert (names["total"], names["label"]) == (18, "a\n  b3")
    assert "hidden" not in names
    assert "math" not in names
    assert names["train"].name == "train"


def test_a_variable_of_an_optional_inputs_name_is_used(notebook):
    notebook("xs = [2, 3]\ndepth = 10", cell())
    assert notebook.names["total"] == 60


def test_it_only_defines_and_says_so_when_an_input_is_missing(notebook, capsys):
    notebook(cell())
    assert "defined, not run" in capsys.readouterr().out
    assert "total" not in notebook.names
    assert notebook.names["train"](xs=[4], depth=1) == (4, "a\n  b1")


def test_define_only_does_not_run(notebook, capsys):
    notebook("xs = [2, 3]", cell(options="--define-only"))
    assert "total" not in notebook.names
    assert "is defined" in capsys.readouterr().out


def test_options_reach_the_task(notebook):
    notebook(cell(options="--retries 2 --cache 1.0 --cpu 1 --mem 500Mi --timeout 5m --reuse"))
    task = notebook.names["train"]
    assert task.policy.retries == 2
    assert task.policy.cache.version == "1.0"
    assert task.policy.requests.mem == "500Mi"
    assert task.policy.timeout.total_seconds() == 300
    assert task.reuse
    source = notebook.captured("train").source
    assert "flyte_jupyter.Resources(cpu='1', mem='500Mi')" in source


def test_the_captured_task_is_the_one_that_ran(notebook):
    notebook("xs = [2, 3]", cell(options="--retries 2 --cpu 1"))
    assert notebook.elsewhere("train", "train(xs=[2, 3])") == "(18, 'a\\n  b3')"
    assert notebook.elsewhere("train", "train.policy.retries") == "2"


def test_a_task_from_a_cell_is_called_in_a_workflow(notebook):
    notebook(
        "from flyte_jupyter import workflow, task\n@task\ndef numbers(n: int) -> list[int]:\n    return list(range(1, n))",
        cell(options="--define-only"),
        "@workflow\ndef pipeline(n: int = 4) -> int:\n    total, label = train(xs=numbers(n=n), depth=2)\n    return total",
    )
    assert notebook.names["pipeline"](n=4) == 12
    assert notebook.elsewhere("pipeline", "pipeline(n=5)") == "48"


def test_what_a_pattern_captures_is_assigned(notebook):
    notebook('%%flyte_task f --outputs "y: int"\nmatch 3:\n    case y:\n        pass')
    assert notebook.names["y"] == 3


def test_a_single_output_is_no_tuple(notebook):
    notebook('%%flyte_task one --inputs "x: int = 2" --outputs "y: int"\ny = x + 1')
    assert notebook.names["y"] == 3
    assert notebook.names["one"](x=4) == 5


def test_a_task_without_inputs_and_outputs(notebook, capsys):
    notebook("%%flyte_task hello\nprint('hello')")
    assert "hello" in capsys.readouterr().out


@pytest.mark.parametrize("body", ["# why\n%time y = x + half", "%%time\ny = x + half"])
def test_a_timed_line_of_a_task_cell_is_the_tasks(notebook, body):
    notebook("half = 0.5", f'%%flyte_task f --inputs "x: float = 2" --outputs "y: float"\n{body}')
    assert notebook.elsewhere("f", "f()") == "2.5"
    captured = notebook.captured("f")
    at = captured.source.splitlines().index("    y = x + half") + 1
    (place,) = (c for c in captured.cells if c.first <= at <= c.last)
    assert (place.label, place.cell_line + at - place.first) == ("In [2]", 3)


def test_a_task_cell_that_needs_the_session_is_refused_with_its_cell(notebook):
    notebook('%%flyte_task f --outputs "y: list[str]"\ny = !echo a')
    with pytest.raises(Exception, match=r"used in cell In \[1\].*Write it in Python"):
        notebook.captured("f")


def test_helpers_and_constants_of_other_cells_travel(notebook):
    notebook(
        "K = 4\ndef scale(x):\n    return K * x",
        '%%flyte_task f --inputs "x: int = 2" --outputs "y: int"\ny = scale(x)',
    )
    assert notebook.elsewhere("f", "f()") == "8"


def test_outputs_in_the_notebook_are_data_not_code(notebook):
    notebook(
        '%%flyte_task f --inputs "x: int = 2" --outputs "y: int"\ny = x + 1',
        "def g():\n    return y",
    )
    with pytest.raises(Exception, match=r"running %%flyte_task in In \[1\].*input of the task"):
        notebook.captured("g")


def test_a_traceback_points_at_the_cells_own_line(notebook):
    notebook("zero = 0")
    source = '\n%%flyte_task f --inputs "zero: int" --outputs "y: float"\n\nx = 1\ny = x / zero\n'
    result = notebook.run(source, fails=True)
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    lines = []
    trace = result.error_in_exec.__traceback__
    while trace:
        lines.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
        trace = trace.tb_next
    assert lines[-1] == ("f", 5)
    assert not any("authoring" in str(frame) for frame, _ in lines)
    assert notebook.names["f"].name == "f"
    places = notebook.captured("f").cells
    body = next(c for c in places if c.cell_line == 4)
    assert body.last - body.first == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('%%flyte_task f --inputs "x"\npass', "x has no type"),
        ('%%flyte_task f --inputs "x: int,, y"\npass', "cannot be read"),
        ('%%flyte_task f --outputs "y: int"\npass', "never assigns its output y"),
        ('%%flyte_task f --outputs "y: int"\n%timeit -n1 -r1 y = 1', "its output y; what a magic"),
        ('%%flyte_task f --outputs "y: int"\ny = 1\nreturn y', "return has no place"),
        ('%%flyte_task f --inputs "df: nowhere.Frame"\npass', "'nowhere'"),
        ("%%flyte_task 1f\npass", "must be a Python name"),
        ("%%flyte_task class\npass", "must be a Python name"),
        ('%%flyte_task f --inputs "x: int = nowhere"\npass', "default names 'nowhere'"),
        ('%%flyte_task f --outputs "y: int, y: int"\ny = 1', "two outputs are called y"),
        ("%%flyte_task f --inputs 'x: int\npass", "No closing quotation"),
        ("%%flyte_task f --timeout soon\npass", "soon"),
        ("%%flyte_task f --colour red\npass", "--colour"),
    ],
)
def test_a_wrong_header_is_one_clear_line(notebook, source, words):
    result = notebook.run(source, fails=True)
    assert type(result.error_in_exec).__name__ == "UsageError"
    assert words in str(result.error_in_exec)


def test_the_wrong_type_names_task_parameter_and_types(notebook):
    notebook("xs = ['a']")
    result = notebook.run(cell(), fails=True)
    for word in ("train", "xs", "int", "str"):
        assert word in str(result.error_in_exec)


def test_a_helpful_word_for_wrong_commands(notebook):
    error = notebook.run("%flyte fly", fails=True).error_in_exec
    assert "try run, register" in str(error)
    error = notebook.run("%flyte run nothing", fails=True).error_in_exec
    assert "no task or workflow" in str(error)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run f --x", "--x has no value; write --x VALUE, of type int"),
        ("run f --x --flag", "--x has no value"),
        ("recent 0", "number from 1 to"),
        ("recent ²", "number from 1 to"),
        ("recent 10000000000000000", "number from 1 to"),
        ("recent 1 2", "number from 1 to"),
        ("abort one two", "name one execution, not 2"),
        ("status one two", "name one execution, not 2"),
        ("logs n0 one two", "name one execution, not 2"),
    ],
)
def test_a_line_with_a_word_too_few_or_too_many_does_nothing(notebook, line, said):
    notebook(
        "from flyte_jupyter import task\n@task\ndef f(x: int, flag: bool = False) -> int:\n    return x"
    )
    error = notebook.run(f"%flyte {line}", fails=True).error_in_exec
    assert type(error).__name__ == "UsageError"
    assert said in str(error)


def test_a_wrong_option_is_shown_where_its_author_wrote_it(notebook):
    error = notebook.run(
        "from flyte_jupyter import Resources\nResources(mem='500MB')", fails=True
    ).error_in_exec
    shown = "".join(error._render_traceback_())
    assert "is not a quantity" in shown
    assert "__init__" not in shown


def test_unknown_inputs_are_told_before_anything_runs(notebook):
    notebook("from flyte_jupyter import workflow, task\n@task\ndef f(x: int) -> int:\n    return x")
    error = notebook.run("%flyte run f --y 1", fails=True).error_in_exec
    assert "it takes --x" in str(error)


def test_preview_lists_what_would_travel(notebook, capsys):
    notebook(
        "from flyte_jupyter import task\n@task\ndef f(x: int) -> int:\n    return x",
        "%flyte preview f",
    )
    out = capsys.readouterr().out
    assert "notebook_cells.py" in out
    assert "bundle" not in out


def test_help_tells_the_options(notebook, capsys):
    notebook.shell.run_cell("%flyte_task?")
    notebook.shell.run_cell("%flyte?")
    out = capsys.readouterr().out
    assert "--define-only" in out
    assert "%flyte logs NODE" in out


def completions(notebook, text):
    completer = notebook.shell.Completer
    with provisionalcompleter():
        return [found.text for found in completer.completions(text, len(text))]


def test_completion(notebook):
    notebook(
        "from flyte_jupyter import workflow, task\n@task\ndef twice(xs: int) -> int:\n    return 2 * xs\n"
        "@workflow\ndef doubling(start: int) -> int:\n    return twice(xs=start)"
    )
    assert {"run", "register", "status", "logs", "abort", "recent"} <= set(
        completions(notebook, "%flyte ")
    )
    assert completions(notebook, "%flyte re") == ["recent", "register"]
    assert "doubling" in completions(notebook, "%flyte run doub")
    assert "--start" in completions(notebook, "%flyte run doubling --")
    assert "--define-only" in completions(notebook, "%%flyte_task x --de")


def test_loading_and_unloading_twice_changes_nothing(notebook):
    shell = notebook.shell
    session = shell.flyte_jupyter
    shell.run_line_magic("load_ext", "flyte_jupyter")
    shell.run_line_magic("reload_ext", "flyte_jupyter")
    assert shell.flyte_jupyter is not session
    shell.run_line_magic("unload_ext", "flyte_jupyter")
    assert not hasattr(shell, "flyte_jupyter")
    assert "flyte" not in shell.magics_manager.magics["line"]
    shell.run_line_magic("load_ext", "flyte_jupyter")
    notebook("N = 1")
    assert shell.flyte_jupyter.recorder.executed()[-1].binds == {"N"}


def test_an_error_of_the_body_is_shown_from_the_body_on(notebook, capsys):
    notebook("def half(v):\n    return v / 0", "x = 3")
    notebook.run('%%flyte_task t --inputs "x: int" --outputs "y: float"\n\ny = half(x)', fails=True)
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert "return v / 0" in shown
    assert "magics.py" not in shown
    assert "tasks.py" not in shown


def test_an_error_of_ours_is_shown_without_our_insides(notebook, capsys):
    notebook("x = 3")
    notebook.run('%%flyte_task t --inputs "x: str"\nprint(x)', fails=True)
    shown = capsys.readouterr().out
    assert "task t, parameter x: expected str, given int (3)" in shown
    assert "flyte_jupyter/kernel" not in shown


@pytest.mark.parametrize(
    ("body", "said"),
    [("a = 1\na = = 2", "line 3 of the cell: invalid syntax"), ("a = await f()", "line 2 of the")],
)
def test_a_body_that_is_no_python_is_one_line_with_its_place(notebook, body, said):
    result = notebook.run(f'%%flyte_task t --outputs "a: int"\n{body}', fails=True)
    assert said in str(result.error_in_exec)
    assert type(result.error_in_exec).__name__ == "UsageError"
