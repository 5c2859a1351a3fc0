"""The modules beside the notebook that captured code imports: they travel with it.

Installed packages do not: the task's environment has them, or says that it hasn't.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages", ".venv", "venv", "node_modules"}


def local_files(nodes: Iterable[ast.AST], folder: Path) -> dict[str, bytes]:
    """The files of every local module that ``nodes`` import, directly or through each other.

    Args:
        nodes: syntax trees of the captured code.
        folder: the notebook's folder; only modules below it are local.

    Returns:
        Path inside the bundle, as the importing code expects it, to content.
    """
    found: dict[str, bytes] = {}
    waiting = sorted({name for node in nodes for name in _imported(node)})
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for path, content in _files_of(name, folder.resolve()).items():
            found[path] = content
            if path.endswith(".py"):
                waiting.extend(_imported(ast.parse(content, filename=path)))
    return found


def _imported(tree: ast.AST) -> set[str]:
    """The top-level names of all modules that a tree imports, relative imports apart."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _files_of(name: str, folder: Path) -> dict[str, bytes]:
    origin = None if name in sys.stdlib_module_names else _origin(name)
    if origin is None or not _is_local(origin, folder):
        return {}
    if origin.name != "__init__.py":
        return {f"{name}.py": origin.read_bytes()}
    package = origin.parent
    return {
        f"{name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*.py"))
        if not _INSTALLED & set(path.relative_to(package).parts)
    }


def _origin(name: str) -> Path | None:
    loaded = sys.modules.get(name)
    file = getattr(loaded, "__file__", None)
    if file is None and loaded is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        file = spec.origin if spec is not None and spec.has_location else None
    return Path(file).resolve() if file and file.endswith(".py") else None


def _is_local(origin: Path, folder: Path) -> bool:
    if not origin.is_relative_to(folder) or _INSTALLED & set(origin.parts):
        return False
    own = Path(__file__).resolve().parents[2]
    installed = (own, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())
    return not any(origin.is_relative_to(place) for place in installed)
