"""Code bundles: fetched once per machine, unpacked with suspicion, imported from there."""

from __future__ import annotations

import errno
import gzip
import hashlib
import importlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from flyte_jupyter.kernel.bundling import MANIFEST, content_version
from flyte_jupyter.kernel.errors import FlyteJupyterError
from flyte_jupyter.kernel.runtime import storage, unpacked

MOST_FILES = 10_000
MOST_BYTES = 2 * 1024**3
# An archive that asks for these would ask for them on any machine: a file below a file, a file that is the folder, a long name.
_IMPOSSIBLE_NAMES = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG}
CACHE_VARIABLE = "FLYTE_JUPYTER_BUNDLES"


class BundleError(FlyteJupyterError):
    """The task's code could not be had."""


class BundleUnavailable(BundleError):
    """The bundle could not be read from where it should be: it may work another time."""


class BundleRefused(BundleError):
    """The bundle's content is not what a bundle may be: it will never work."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Lines `first` to `last` of a bundled file are lines `cell_line` onwards of a notebook cell."""

    file: str
    first: int
    last: int
    cell_id: str
    cell_line: int
    label: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A bundle's folder and what its manifest says."""

    folder: Path
    cells: Sequence[Cell] = ()

    def cell_at(self, filename: str, line: int) -> Cell | None:
        """The notebook cell that a line of a bundled file came from."""
        try:
            name = Path(filename).relative_to(self.folder).as_posix()
        except ValueError:
            return None
        found = (c for c in self.cells if c.file == name and c.first <= line <= c.last)
        return next(found, None)


def fetch(uri: str, cache: Path | None = None) -> Unpacked:
    """The bundle at `uri`, unpacked in the cache folder; taken from there when it was fetched before.

    It stays there at least as long as this process lives, or until `unpacked.let_go`.

    Raises `BundleUnavailable` and `BundleRefused`.
    """
    try:
        cache = cache or cache_folder()
        target = _place(cache, _identity(uri))
        if not unpacked.hold(target):
            _unpack_at(target, _archive(uri), uri)
            while not unpacked.hold(target):  # somebody else made room just then
                _unpack_at(target, _archive(uri), uri)
            unpacked.prune(cache, unpacked.MOST_CACHED)
    except OSError as e:
        raise BundleUnavailable(
            f"The code bundle {uri} could not be unpacked: {e}. Check the disk of this machine."
        ) from e
    return _described(target, uri)


# A worker's next attempt has the same bundle, and a folder of this name never changes.


@lru_cache(maxsize=64)
def _described(folder: Path, uri: str) -> Unpacked:
    return Unpacked(folder, _cells(folder, uri))


@lru_cache(maxsize=64)
def _place(cache: Path, identity: str) -> Path:
    return cache / hashlib.sha256(identity.encode()).hexdigest()


_path = lru_cache(maxsize=64)(Path)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where unpacked bundles are kept: ``$FLYTE_JUPYTER_BUNDLES``, or the user's cache folder."""
    named = environ.get(CACHE_VARIABLE)
    if named:
        return _path(named)
    home = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/tmp") / ".cache"  # noqa: S108  # without a home there is nowhere better
    return Path(home) / "flyte-jupyter" / "bundles"


def loaded(bundle: Unpacked, entity: str) -> Any:
    """What `load` gives, if that takes no import and runs nobody's code, as after a worker's first attempt; else None."""
    module, _, name = entity.partition(":")
    found = sys.modules.get(module)
    if type(found) is not ModuleType or str(bundle.folder) not in sys.path:
        return None
    return vars(found).get(name)


def load(bundle: Unpacked, entity: str) -> Any:
    """The object that ``<module>:<name>`` names, imported from the bundle. Raises `BundleRefused`, or what the code raises."""
    module, _, name = entity.partition(":")
    if not module or not name:
        raise BundleRefused(f"The task's entity is {entity!r}; it must read <module>:<name>.")
    place = str(bundle.folder)
    if place not in sys.path:
        sys.path.insert(0, place)
        _look_anew(place)
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise BundleRefused(
                f"The module {module} of the code bundle has no {name!r}. Register the task again."
            ) from None
    return found


def _look_anew(place: str) -> None:
    """Have the next import look into this folder, and into those that were not there when an import last looked.

    `importlib.invalidate_caches` would have every finder that a warm parent has made forget what it knows: hundreds of pages
    that this process has to copy for it, when a folder that has changed since shows it by its time of change.
    """
    known = sys.path_importer_cache
    known.pop(place, None)
    for each in sys.path:
        if known.get(each) is None:
            known.pop(each, None)


def _identity(uri: str) -> str:
    """A bundle stands at a location that names its content, so the URI is enough; a local file's stamp guards against edits."""
    name = storage.local_name(uri)
    if name is None:
        return uri
    try:
        stat = os.stat(name)  # noqa: PTH116  # every attempt waits for this
    except OSError as e:
        raise _unavailable(uri, e) from e
    return f"{uri}\0{stat.st_size}\0{stat.st_mtime_ns}"


def _archive(uri: str) -> bytes:
    try:
        return storage.read(uri)
    except Exception as e:
        raise _unavailable(uri, e) from e


def _unavailable(uri: str, why: Exception) -> BundleUnavailable:
    return BundleUnavailable(
        f"The code bundle {uri} could not be read: {type(why).__name__}: {why}. "
        "If it was deleted, register the task again."
    )


def _unpack_at(target: Path, archive: bytes, uri: str) -> None:
    """Unpack beside `target` and rename: whoever sees the folder sees all of it, however many attempts race for it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=unpacked.PART, dir=target.parent))
    try:
        unpack(archive, part)
        _check_version(part, uri)
        part.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack a ``.tar.gz`` of plain files and folders.

    Raises `BundleRefused` for absolute names, ``..``, links, devices, names that no disk takes, and more than 10,000 files or
    2 GiB; nothing is ever written outside `folder`.
    """
    files = total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                path = folder / _plain_name(member)
                files += 1
                total += member.size
                if files > MOST_FILES or total > MOST_BYTES:
                    raise BundleRefused(
                        f"The code bundle holds more than {MOST_FILES} files or {MOST_BYTES >> 30} GiB. "
                        "Pass data as inputs instead of bundling it."
                    )
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, ValueError) as e:
        raise BundleRefused(f"The code bundle is no .tar.gz archive: {e}") from e
    except OSError as e:
        if e.errno not in _IMPOSSIBLE_NAMES:
            raise
        raise BundleRefused(
            f"The code bundle holds names that cannot stand together, or at all, on a disk: {e.strerror}."
        ) from e


class _FilesBelow(Mapping[str, bytes]):
    """The files of a folder by their paths in it, read one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __iter__(self) -> Iterator[str]:
        paths = (p for p in self._folder.rglob("*") if p.is_file())
        names = (p.relative_to(self._folder).as_posix() for p in paths)
        return (name for name in names if name != MANIFEST)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()


def _check_version(folder: Path, uri: str) -> None:
    """What runs must be what was registered. A bundle that names no version was packed by somebody else's tools."""
    expected = _manifest(folder, uri).get("version")
    if expected and expected != content_version(_FilesBelow(folder)):
        raise BundleRefused(
            f"The code bundle {uri} is not what its {MANIFEST} says (version {expected}): it was changed after it was packed. "
            "Register the task again."
        )


def _plain_name(member: tarfile.TarInfo) -> PurePosixPath:
    name = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()):
        raise BundleRefused(
            f"The code bundle holds {member.name!r}, which is neither a file nor a folder."
        )
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise BundleRefused(f"The code bundle names {member.name!r}, which lies outside of it.")
    return name


def _cells(folder: Path, uri: str) -> Sequence[Cell]:
    fields = Cell.__dataclass_fields__
    try:
        return [
            Cell(**{k: v for k, v in cell.items() if k in fields})
            for cell in _manifest(folder, uri).get("cells", [])
        ]
    except (TypeError, AttributeError) as e:
        raise _damaged(uri, e) from e


def _manifest(folder: Path, uri: str) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as e:
        raise _damaged(uri, e) from e
    if not isinstance(manifest, dict):
        raise _damaged(uri, TypeError("it is no object"))
    return manifest


def _damaged(uri: str, why: Exception) -> BundleRefused:
    return BundleRefused(f"The code bundle {uri} has a damaged {MANIFEST}: {why}")
