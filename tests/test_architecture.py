"""The shape that the design promises: layers, sizes, parameters, purity. A failing line here is a design question, not a nuisance."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flyte_jupyter"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "labextension" not in p.parts)
FRONTEND = sorted(p for p in (ROOT / "labextension" / "src").rglob("*.ts*") if p.name != "types.ts")

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 6
AVOIDED_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "impl", "misc"}

PURE = [
    "idl",
    "engine/core",
    "engine/compiler",
    "engine/layout.py",
    "engine/program",
    "store/projections.py",
    "store/query.py",
    "server/settings.py",
    "server/routes.py",
    "kernel/lowering",
]
IMPURE_IMPORTS = {
    "asyncio", "threading", "logging", "time", "random", "uuid", "os", "socket", "subprocess", "sqlalchemy", "tornado", "grpc", "fsspec", "kubernetes", "shutil", "tempfile",
}  # fmt: skip


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def functions(tree: ast.Module):
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_the_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [*MODULES, *FRONTEND], ids=relative)
def test_a_module_is_short(path):
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, (
        f"{relative(path)} has {lines} lines: which noun wants its own file?"
    )


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_functions_are_short(path):
    long = {
        f.name: f.end_lineno - f.lineno + 1
        for f in functions(parse(path))
        if f.end_lineno - f.lineno + 1 > MOST_FUNCTION_LINES
    }
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_functions_take_few_parameters(path):
    """Keyword-only parameters of public authoring functions apart: those are the author's vocabulary."""
    authoring = "kernel/authoring" in relative(path)
    many = {}
    for f in functions(parse(path)):
        names = [a.arg for a in [*f.args.posonlyargs, *f.args.args] if a.arg not in ("self", "cls")]
        if not (authoring and not f.name.startswith("_")):
            names += [a.arg for a in f.args.kwonlyargs]
        if len(names) > MOST_PARAMETERS:
            many[f.name] = len(names)
    assert not many


@pytest.mark.parametrize("path", [*MODULES, *FRONTEND], ids=relative)
def test_names_say_something(path):
    assert path.stem.lower() not in AVOIDED_NAMES
    assert not AVOIDED_NAMES & {part.lower() for part in path.relative_to(ROOT).parts[:-1]}


@pytest.mark.parametrize("place", PURE)
def test_pure_modules_import_nothing_impure(place):
    target = PACKAGE / place
    assert target.exists(), f"{place} is gone: mend this list"
    for path in [target] if target.suffix == ".py" else sorted(target.rglob("*.py")):
        for node in ast.walk(parse(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            bad = {n.split(".")[0] for n in names} & IMPURE_IMPORTS
            assert not bad, f"{relative(path)} imports {bad}"


@pytest.mark.parametrize(
    ("library", "owner"),
    [
        ("sqlalchemy", "store"),
        ("alembic", "store"),
        ("flyteidl", "idl"),
        ("jupyter_server", "server"),
    ],
)
def test_a_library_has_one_owner(library, owner):
    for path in MODULES:
        if path.is_relative_to(PACKAGE / owner):
            continue
        for node in ast.walk(parse(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            assert library not in {n.split(".")[0] for n in names}, (
                f"{relative(path)} imports {library}"
            )


def test_the_server_extension_passes_on_and_holds_nothing():
    """It finds, authenticates and passes on: the control plane's own modules stay out of the Jupyter server."""
    code = (
        "import sys, flyte_jupyter.server.extension\n"
        "bad = [m for m in sys.modules if m in ('sqlalchemy', 'flyteidl', 'grpc', 'alembic')"
        " or m.startswith(('flyte_jupyter.engine', 'flyte_jupyter.store', 'flyte_jupyter.server.app', 'flyte_jupyter.server.rest',"
        " 'flyte_jupyter.server.events', 'flyte_jupyter.server.admin'))]\n"
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, flyte_jupyter\n"
        "bad = {'google.protobuf', 'flyteidl', 'pandas', 'numpy', 'sqlalchemy', 'tornado', 'IPython'} & set(sys.modules)\n"
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
