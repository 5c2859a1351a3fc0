"""A notebook's side of the platform: what its cells defined, ready to travel."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from flyte_jupyter.kernel.bundling import Bundle
from flyte_jupyter.kernel.notebook.cells import Recorder
from flyte_jupyter.kernel.notebook.closure import capture
from flyte_jupyter.kernel.notebook.history import History
from flyte_jupyter.kernel.notebook.local_modules import local_files
from flyte_jupyter.kernel.notebook.module import Captured, write
from flyte_jupyter.kernel.notebook.problems import NotebookError

_SESSION_NAME = "JPY_SESSION_NAME"  # set by Jupyter's server: the notebook's path
_PLACE_DIGITS = 16


class Session:
    """What ``shell.flyte_jupyter`` is while the extension is loaded.

    Attributes:
        recorder: what the cells did.
        latest: the execution that this notebook launched or showed last, None before the first.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.recorder = Recorder(shell)
        self.latest: Any = None
        self._folder = Path.cwd()  # where the kernel started: the notebook's own

    def capture(self, entity: Any) -> Captured:
        """The source of a task, workflow, class or function and of all that it uses.

        Args:
            entity: the object, or its name in the notebook.

        Raises:
            CaptureError: something it uses cannot travel as source.
            NotebookError: the notebook has no such name.
        """
        names = self.shell.user_ns
        name = entity if isinstance(entity, str) else self.name_of(entity)
        ordered = capture(History(self.recorder.executed()), name, names, _star_names)
        local = local_files((statement.node for statement in ordered), self._folder)
        return write(name, ordered, local)

    def bundle_of(self, entity: Any) -> Bundle:
        """The bundle that holds ``entity`` and all it uses; equal source gives an equal bundle.

        Raises:
            CaptureError: something it uses cannot travel as source.
            NotebookError: the notebook has no name for it.
        """
        place = hashlib.sha256(os.fsencode(self._folder / self._path)).hexdigest()
        return replace(self.capture(entity).bundle(self.slug), notebook=place[:_PLACE_DIGITS])

    @property
    def _path(self) -> str:
        """Where the notebook is, as whoever started the kernel says; empty when nobody does."""
        names = self.shell.user_ns
        return str(names.get("__vsc_ipynb_file__") or os.environ.get(_SESSION_NAME, ""))

    @property
    def slug(self) -> str:
        """The notebook's name as registered names begin with it, ``notebook`` when it has none."""
        stem = PurePath(self._path).stem if self._path.endswith(".ipynb") else ""
        words = re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", stem).lower()).strip("_")
        return f"_{words}" if words[:1].isdigit() else words or "notebook"

    def name_of(self, entity: Any) -> str:
        """The notebook's name for an object that it defined.

        Raises:
            NotebookError: no name stands for it (any more).
        """
        names = self.shell.user_ns
        own = str(getattr(entity, "__name__", ""))
        present = names.get(own) if own else None
        if present is entity or _same_definition(present, entity):
            return own
        other = [name for name, value in names.items() if value is entity and name[0] != "_"]
        if other:
            raise NotebookError(
                f"{own} is called {other[0]} in this notebook: give the function and the variable "
                "one name, since tasks find it by the function's"
            )
        raise NotebookError(
            f"{own or entity!r} was defined anew or deleted since it was used: run the cells again "
            "that use it (a workflow is built from the tasks of the moment its cell runs)"
        )


def _same_definition(present: Any, entity: Any) -> bool:
    """Whether a cell that ran again, unchanged, made another object of the same definition."""
    ours, theirs = getattr(present, "function", None), getattr(entity, "function", None)
    if type(present) is not type(entity) or ours is None or theirs is None:
        return False
    options = ("policy", "environment", "reuse", "preload", "failure_policy")
    return ours.__code__ == theirs.__code__ and all(
        getattr(present, name, None) == getattr(entity, name, None) for name in options
    )


def _star_names(module: str) -> frozenset[str]:
    """What ``from module import *`` brings, read from the module itself."""
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        return frozenset()
    public = getattr(loaded, "__all__", None)
    if public is None:
        public = [name for name in vars(loaded) if not name.startswith("_")]
    return frozenset(public)
