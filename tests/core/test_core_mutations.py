"""The core's tests catch every deliberate bug in ``mutations.py``: each is put into a copy, and the fast tests must fail on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mutations import MUTATIONS, Mutation

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent.parent / "flyte_jupyter"
FAST = ["rows", "composites", "report", "persistent", "codec", "simulation"]
PARTS = [
    "__init__.py",
    "_version.py",
    "idl",
    "engine/__init__.py",
    "engine/layout.py",
    "engine/core",
]


def copy(to: Path) -> Path:
    """The machine, what it stands on and its tests, apart from everything else."""
    for part in PARTS:
        source, target = PACKAGE / part, to / "flyte_jupyter" / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for test in [*HERE.glob("core_*.py"), *(HERE / f"test_core_{name}.py" for name in FAST)]:
        shutil.copy(test, to)
    (to / "pytest.ini").write_text("[pytest]\n")
    return to


def run(place: Path) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "PYTHONPATH": str(place),
        "CORE_SEEDS": "10",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider",
         *(f"test_core_{name}.py" for name in FAST)],
        cwd=place, env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def survives(place: Path, mutation: Mutation) -> str:
    """What went wrong with this mutation; empty when the tests caught it."""
    module = copy(place) / "flyte_jupyter" / "engine" / "core" / f"{mutation.module}.py"
    text = module.read_text()
    if text.count(mutation.old) != 1:
        return f"{mutation.name}: its text occurs {text.count(mutation.old)} times in {module.name}"
    module.write_text(text.replace(mutation.old, mutation.new))
    done = run(place)
    if done.returncode == 1:
        return ""
    return f"{mutation.name}: not caught (status {done.returncode})\n{done.stdout[-600:]}"


def test_the_copy_is_what_is_tested_and_passes(tmp_path):
    place = copy(tmp_path)
    done = run(place)
    assert done.returncode == 0, done.stdout + done.stderr
    where = subprocess.run(
        [sys.executable, "-c", "import flyte_jupyter.engine.core.step as s; print(s.__file__)"],
        cwd=place, env={**os.environ, "PYTHONPATH": str(place)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(place)


@pytest.mark.timeout(900)  # a run of pytest per bug, on a machine that may be busy
def test_every_deliberate_bug_is_caught(tmp_path):
    assert len(MUTATIONS) >= 70
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)
    places = [tmp_path / str(i) for i in range(len(MUTATIONS))]
    with ThreadPoolExecutor(2) as pool:
        found = [each for each in pool.map(survives, places, MUTATIONS) if each]
    assert not found, "\n".join(found)
