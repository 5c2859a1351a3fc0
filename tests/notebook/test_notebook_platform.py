"""Cells, magics and outputs against a real control plane; the quickstart from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell
from processes import eventually, stop_control_plane

from flyte_jupyter.kernel.launching import SharedCache
from flyte_jupyter.kernel.notebook.snapshot import MIME

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "examples" / "notebooks" / "quickstart.ipynb"

WORKFLOW = """from flyte_jupyter import task, workflow
K = 3

@task(retries=1)
def times(x: int) -> int:
    print(f"{x} times {K}")
    if x < 0:
        raise ValueError(f"{x} is negative")
    return K * x

@workflow
def wf(x: int = 2) -> int:
    return times(x=times(x=x))
"""


@pytest.fixture(scope="module", autouse=True)
def control_plane(tmp_path_factory):
    """One control plane for the module; the first launch starts it."""
    data = tmp_path_factory.mktemp("home") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_JUPYTER_DATA_DIR", str(data))
        patch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
        yield data
        stop_control_plane(data)


def test_a_workflow_of_cells_is_run_looked_at_and_found_again(notebook, capsys):
    notebook(WORKFLOW, "run = %flyte run wf --x 4 --wait")
    run = notebook.names["run"]
    assert run.phase == "SUCCEEDED"
    assert run.outputs.o0 == 36
    capsys.readouterr()
    notebook("%flyte status", "%flyte logs n0", "%flyte recent 1", "%flyte logs times")
    out = capsys.readouterr().out
    assert "n1" in out
    assert "4 times 3" in out
    assert "12 times 3" in out
    assert run.name in out
    notebook(f"%flyte status {run.name}")
    assert "SUCCEEDED" in capsys.readouterr().out


def test_a_task_launched_by_itself_is_shown_like_a_workflow(notebook, capsys):
    notebook(WORKFLOW, "run = %flyte run times --x 4 --wait", "run")
    shown = capsys.readouterr().out
    assert "register it first" not in shown
    notebook("%flyte status")
    assert "SUCCEEDED" in capsys.readouterr().out


def test_of_a_long_log_a_cell_shows_the_end_and_says_where_the_rest_is(notebook, capsys):
    notebook(
        "from flyte_jupyter import task\n@task\ndef chatty(n: int) -> int:\n"
        "    for i in range(n):\n        print(f'line {i}')\n    return n",
        "run = %flyte run chatty --n 30000 --wait",
    )
    run = notebook.names["run"]
    capsys.readouterr()
    notebook("%flyte logs chatty")
    out = capsys.readouterr().out
    (node,) = (each for each in run.nodes if each.attempts)
    assert len(out) < 101_000 < len(node.logs())
    assert out.rstrip().endswith("line 29999")
    assert f"{node.id}" in out.splitlines()[0]


def test_the_latest_execution_is_the_one_that_was_launched_last_however(
    notebook, capsys, monkeypatch
):
    monkeypatch.setattr(InteractiveShell, "_instance", notebook.shell)
    notebook(WORKFLOW, "from flyte_jupyter import launch", "%flyte run wf --x 1 --wait")
    notebook("run = launch(wf, x=5).wait()")
    capsys.readouterr()
    notebook("%flyte status")
    assert notebook.names["run"].name in capsys.readouterr().out
    notebook("again = run.relaunch().wait()", "%flyte status")
    assert notebook.names["again"].name in capsys.readouterr().out


def test_registering_again_is_a_no_op_and_an_edit_a_new_version(notebook, capsys):
    notebook(WORKFLOW, "%flyte register wf")
    first = capsys.readouterr().out.split()
    notebook(WORKFLOW, "%flyte register")
    again = capsys.readouterr().out
    assert "unchanged" in again
    assert first[2] in again
    notebook(WORKFLOW.replace("K = 3", "K = 4"), "%flyte register wf")
    edited = capsys.readouterr().out
    assert "unchanged" not in edited
    assert first[2] not in edited


CACHED = """from flyte_jupyter import task

@task(cache={cache!r})
def kept(x: int) -> int:
    return x + {more}
"""


def test_notebooks_of_one_name_are_warned_that_they_share_a_cache(notebook, monkeypatch):
    """What another notebook remembered under the version that one's author chose is taken for one's own."""

    def given(folder, cache, more):
        monkeypatch.setenv("JPY_SESSION_NAME", f"/{folder}/same name.ipynb")
        notebook(CACHED.format(cache=cache, more=more), "run = %flyte run kept --x 1 --wait")
        return notebook.names["run"].outputs.o0

    assert given("here", "1.0", 10) == 11
    assert given("here", "1.0", 20) == 11  # the same notebook: its author says that it is as good
    with pytest.warns(SharedCache, match=r"same_name\.kept.*'1\.0'.*cache=True"):
        given("there", "1.0", 30)
    assert given("there", "1.1", 40) == 41
    assert given("here", True, 50) == 51
    assert given("there", True, 60) == 61


def test_a_task_that_raises_points_at_its_cell_and_line(notebook, capsys):
    notebook.run(WORKFLOW, cell_id="abc")
    notebook("run = %flyte run wf --x -1 --wait")
    run = notebook.names["run"]
    assert run.phase == "FAILED"
    first = run.node("n0")
    assert first.error.startswith("ValueError: -1 is negative")
    assert "In [1]" in first.error
    assert "line 8" in first.error
    assert "notebook_cells.py" not in first.error
    notebook("run")
    out = capsys.readouterr().out
    assert "FAILED" in out
    assert "NOT STARTED" in out


def test_a_flyte_task_cell_is_launched_like_any_other(notebook):
    notebook(
        "numbers = [1, 2]",
        '%%flyte_task total --inputs "numbers: list[int]" --outputs "sum_of: int"\n\nsum_of = sum(numbers)\nsum_of = sum_of / (sum_of - 10)\nsum_of = 1',
        "run = %flyte run total --numbers numbers --wait",
        "bad = %flyte run total --numbers [4,6] --wait",
    )
    assert notebook.names["run"].outputs["sum_of"] == 1
    (node,) = notebook.names["bad"].nodes
    assert "ZeroDivisionError" in node.error
    assert "line 4" in node.error


def test_an_execution_is_aborted_from_the_notebook(notebook, capsys):
    notebook(
        "import threading\nfrom flyte_jupyter import task, workflow\n@task\ndef forever(x: int) -> int:\n    threading.Event().wait()\n    return x\n"
        "@workflow\ndef wf(x: int = 1) -> int:\n    return forever(x=x)",
        "run = %flyte run wf",
    )
    run = notebook.names["run"]
    eventually(lambda: run.nodes and run.nodes[0].phase == "RUNNING", what="the node to run")
    notebook("%flyte abort")
    assert "is being aborted" in capsys.readouterr().out
    assert run.wait(60).phase == "ABORTED"


def test_what_cannot_travel_is_said_before_anything_is_launched(notebook):
    notebook(
        "import pandas as pd\nfrom flyte_jupyter import task\ndf = pd.DataFrame({'a': [1]})\n"
        "@task\ndef f(x: int) -> int:\n    return len(df) + x"
    )
    error = notebook.run("%flyte run f --x 1", fails=True).error_in_exec
    assert "`df`" in str(error)
    assert "Make it an input of the task" in str(error)


def executed(cells, tmp_path):
    """The notebook of these cells after a real kernel ran it."""
    document = nbformat.v4.new_notebook()
    document.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    document.metadata.kernelspec = {"name": "here", "display_name": "here", "language": "python"}
    nbformat.write(document, tmp_path / "in.ipynb")
    spec = tmp_path / "jupyter" / "kernels" / "here"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "here", "language": "python"})
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        papermill.execute_notebook(
            str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb"), cwd=str(tmp_path), progress_bar=False,
        )  # fmt: skip
    return nbformat.read(tmp_path / "out.ipynb", as_version=4)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::nbformat.warnings.MissingIDFieldWarning"
)
def test_the_stored_output_is_final_once_the_end_was_awaited(tmp_path):
    document = executed(
        [
            "%load_ext flyte_jupyter",
            WORKFLOW,
            "import flyte_jupyter\nrun = flyte_jupyter.launch(wf, x=1)\nrun",
            "_ = run.wait()",
        ],
        tmp_path,
    )
    (output,) = document.cells[2].outputs
    assert output.output_type == "display_data"
    shown = output.data[MIME]
    assert shown["snapshot"]["phase"] == "SUCCEEDED"
    assert [n["phase"] for n in shown["snapshot"]["nodes"]] == ["SUCCEEDED", "SUCCEEDED"]
    assert shown["snapshot"]["nodes"][1]["upstream"] == ["n0"]
    assert output.data["image/svg+xml"].startswith("<svg")
    assert "SUCCEEDED" in output.data["text/plain"]


def test_the_quickstart_runs_and_its_results_are_told(control_plane):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py"), str(QUICKSTART)],
        env={**os.environ, "FLYTE_JUPYTER_DATA_DIR": str(control_plane)},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quickstart.best_model" in done.stdout
    for name in (
        "load",
        "check",
        "split",
        "train_logistic",
        "train_forest",
        "train_boosting",
        "evaluate",
        "choose",
    ):
        assert name in done.stdout
    assert "score = 0.9" in done.stdout
    assert "make lab" in done.stdout


def test_the_quickstart_is_committed_without_outputs_and_with_ids_that_stay():
    document = json.loads(QUICKSTART.read_text())
    assert all(
        not cell.get("outputs") and cell.get("execution_count") is None
        for cell in document["cells"]
    )
    assert document["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in document["cells"]]
    assert len(set(ids)) == len(ids)
    assert "launch" in ids
