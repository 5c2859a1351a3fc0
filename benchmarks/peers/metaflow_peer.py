"""Metaflow run locally: a process a step."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import best, version

LENGTH = int(sys.argv[1])


def source(n):
    """A flow of a chain; Metaflow reads its graph from the source text."""
    names = ["start", *(f"step{i}" for i in range(1, n - 1)), "end"]
    lines = ["from metaflow import FlowSpec, step", "class Chain(FlowSpec):"]
    for here, after in zip(names, [*names[1:], None], strict=True):
        lines += [
            "    @step",
            f"    def {here}(self):",
            "        self.x = getattr(self, 'x', 0) + 1",
        ]
        lines += [f"        self.next(self.{after})"] if after else []
    return "\n".join([*lines, "if __name__ == '__main__':", "    Chain()", ""])


folder = Path(tempfile.mkdtemp())
(folder / "chain.py").write_text(source(LENGTH))
environ = {
    **os.environ,
    "METAFLOW_HOME": str(folder),
    "METAFLOW_USER": "bench",
    "USERNAME": "bench",
}


def run():
    subprocess.run(
        [sys.executable, "chain.py", "--quiet", "--no-pylint", "run"],
        cwd=folder, env=environ, check=True, capture_output=True,
    )  # fmt: skip


version("metaflow")
best("chain, a process each", LENGTH, run, repeats=1)
