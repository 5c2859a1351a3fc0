"""What users can set, call or type is documented, and what the documentation shows exists."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "guide.md"
REFERENCE = ROOT / "docs" / "reference.md"


def text(*files: Path) -> str:
    return "\n".join(file.read_text() for file in files)


def commands() -> dict[str, argparse.ArgumentParser]:
    from flyte_jupyter.cli.main import parser

    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("no commands")


def test_every_command_and_option_is_documented():
    said = text(REFERENCE)
    for name, command in commands().items():
        assert f"`flyte-jupyter {name}" in said, name
        for action in command._actions:
            for option in action.option_strings:
                if option not in ("-h", "--help"):
                    assert option in said, f"{name} {option}"


def test_every_setting_of_the_extension_is_documented():
    from flyte_jupyter.server.extension import FlyteJupyter

    said = text(REFERENCE)
    for name, trait in FlyteJupyter.class_own_traits().items():
        if trait.metadata.get("config"):
            assert f"`FlyteJupyter.{name}`" in said, name


def test_every_environment_variable_is_documented():
    said = text(REFERENCE)
    used = set()
    for file in (ROOT / "flyte_jupyter").rglob("*.py"):
        used |= set(re.findall(r"[\"'](FLYTE_JUPYTER_[A-Z_]+)[\"']", file.read_text()))
    used |= set(re.findall(r"FLYTE_JUPYTER_[A-Z_]+", (ROOT / "hatch_build.py").read_text()))
    missing = {name for name in used if f"`{name}`" not in said}
    assert not missing


def test_every_failure_code_is_documented():
    """Codes are what people search for: the first argument of whatever makes a failure."""
    makes = r"(?:Failure|Problem|rejected|system_failure|ZygoteFailed|refuse|_storage_problem|PodRefused|_system)"
    used = set()
    places = ("core", "answers", "adapters/local", "adapters/kubernetes", "pods")
    folders = [*(f"engine/{place}" for place in places), "kernel/runtime"]
    files = [f for folder in folders for f in (ROOT / "flyte_jupyter" / folder).rglob("*.py")]
    for file in (*files, ROOT / "flyte_jupyter" / "engine" / "actor.py"):
        used |= set(re.findall(rf"{makes}\(\s*\"([A-Za-z]+)\"", file.read_text()))
    assert {"TimeoutExpired", "OutputsNotFound", "InterpreterMissing", "NoSpace"} <= used
    said = text(REFERENCE)
    missing = {code for code in used - {"Unknown"} if f"`{code}`" not in said}
    assert not missing


def test_every_problem_of_a_workflow_is_documented():
    from flyte_jupyter.engine.compiler.problems import Code

    said = text(REFERENCE)
    missing = {code.value for code in Code if f"`{code.value}`" not in said}
    assert not missing


def test_every_magic_is_documented():
    said = text(REFERENCE)
    from flyte_jupyter.kernel.notebook.magics import SUBCOMMANDS

    for name in SUBCOMMANDS:
        assert f"`%flyte {name}" in said, name
    assert "`%%flyte_task" in said


def test_every_public_name_is_documented():
    import flyte_jupyter

    said = text(GUIDE, REFERENCE)
    for name in flyte_jupyter.__all__:
        if not name.startswith("__"):
            assert re.search(rf"`@?(flyte_jupyter\.)?{name}\b", said), name


def test_every_route_outside_flytes_own_is_documented():
    said = text(ROOT / "docs" / "protocol.md")
    for file in (ROOT / "flyte_jupyter" / "server").rglob("*.py"):
        for path in re.findall(r"/x/v1/([a-z]+)", file.read_text()):
            assert f"/x/v1/{path}" in said, f"{file.name}: {path}"


@pytest.mark.parametrize(
    "file", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(file):
    for target in re.findall(r"\]\(([^)#]+)", file.read_text()):
        if "://" not in target:
            assert (file.parent / target).exists(), target


def test_the_commands_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for name in re.findall(r"(?:^|`)make ([a-z-]+)", text(ROOT / "README.md"), flags=re.MULTILINE):
        assert name in targets, name


def test_the_project_speaks_of_itself_alone():
    import subprocess

    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if name.endswith((".png", ".lock")) or name == "tests/test_docs.py":
            continue
        body = (ROOT / name).read_text(errors="replace")
        for word in ("/home/", "/root/", "/work/"):
            for found in re.findall(rf"(?<![\w.}}]){re.escape(word)}[a-z]+", body):
                assert found in (
                    "/home/ada",
                    "/home/ann",
                    "/home/local",
                    "/home/jovyan",
                    "/work/dir",
                ), f"{name} mentions {found}"


PROVED = ["flyte-semantics.md", "faults.md"]
"""Tables of behaviour, whose rows name the tests that prove them."""


@pytest.mark.parametrize("name", PROVED)
def test_every_proof_exists(name):
    table = (ROOT / "docs" / name).read_text()
    named = set(re.findall(r"`([\w/]+\.py)::(\w+)`", table))
    assert len(named) > 20
    missing = [
        f"{file}::{test}"
        for file, test in sorted(named)
        if not (ROOT / "tests" / file).is_file()
        or f"def {test}(" not in (ROOT / "tests" / file).read_text()
    ]
    assert not missing


@pytest.mark.parametrize("name", PROVED)
def test_every_row_has_a_proof_or_says_that_there_is_none(name):
    lines = (ROOT / "docs" / name).read_text().splitlines()
    rows = [
        line
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("| ") and not below.startswith("|--")
    ]
    bare = [row for row in rows if "::" not in row and "not built" not in row.lower()]
    assert not bare
