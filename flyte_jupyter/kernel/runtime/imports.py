"""Which installed libraries a bundle's source names, and importing them ahead of the code that will use them."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flyte_jupyter.kernel.runtime import isolation

_OWN = "flyte_jupyter"
# What the conversion of values imports by itself once a task uses the first.
_COMPANIONS = {"pandas": ("pyarrow.parquet", "pandas.io.parquet")}
_STANDARD = tuple(
    {os.path.realpath(sysconfig.get_path(kind)) + os.sep for kind in ("stdlib", "platstdlib")}
)


@dataclass(frozen=True, slots=True)
class Import:
    """``import module``, or ``from module import names``."""

    module: str
    names: tuple[str, ...] = ()

    @property
    def top(self) -> str:
        """The top-level package."""
        return self.module.partition(".")[0]


def named_in(folder: Path | None, preload: Sequence[str] = ()) -> list[Import]:
    """The absolute imports in the source files below `folder`, those inside of functions too, in a fixed order.

    What the bundle itself brings along is left out, and so is what must not be in a process that forks.
    """
    found = [Import(module) for module in preload]
    for path in sorted(folder.rglob("*.py")) if folder else ():
        # A file that is no Python has its say when the task imports it.
        with suppress(SyntaxError, ValueError):
            found += _imports(ast.parse(path.read_bytes()))
    left_out = own_tops(folder) | isolation.NEVER_FORK_AFTER
    chosen = [i for i in found if i.top not in left_out]
    extra = [Import(m) for i in chosen for m in _COMPANIONS.get(i.module, ())]
    return list(dict.fromkeys([*chosen, *extra]))


def own_tops(folder: Path | None) -> set[str]:
    """The top-level names that the bundle's own modules take."""
    if folder is None:
        return set()
    return {
        p.stem if p.suffix == ".py" else p.name for p in folder.iterdir() if p.suffix in ("", ".py")
    }


def _imports(tree: ast.Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield Import(node.module, tuple(alias.name for alias in node.names))


def is_installed(top: str) -> bool:
    """Whether a package stands where packages are installed, rather than where somebody edits it."""
    if top in (_OWN, *sys.builtin_module_names):
        return True
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return False
    places = [spec.origin] if spec and spec.origin else []
    if spec and not places:
        places = list(spec.submodule_search_locations or [])
    return bool(places) and all(_stays(place) for place in places)


def edited(modules: Iterable[str]) -> str:
    """The first of these loaded modules whose source somebody may edit while this process lives; empty when there is none."""
    for name in modules:
        module = sys.modules.get(name)
        # multiprocessing gives the main module, which is this runtime's, a second name.
        if name.partition(".")[0] != _OWN and module is not sys.modules.get("__main__"):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and not _stays(file):
                return name
    return ""


def _stays(place: str) -> bool:
    if place in ("built-in", "frozen"):
        return True
    parts = Path(place).parts
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return os.path.realpath(place).startswith(_STANDARD)


def bring_in(wanted: Import) -> None:
    """Import it as the statement would. What cannot be imported is left to the code that asks for it, and to its traceback."""
    with suppress(Exception):
        module = importlib.import_module(wanted.module)
        for name in wanted.names:
            if name != "*" and not hasattr(module, name) and hasattr(module, "__path__"):
                with suppress(Exception):
                    importlib.import_module(f"{wanted.module}.{name}")
