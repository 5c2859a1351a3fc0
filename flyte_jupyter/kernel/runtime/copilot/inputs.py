"""Literals into a folder: a file for each variable, and all of them together in one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from flyte_jupyter.idl import core, msgpack
from flyte_jupyter.kernel.runtime.copilot import texts
from flyte_jupyter.kernel.runtime.copilot.values import plain

Fetch = Callable[[str, Path], None]
"""Copies the file, or the folder, at a URI to a new local path."""

_NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON may have in its texts and YAML refuses, or takes for the end of a line."""
_SAFE = " !#$&'()+,-.;=@[]^_`{}~"


def write_inputs(
    literals: core.LiteralMap,
    folder: Path,
    data_format: core.DataLoadingConfig.LiteralMapFormat = core.DataLoadingConfig.JSON,
    *,
    fetch: Fetch | None = None,
    seen_as: str = "",
) -> None:
    """Write ``<variable>`` for each input, ``inputs.pb``, and ``inputs.json`` or ``inputs.yaml`` as the format asks.

    A list or a map is a folder with an entry for each element. Files and tables are fetched with `fetch`; without it they stay
    where they are and their URIs are written. `seen_as` is the folder's path for who will read it, when that is another.
    Raises whatever `fetch` raises, and `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = _Writer(folder, seen_as or str(folder), fetch)
    local = core.LiteralMap()
    for name, literal in sorted(literals.literals.items()):
        local.literals[name].CopyFrom(writer.write(literal, file_name(name)))
    _put(folder / "inputs.pb", local.SerializeToString(deterministic=True))
    formats = core.DataLoadingConfig
    if data_format in (formats.JSON, formats.YAML):
        data = {name: plain(literal) for name, literal in sorted(local.literals.items())}
        suffix = "json" if data_format == formats.JSON else "yaml"
        text = json.dumps(data, ensure_ascii=False, indent=None if suffix == "json" else 1)
        if suffix == "yaml":
            # Otherwise YAML takes JSON as it is.
            text = _NO_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
        _put(folder / f"inputs.{suffix}", _encoded(text))


def file_name(name: str) -> str:
    """A variable's, or a map key's, file name: itself, with what a file name cannot hold as ``%2F`` and the like."""
    if name in ("", ".", ".."):
        return "%" if not name else name.replace(".", "%2E")
    return name if name.isidentifier() else quote(name, safe=_SAFE)


def name_of(file: str) -> str:
    """The name that a file name stands for: the reverse of `file_name`."""
    return "" if file == "%" else unquote(file, errors="surrogateescape")


class _Writer:
    """Writes literals below one folder; what it returns names local files."""

    def __init__(self, folder: Path, seen_as: str, fetch: Fetch | None) -> None:
        self._folder = folder
        self._seen_as = seen_as.rstrip("/")
        self._fetch = fetch

    def write(self, literal: core.Literal, place: str) -> core.Literal:
        """Write one literal at a place below the folder, and give it as the container is to see it."""
        match literal.WhichOneof("value"):
            case "collection":
                entries = {str(n): item for n, item in enumerate(literal.collection.literals)}
                items = self._write_all(entries, place).values()
                return core.Literal(collection=core.LiteralCollection(literals=items))
            case "map":
                found = self._write_all(literal.map.literals, place)
                return core.Literal(map=core.LiteralMap(literals=found))
            case _:
                return self._write_scalar(literal, place)

    def _write_all(
        self, entries: Mapping[str, core.Literal], place: str
    ) -> dict[str, core.Literal]:
        (self._folder / place).mkdir(parents=True, exist_ok=True)
        return {key: self.write(item, f"{place}/{file_name(key)}") for key, item in entries.items()}

    def _write_scalar(self, literal: core.Literal, place: str) -> core.Literal:
        scalar = literal.scalar
        match scalar.WhichOneof("value"):
            case "union":
                inside = self.write(scalar.union.value, place)
                union = core.Union(value=inside, type=scalar.union.type)
                return core.Literal(scalar=core.Scalar(union=union))
            case "blob" | "structured_dataset" | "schema" if self._fetch is not None:
                return self._write_file(literal, place)
            case _:
                _put(self._folder / place, _content(literal))
                return literal

    def _write_file(self, literal: core.Literal, place: str) -> core.Literal:
        local = core.Literal()
        local.CopyFrom(literal)
        holder = getattr(local.scalar, local.scalar.WhichOneof("value") or "blob")
        assert self._fetch is not None
        self._fetch(holder.uri, self._folder / place)
        holder.uri = f"{self._seen_as}/{place}"
        return local


def _content(literal: core.Literal) -> bytes:
    """One value as the content of a file: text as it is, numbers and times as Go writes them, structures as JSON."""
    scalar = literal.scalar
    match scalar.WhichOneof("value"):
        case "primitive":
            match scalar.primitive.WhichOneof("value"):
                case "string_value":
                    return _encoded(scalar.primitive.string_value)
                case "float_value":
                    return texts.real_text(scalar.primitive.float_value).encode()
        case "binary" if scalar.binary.tag != msgpack.TAG:
            return scalar.binary.value
        case "none_type":
            return b"null"
    value = plain(literal)
    return _encoded(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
