from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell


class Notebook:
    """A real IPython shell with the extension loaded, its cells written as text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shell = InteractiveShell()
        self.shell.history_manager.enabled = False
        self.shell.run_line_magic("load_ext", "flyte_jupyter")

    def run(self, source: str, *, cell_id: str | None = None, fails: bool = False):
        result = self.shell.run_cell(source, store_history=True, cell_id=cell_id)
        assert result.success is not fails, result.error_in_exec or result.error_before_exec
        return result

    def __call__(self, *cells: str) -> Notebook:
        for cell in cells:
            self.run(cell)
        return self

    @property
    def names(self):
        return self.shell.user_ns

    def captured(self, name: str):
        return self.shell.flyte_jupyter.capture(name)

    def elsewhere(self, name: str, expression: str) -> str:
        """The printed value of an expression after importing the captured module in a fresh Python."""
        target = self.folder / "elsewhere"
        for path, content in self.captured(name).files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content)
        code = f"from notebook_cells import *; import notebook_cells as m; print(({expression}))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=target, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, self.captured(name).source + done.stderr
        return done.stdout.strip()


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    made = Notebook(folder)
    yield made
    made.shell.run_line_magic("unload_ext", "flyte_jupyter")
    made.shell.history_manager.end_session()
    made.shell.restore_sys_module_state()
