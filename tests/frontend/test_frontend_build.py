"""The build hook: when the JupyterLab extension is built, what that asks for, and what it says when it can't be."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path):
    """The extension's sources, without what has been installed or built."""
    ignore = shutil.ignore_patterns("node_modules", "lib", "lib-test", ".yarn", "*.tsbuildinfo")
    shutil.copytree(ROOT / "labextension", tmp_path / "labextension", ignore=ignore)
    return tmp_path


@pytest.fixture
def builder(hook, checkout, monkeypatch):
    """Makes the hook as hatchling would, for one target."""
    monkeypatch.delenv(hook.SKIP, raising=False)

    class Screen:
        def display_info(self, text):
            pass

    def make(target="wheel"):
        return hook.CustomBuildHook(
            str(checkout), {}, None, None, str(checkout / "dist"), target, Screen()
        )

    return make


def have_built(hook, root):
    output = root / "flyte_jupyter" / "labextension"
    output.mkdir(parents=True, exist_ok=True)
    (output / hook.STAMP).write_text(hook.Frontend(root).digest() + "\n")


@pytest.fixture
def put_node(tmp_path, monkeypatch):
    """Puts a Node.js of some version before all others."""

    def put(version):
        node = tmp_path / "bin" / "node"
        node.parent.mkdir()
        node.write_text(f"#!/bin/sh\necho {version}\n")
        node.chmod(0o755)
        monkeypatch.setenv("PATH", str(node.parent), prepend=os.pathsep)

    return put


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.0", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.1.0", True),
        ("nonsense", False),
    ],
)
def test_node_is_asked_for_unless_a_good_one_is_on_the_path(hook, builder, put_node, version, good):
    put_node(version)
    assert (hook.NODE not in builder().dependencies()) is good
    assert hook.BUILDER in builder().dependencies()


def test_no_node_at_all_asks_for_one(hook, builder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert builder().dependencies() == [hook.BUILDER, hook.NODE]


def test_what_is_built_is_not_built_again_and_asks_for_nothing(
    hook, builder, checkout, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    have_built(hook, checkout)
    data = {"shared_data": {}}
    assert builder().dependencies() == []
    builder().initialize("standard", data)
    assert set(data["shared_data"].values()) == {hook.INSTALLED, f"{hook.INSTALLED}/install.json"}


@pytest.mark.parametrize("change", ["src/index.ts", "style/base.css", "yarn.lock"])
def test_a_changed_source_makes_what_is_built_stale(hook, checkout, change):
    have_built(hook, checkout)
    assert hook.Frontend(checkout).is_built()
    path = checkout / "labextension" / change
    path.write_text(path.read_text() + "\n")
    assert not hook.Frontend(checkout).is_built()


def test_a_renamed_source_makes_what_is_built_stale(hook, checkout):
    have_built(hook, checkout)
    (checkout / "labextension" / "src" / "index.ts").rename(
        checkout / "labextension" / "src" / "other.ts"
    )
    assert not hook.Frontend(checkout).is_built()


def test_without_the_extension_nothing_is_asked_for_and_nothing_is_carried(
    hook, builder, monkeypatch
):
    monkeypatch.setenv(hook.SKIP, "1")
    data = {"shared_data": {}}
    assert builder().dependencies() == []
    builder().initialize("standard", data)
    assert data == {"shared_data": {}}


def test_a_source_archive_carries_no_shared_data(hook, builder, checkout):
    have_built(hook, checkout)
    builder("sdist").initialize("standard", {})


def test_no_node_when_building_says_what_to_do(hook, builder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(hook.FrontendError, match=r"Node\.js.*20\.19.*FLYTE_JUPYTER_SKIP_FRONTEND"):
        builder().initialize("standard", {"shared_data": {}})


def test_the_types_of_flytes_messages_are_up_to_date():
    script = ROOT / "tools" / "generate_types.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_lock_file_names_no_host():
    assert "://" not in (ROOT / "labextension" / "yarn.lock").read_text()
