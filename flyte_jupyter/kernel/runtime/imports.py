"""Which installed libraries a task's code names, and importing them ahead of the code that will use them."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flyte_jupyter.kernel.runtime import isolation

_OWN = "flyte_jupyter"
# What the conversion of values imports by itself once a task uses the first.
_COMPANIONS = {"pandas": ("pyarrow.parquet", "pandas.io.parquet")}
# Who imports these may import modules by names that no statement says.
_BY_ANY_NAME = frozenset({"importlib", "importlib.util", "pkgutil", "runpy"})
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


def named_in(folder: Path | None, preload: Sequence[str] = (), module: str = "") -> list[Import]:
    """The absolute imports in the source files below `folder`, those inside of functions too, in a fixed order.

    Of the files only those count that `module` reaches, if it is named. What the bundle itself brings along is left out, and so is
    what must not be in a process that forks.
    """
    found = [Import(each) for each in preload]
    if folder:
        sources = _reached(folder, module) if module else None
        for _, imports in sorted((sources or _all(folder)).items()):
            found += imports
    left_out = own_tops(folder) | isolation.NEVER_FORK_AFTER
    chosen = [i for i in found if i.top and i.top not in left_out]
    extra = [Import(m) for i in chosen for m in _COMPANIONS.get(i.module, ())]
    return list(dict.fromkeys([*chosen, *extra]))


def _all(folder: Path) -> dict[Path, list[Import]]:
    """All source files below the folder, with what they import."""
    names = {path: path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py")}
    return {path: _imports(path, ".".join(parts[:-1])) for path, parts in names.items()}


def _reached(folder: Path, module: str) -> dict[Path, list[Import]]:
    """The source files that importing a module may run sooner or later, with what they import; none when that cannot be told."""
    found: dict[Path, list[Import]] = {}
    seen, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        parent = name.rpartition(".")[0]
        waiting.append(parent)
        file = folder.joinpath(*name.split("."))
        for path, package in ((file / "__init__.py", name), (file.with_suffix(".py"), parent)):
            if path.is_file():
                found[path] = _imports(path, package)
                for each in found[path]:
                    waiting += [each.module, *(f"{each.module}.{part}" for part in each.names)]
        if name == module and not found:
            return {}
    by_any_name = any(each.module in _BY_ANY_NAME for imports in found.values() for each in imports)
    return {} if by_any_name else found


def own_tops(folder: Path | None) -> set[str]:
    """The top-level names that the bundle's own modules take."""
    if folder is None:
        return set()
    return {
        p.stem if p.suffix == ".py" else p.name for p in folder.iterdir() if p.suffix in ("", ".py")
    }


def _imports(path: Path, package: str) -> list[Import]:
    """What a file imports, relative ones by their whole names; a file that is no Python has its say when the task imports it."""
    found: list[Import] = []
    with suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found += (Import(alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: 1 - node.level or None] if node.level else []
                base = ".".join(part for part in (*above, node.module) if part)
                found.append(Import(base, tuple(alias.name for alias in node.names)))
    return found


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
