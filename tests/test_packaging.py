"""What is installed: plain on a task image, pinned for development, and for every Python that is promised."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The oldest that is promised; Debian 12's, which is not the newest 3.11; and the newest that flyteidl allows.
PYTHONS = ("3.11.0", "3.11.2", "3.12.0", "3.13.0")


def test_the_lock_names_versions_and_nothing_else():
    for line in LOCK:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line), line


def test_every_python_that_is_promised_can_install_the_lock():
    refused = []
    for line in LOCK:
        name, _, version = line.partition("==")
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # belongs to another platform
        wants = found.metadata.get("Requires-Python")
        if found.version != version or not wants:
            continue
        refused += [
            f"{line} on {python}"
            for python in PYTHONS
            if python not in SpecifierSet(wants) and wanted_on(name, python)
        ]
    assert not refused


def wanted_on(name: str, python: str) -> bool:
    """Whether nothing in the project says that this Python does without."""
    texts = [one for extra in PROJECT["optional-dependencies"].values() for one in extra]
    wishes = [w for w in map(Requirement, texts) if canonicalize_name(w.name) == name]
    place = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    return all(w.marker is None or w.marker.evaluate(place) for w in wishes)


def test_every_direct_dependency_is_in_the_lock_and_fits():
    locked = {canonicalize_name(n): v for n, _, v in (line.partition("==") for line in LOCK)}
    extras = PROJECT["optional-dependencies"].values()
    for text in [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]:
        wish = Requirement(text)
        if wish.name != "flyte-jupyter":
            assert locked[canonicalize_name(wish.name)] in wish.specifier, text


def test_a_task_image_gets_little():
    """Nothing of Jupyter, no database, no web server, no cluster's client: these and what they need themselves."""
    direct = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert direct == {"flyteidl", "protobuf", "fsspec"}


def test_who_reads_types_finds_the_public_names_where_they_are():
    import flyte_jupyter

    stub = ast.parse((ROOT / "flyte_jupyter" / "__init__.pyi").read_text())
    told = {
        each.asname: f"{found.module}.{each.name}"
        for found in stub.body
        if isinstance(found, ast.ImportFrom)
        for each in found.names
        if each.asname
    }
    kept = {name: f"{place}.{name}" for name, place in vars(flyte_jupyter)["_PUBLIC"].items()}
    assert told == {"__version__": "flyte_jupyter._version.__version__", **kept}
