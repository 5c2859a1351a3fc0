"""Run a notebook with papermill as a person would, and say how its execution went.

    python tools/demo.py examples/notebooks/quickstart.ipynb

The kernel is this interpreter's own. Exit status 0 only when an execution was launched and succeeded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / ".cache" / "demo"
MIME = "application/vnd.flyte.execution.v1+json"
KERNEL = "flyte-jupyter-demo"


def main(arguments: list[str]) -> int:
    """Run the notebook named by the one argument. Gives the exit status."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print("usage: demo.py NOTEBOOK.ipynb", file=sys.stderr)
        return 2
    notebook = Path(arguments[0]).resolve()
    started = time.monotonic()
    print(f"Running {notebook.name} ...", flush=True)
    problem = run(notebook, OUT / notebook.name)
    if problem:
        print(f"\n{problem}\n\nThe notebook as far as it came: {OUT / notebook.name}")
        return 1
    shown = executions(OUT / notebook.name)
    if not shown:
        print("The notebook launched no execution.")
        return 1
    status = report(shown[-1])
    print(f"\nTook {time.monotonic() - started:.1f} s. Look at it in JupyterLab: make lab")
    return status


def run(notebook: Path, out: Path) -> str:
    """Execute a notebook; gives what went wrong, empty when nothing did."""
    import papermill

    out.parent.mkdir(parents=True, exist_ok=True)
    os.environ["JUPYTER_PATH"] = os.pathsep.join(
        [str(kernel_folder()), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    )
    # What Jupyter's own server tells a kernel: registered names begin with the notebook's.
    os.environ["JPY_SESSION_NAME"] = str(notebook)
    try:
        papermill.execute_notebook(
            str(notebook), str(out), kernel_name=KERNEL, cwd=str(notebook.parent),
            progress_bar=False,
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        return f"Cell {error.exec_count} raised {error.ename}: {error.evalue}"
    return ""


def kernel_folder() -> Path:
    """A Jupyter data folder with a kernel that is this very interpreter, whatever else is installed."""
    folder = OUT / "jupyter"
    spec = folder / "kernels" / KERNEL / "kernel.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=40"]
    command += ["-f", "{connection_file}"]
    spec.write_text(
        json.dumps({"argv": command, "display_name": "Demo", "language": "python"}, indent=1)
    )
    return folder


def executions(path: Path) -> list[tuple[str, str, str]]:
    """Project-qualified names of the executions that a notebook's outputs show, in order."""
    document = json.loads(path.read_text())
    found = []
    for cell in document["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get(MIME)
            if data:
                found.append((data["project"], data["domain"], data["name"]))
    return found


def report(run_id: tuple[str, str, str]) -> int:
    """Print an execution with a line for each node and its outputs; 0 when it succeeded."""
    import flyte_jupyter
    from flyte_jupyter.kernel.notebook.snapshots import snapshot_of

    project, domain, name = run_id
    execution = flyte_jupyter.execution(name, project=project, domain=domain)
    print(f"\n{snapshot_of(execution).as_text()}\n")
    if execution.phase != "SUCCEEDED":
        print(execution.error)
        return 1
    for key, value in execution.outputs.items():
        text = str(value)
        print(f"{key} =" + (f"\n{text}" if "\n" in text else f" {text}"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
