"""Source code packed for travelling: readable files, the same bytes for the same content."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from flyte_jupyter.kernel.errors import FlyteJupyterError

MANIFEST = "bundle.json"
_OURS = "flyte_jupyter"
"""Part of the attempt's environment, even where it runs from a checkout that the author's module stands in too."""


class BundlingError(FlyteJupyterError):
    """Source that cannot be packed; the message says why and what to do."""


class Entity(Protocol):
    """A task or workflow, as far as packing its source goes."""

    @property
    def name(self) -> str:
        """The function's name."""
        ...

    @property
    def module(self) -> str:
        """The module that defines it."""
        ...


@dataclass(frozen=True)
class Bundle:
    """The source of one entity and of everything it uses."""

    version: str
    """SHA-256 over the files' names and contents."""
    data: bytes = field(repr=False)
    """The gzipped tar archive, manifest included."""
    entry_module: str
    """The module that defines the entity."""
    size: int
    """Bytes of all files, unpacked."""
    files: tuple[str, ...]
    """Paths inside the archive, in order, without the manifest."""
    namespace: str = ""
    """What registered names begin with; the entry module when empty."""
    cells: Mapping[str, str] = field(default_factory=dict)
    """For notebooks: the id of the cell that defines each name."""
    notebook: str = ""
    """For notebooks: what tells this one from another of its name; no part of the version."""


class BundleProvider(Protocol):
    """Whoever can say what source an entity needs: a notebook's session, or `bundle_of_module` for modules."""

    def bundle_of(self, entity: Any) -> Bundle:
        """The bundle of a task or workflow.

        Raises:
            FlyteJupyterError: its source cannot be captured.
        """
        ...


def pack(
    files: Mapping[str, bytes],
    entry_module: str,
    *,
    cells: Sequence[Mapping[str, Any]] = (),
    namespace: str = "",
    cell_ids: Mapping[str, str] | None = None,
) -> Bundle:
    """A bundle of files by their paths in the archive.

    `cells` are the manifest's entries that map lines of files to notebook cells; `cell_ids` says which cell defines
    each name. Neither counts for the version.
    """
    version = content_version(files)
    manifest = {"format": 1, "version": version, "entry": entry_module, "cells": list(cells)}
    packed = {**files, MANIFEST: json.dumps(manifest, indent=1, sort_keys=True).encode()}
    return Bundle(
        version=version,
        data=_archive(packed),
        entry_module=entry_module,
        size=sum(len(content) for content in files.values()),
        files=tuple(sorted(files)),
        namespace=namespace or entry_module,
        cells=dict(cell_ids or {}),
    )


def content_version(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the sorted paths and contents, each with its length before it."""
    digest = hashlib.sha256()
    for path in sorted(files):
        for part in (path.encode(), files[path]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def is_in_its_module(entity: Entity) -> bool:
    """Whether the entity is what its module calls by its name, so that an attempt finds it there."""
    return getattr(sys.modules.get(entity.module), entity.name, None) is entity


def bundle_of_module(entity: Entity) -> Bundle:
    """The bundle of an entity defined in a module: its package (or file) and what it imports from beside it.

    Installed packages stay behind: the attempt's own environment has them.

    Raises:
        BundlingError: the entity is not at its module's top level, or the module has no source file.
    """
    module = sys.modules.get(entity.module)
    source = getattr(module, "__file__", None)
    if source is None or not source.endswith(".py"):
        raise BundlingError(
            f"{entity.name} is defined in {entity.module}, which has no source file. In a notebook, run "
            "%load_ext flyte_jupyter first; elsewhere, put it into a module"
        )
    if not is_in_its_module(entity):
        raise BundlingError(
            f"{entity.name} is not what {entity.module} calls {entity.name}: define it at the module's top level"
        )
    path = Path(source).resolve()
    name = path.stem if entity.module == "__main__" else entity.module
    depth = name.count(".") + (path.name == "__init__.py")
    root = path.parents[depth]
    found = _Sources(root)
    if "." in name or path.name == "__init__.py":
        for each in sorted((root / name.partition(".")[0]).rglob("*.py")):
            found.add(each)
    found.add(path)
    return pack(found.files, name)


@lru_cache(maxsize=256)  # each launch asks, and most files are as they were
def _imports_of(source: bytes) -> tuple[str, ...]:
    """What a module imports by whole names. Raises `SyntaxError`."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


class _Sources:
    """Source files below one folder, with those they import from the same folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known = {_OURS}
        self.files: dict[str, bytes] = {}

    def add(self, path: Path) -> None:
        """Take a file and, through its imports, all that it needs."""
        waiting = [path]
        while waiting:
            each = waiting.pop()
            key = each.relative_to(self._root).as_posix()
            if key in self.files:
                continue
            self.files[key] = source = each.read_bytes()
            waiting += self._imported(each, source)

    def _imported(self, path: Path, source: bytes) -> list[Path]:
        try:
            names = _imports_of(source)
        except SyntaxError as error:
            raise BundlingError(f"{path}, line {error.lineno}: {error.msg}") from None
        return [file for name in names for file in self._resolve(name)]

    def _resolve(self, name: str) -> list[Path]:
        found: list[Path] = []
        # Finding a package's files again for each of its imports costs seconds.
        if name.partition(".")[0] in self._known:
            return found
        folder = self._root
        for part in name.split("."):
            package, module = folder / part / "__init__.py", folder / f"{part}.py"
            if package.is_file():
                # The whole package comes: what it imports relatively or by name at run time is in there.
                found += sorted((folder / part).rglob("*.py"))
                if folder == self._root:
                    self._known.add(part)
                break
            if module.is_file():
                found.append(module)
                break
            folder = folder / part
        return found


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A tar.gz whose bytes depend on the files alone: no times, owners or file system order."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size = len(files[path])
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(files[path]))
    return buffer.getvalue()
