"""Where the source of what a notebook defines comes from."""

import json
import subprocess
import sys

import kernel_jobs as jobs
import pytest

from flyte_jupyter import task
from flyte_jupyter.kernel.bundling import BundlingError, pack
from flyte_jupyter.kernel.launching.registration import Modules, provider_of


def in_ipython(cells: list[str]) -> dict:
    """What a fresh IPython's cells leave in the variable `told`."""
    code = (
        "import json, sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        f"for cell in {cells!r}:\n"
        "    done = shell.run_cell(cell, store_history=True)\n"
        "    if done.error_in_exec: shell.user_ns.setdefault('told', {'error': str(done.error_in_exec)})\n"
        "print('\\n' + json.dumps(shell.user_ns['told']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


TASK = "from flyte_jupyter import task\n@task\ndef f(x: int) -> int:\n    return x\n"
ASK = (
    "from flyte_jupyter.kernel.launching.registration import provider_of\n"
    "bundle = provider_of(f).bundle_of(f)\n"
    "told = {'files': bundle.files, 'module': bundle.entry_module, 'namespace': bundle.namespace}\n"
)


def test_a_module_knows_its_own_source():
    assert isinstance(provider_of(jobs.scale), Modules)
    assert "kernel_jobs.py" in provider_of(jobs.scale).bundle_of(jobs.scale).files


def test_the_entities_of_a_module_have_one_bundle_in_one_registration_and_a_stranger_has_none():
    modules = Modules()
    assert modules.bundle_of(jobs.scale) is modules.bundle_of(jobs.pipeline)

    @task
    def scale() -> None: ...

    scale.function.__module__ = "kernel_jobs"
    with pytest.raises(BundlingError, match="top level"):
        modules.bundle_of(scale)


def test_an_edited_module_is_read_anew_by_the_next_registration(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "from flyte_jupyter import task\n@task\ndef f() -> None: ...\n"
    (tmp_path / "kj_edited.py").write_text(text)
    (tmp_path / "kj_beside.py").write_text("")
    import kj_edited

    assert Modules().bundle_of(kj_edited.f).files == ("kj_edited.py",)
    (tmp_path / "kj_edited.py").write_text(f"import kj_beside\n{text}")
    assert Modules().bundle_of(kj_edited.f).files == ("kj_beside.py", "kj_edited.py")


def test_a_notebooks_session_captures_what_its_cells_define():
    told = in_ipython(["%load_ext flyte_jupyter", TASK, ASK])
    assert told["files"]
    assert told["namespace"] == "notebook"


def test_a_notebook_without_the_extension_is_told_what_to_do():
    assert "%load_ext flyte_jupyter" in in_ipython([TASK, ASK])["error"]


def test_a_provider_of_ones_own_is_asked():
    """What the notebook's session is to launching: anything that answers `bundle_of`."""
    from flyte_jupyter.kernel.client import Client
    from flyte_jupyter.kernel.launching import Registration
    from flyte_jupyter.kernel.launching.registration import target_here

    class Refusing:
        def bundle_of(self, entity):
            raise LookupError(entity.name)

    with pytest.raises(LookupError, match="pipeline"):
        Registration(Client(), target_here(None, None), Refusing()).register(jobs.pipeline)
    assert pack({"m.py": b""}, "m", namespace="nb").namespace == "nb"
