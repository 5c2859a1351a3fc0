"""From the files that a container wrote to literals, by the types of its outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flyte_jupyter.idl import core, literals, types
from flyte_jupyter.kernel.runtime.copilot import texts
from flyte_jupyter.kernel.runtime.copilot.inputs import file_name, name_of
from flyte_jupyter.kernel.runtime.copilot.values import (
    TABLES,
    BadValue,
    at,
    formed,
    of_text,
    raw,
    union,
)

ERROR_FILE = "_ERROR"
"""A container that writes this file says that it has failed, and why (Flyte's convention)."""
MOST_VALUE = 10 * 2**20
"""Bytes of a single value: more belongs into a file."""

_SEEN = 100
Store = Callable[[Path, str], str]
"""Copies a local file or folder to where outputs are kept, below this name, and gives its URI."""


class DeclaredError(Exception):
    """The container said itself, in `ERROR_FILE`, that it has failed."""


def read_outputs(folder: Path, outputs: core.VariableMap, store: Store) -> core.LiteralMap:
    """The outputs that stand in a folder: ``<variable>`` each, a file or a folder as its type asks; it may have an extension.

    Raises `BadValue` naming the variable (nothing there, or not of its type), `DeclaredError`, and whatever `store` raises.
    Links that lead out of the folder are refused: who reads may see more than who wrote.
    """
    error = folder / ERROR_FILE
    if error.exists() or error.is_symlink():
        raise DeclaredError(_cut(error))
    reader = _Reader(folder, store)
    found = core.LiteralMap()
    places = _places(folder, outputs.variables)
    for name, variable in sorted(outputs.variables.items()):
        with at(f"output {name!r}"):
            found.literals[name].CopyFrom(reader.read(places[name], variable.type))
    return found


def _places(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Where each output stands: ``model``, or else the only one called ``model.<something>`` that is no other output (Flyte's way)."""
    places = {name: file_name(name) for name in names}
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    others = there - set(places.values())
    for name, place in places.items():
        extended = [other for other in others if other.startswith(f"{place}.")]
        if place not in there and len(extended) == 1:
            places[name] = extended[0]
    return places


def _cut(error: Path) -> str:
    inside = error.parent.resolve()
    if not error.is_file() or not error.resolve().is_relative_to(inside):
        return f"it wrote {error}, which is no file of the folder of outputs"
    with error.open("rb") as file:
        return file.read(100_000).decode("utf-8", "replace").strip()


class _Reader:
    """Reads below one folder, and nowhere else."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._store = store

    def read(self, place: str, kind: core.LiteralType) -> core.Literal:
        """The literal of a type that stands at a place below the folder. Raises `BadValue`."""
        which = kind.WhichOneof("type")
        if which == "blob" or which in TABLES:
            return self._keep(place, kind)
        path = self._inside(place)
        if which == "union_type":
            return self._union(place, kind)
        if which == "simple" and kind.simple == core.SimpleType.NONE:
            return literals.none()
        if not path.exists():
            raise _missing(path)
        if path.is_dir():
            return self._folder_of(place, path, kind)
        data = self._bytes(path)
        if which == "simple":
            return _value(data, kind)
        if which == "enum_type":
            return formed(_text(data).strip(), kind, self._keep)
        return formed(_parsed(_text(data), kind), kind, self._keep)

    def _union(self, place: str, kind: core.LiteralType) -> core.Literal:
        path = self._inside(place)
        nothing = not path.exists() or _start(path).strip() == b"null"
        for variant in kind.union_type.variants:
            if nothing and _is_none(variant):
                made = core.Union(value=literals.none(), type=variant)
                return core.Literal(scalar=core.Scalar(union=made))
        if not path.exists():
            raise _missing(path)
        something = core.LiteralType()
        something.CopyFrom(kind)
        del something.union_type.variants[:]
        something.union_type.variants.extend(v for v in kind.union_type.variants if not _is_none(v))
        given = path if path.is_dir() else _start(path).decode("utf-8", "replace")
        return union(something, lambda variant: self.read(place, variant), given=given)

    def _folder_of(self, place: str, path: Path, kind: core.LiteralType) -> core.Literal:
        """A list or a map as a folder of its elements."""
        names = sorted(entry.name for entry in path.iterdir())
        match kind.WhichOneof("type"):
            case "collection_type":
                wanted = [str(number) for number in range(len(names))]
                if sorted(wanted) != names:
                    raise BadValue(
                        f"the entries of the folder {path} are not named 0 to {len(names) - 1}"
                    )
                items = core.LiteralCollection()
                for name in wanted:
                    with at(f"[{name}]"):
                        items.literals.append(self.read(f"{place}/{name}", kind.collection_type))
                return core.Literal(collection=items)
            case "map_value_type":
                entries = core.LiteralMap()
                for name in names:
                    with at(f".{_key(name)}"):
                        found = self.read(f"{place}/{name}", kind.map_value_type)
                        entries.literals[_key(name)].CopyFrom(found)
                return core.Literal(map=entries)
            case _:
                raise BadValue(f"expected {types.describe(kind)}, given the folder {path}")

    def _keep(self, place: str, kind: core.LiteralType) -> core.Literal:
        """Store a file, or a folder, that an output names."""
        path = self._inside(place)
        if not path.exists():
            raise _missing(path)
        self._check(path)
        if kind.HasField("blob"):
            folder = kind.blob.dimensionality == core.BlobType.MULTIPART
            if folder != path.is_dir():
                wanted, given = ("folder", "file") if folder else ("file", "folder")
                raise BadValue(f"expected a {wanted}, and {path} is a {given}")
        name = path.relative_to(self._folder).as_posix()
        if "::" in name:  # who reads a URI takes what follows for another one
            raise BadValue(
                f"{texts.shown(name)} has '::' in it, which no URI can: name it otherwise"
            )
        uri = self._store(path, name)
        if kind.HasField("blob"):
            blob = core.Blob(uri=uri, metadata=core.BlobMetadata(type=kind.blob))
            return core.Literal(scalar=core.Scalar(blob=blob))
        if kind.HasField("schema"):
            return core.Literal(scalar=core.Scalar(schema=core.Schema(uri=uri, type=kind.schema)))
        table = core.StructuredDataset(uri=uri)
        table.metadata.structured_dataset_type.CopyFrom(kind.structured_dataset_type)
        if not kind.structured_dataset_type.format:
            table.metadata.structured_dataset_type.format = "parquet"
        return core.Literal(scalar=core.Scalar(structured_dataset=table))

    def _inside(self, place: str) -> Path:
        """The path of a place, which must lie below the folder."""
        try:
            path = self._folder / place
            inside = path.resolve().is_relative_to(self._root) and path.is_relative_to(self._folder)
        except (OSError, ValueError, RuntimeError) as error:
            raise BadValue(f"{texts.shown(place)} is no path: {error}") from error
        if not inside or ".." in path.parts or path == self._folder:
            raise BadValue(f"{texts.shown(place)} leads out of the folder of outputs")
        return path

    def _check(self, path: Path) -> None:
        """Nothing but files and folders, and no link but to a file of the same folder."""
        found = [path]
        for parent, folders, files in os.walk(path):
            found += [Path(parent, name) for name in (*folders, *files)]
        for one in found:
            if one.is_symlink() and not (
                one.is_file() and one.resolve().is_relative_to(self._root)
            ):
                raise BadValue(f"the link {one} does not lead to a file of the folder of outputs")
            if not one.is_file() and not one.is_dir():
                raise BadValue(f"{one} is neither a file nor a folder")

    def _bytes(self, path: Path) -> bytes:
        if not path.is_file():
            raise BadValue(f"{path} is no file")
        size = path.stat().st_size
        if size > MOST_VALUE:
            raise BadValue(f"{path} has {size} bytes; a value has at most {MOST_VALUE}")
        return path.read_bytes()


def _missing(path: Path) -> BadValue:
    return BadValue(f"there is no {path}: the container did not write it")


def _value(data: bytes, kind: core.LiteralType) -> core.Literal:
    """A simple value from the content of its file. Raises `BadValue`."""
    kinds = core.SimpleType
    if kind.simple == kinds.BINARY:
        return raw(data)
    text = _text(data)
    if kind.simple == kinds.STRUCT:
        return formed(_parsed(text, kind), kind, _no_files)
    try:
        match kind.simple:
            case kinds.INTEGER:
                return literals.literal(texts.integer(text))
            case kinds.FLOAT:
                return literals.literal(texts.real(text))
            case kinds.BOOLEAN:
                return literals.literal(texts.boolean(text))
            case _:
                return of_text(text, kind.simple, kind)
    except (ValueError, OverflowError) as error:
        raise BadValue(f"expected {types.describe(kind)}: {error}") from error


def _no_files(place: str, kind: core.LiteralType) -> core.Literal:
    raise BadValue(f"expected {types.describe(kind)}, given {texts.shown(place)}")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadValue(f"is not UTF-8 text: {error}") from error


def _parsed(text: str, kind: core.LiteralType) -> Any:
    try:
        return json.loads(text, parse_float=texts.real)
    except (ValueError, RecursionError) as error:
        message = f"expected {types.describe(kind)} as JSON, given {texts.shown(text)}: {error}"
        raise BadValue(message) from error


def _is_none(kind: core.LiteralType) -> bool:
    return kind.WhichOneof("type") == "simple" and kind.simple == core.SimpleType.NONE


def _start(path: Path) -> bytes:
    """The beginning of a file; empty for what is none."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(_SEEN)


def _key(name: str) -> str:
    """The map's key that a file name stands for. Raises `BadValue` for one that is no text."""
    try:
        key = name_of(name)
        key.encode()
    except UnicodeError as error:
        raise BadValue(f"the file name {os.fsencode(name)!r} is not UTF-8 text") from error
    return key
