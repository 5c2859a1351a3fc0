"""Files that travel between tasks."""

from __future__ import annotations

import inspect
import io
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, ClassVar

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import Unfit, shown
from flyte_jupyter.kernel.types.primitives import literal_kind
from flyte_jupyter.kernel.types.registry import Converter, TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage, fetch


class FlyteFile(os.PathLike[str]):
    """A file as a task's input or output: uploaded when returned, downloaded when first opened.

    Make one from a local path, ``FlyteFile("model.bin")``, or from a URI that tasks can read,
    ``FlyteFile("s3://bucket/table.csv")``. Anything that takes a path takes it: ``open(file)``, ``Path(file)``,
    ``pandas.read_csv(file)``. ``FlyteFile["csv"]`` as an annotation says the format.
    """

    format: ClassVar[str] = ""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        self._uri = text if is_uri(text) else ""
        self._local = None if self._uri else Path(text)
        self._storage: Storage | None = None

    def __class_getitem__(cls, file_format: str) -> type[FlyteFile]:
        return _with_format(file_format.lstrip("."))

    @classmethod
    def stored(cls, uri: str, storage: Storage) -> FlyteFile:
        """The file under a URI, to be fetched from a storage when it is first opened."""
        file = cls(uri)
        file._uri = uri
        file._local = None
        file._storage = storage
        return file

    @property
    def uri(self) -> str:
        """Where the file is stored; empty for a local file that has not been uploaded."""
        return self._uri

    @property
    def name(self) -> str:
        """The last part of the path or URI."""
        return Path(self._uri or os.fspath(self)).name

    def __fspath__(self) -> str:
        if self._local is None:
            self._local = self._download()
        return str(self._local)

    def open(self, mode: str = "r", encoding: str | None = None) -> IO[Any]:
        """Open the file, after fetching it if need be. For text, UTF-8 unless said otherwise."""
        if "b" not in mode and encoding is None:
            encoding = "utf-8"
        return io.open(self, mode, encoding=encoding)  # noqa: UP020 - this is open()

    def __repr__(self) -> str:
        return f"FlyteFile({self._uri or str(self._local)!r})"

    def _download(self) -> Path:
        name = Path(self._uri).name or "file"
        if self._storage is not None:
            local = self._storage.scratch() / name
            self._storage.get(self._uri, local)
            return local
        # A URI that the author wrote down: nobody else looks after the copy.
        folder = Path(tempfile.mkdtemp(prefix="flyte-file-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        fetch(self._uri, folder / name)
        return folder / name


@lru_cache(maxsize=256)
def _with_format(file_format: str) -> type[FlyteFile]:
    return type(f"FlyteFile[{file_format}]", (FlyteFile,), {"format": file_format})


def is_uri(text: str) -> bool:
    """Whether a text is a URI such as ``s3://...`` rather than a local path."""
    return "://" in text


class Files:
    """The family of `FlyteFile` and its formats."""

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter of ``FlyteFile`` or ``FlyteFile["csv"]``."""
        del registry
        if not (inspect.isclass(python_type) and issubclass(python_type, FlyteFile)):
            return None
        blob = core.BlobType(
            format=python_type.format, dimensionality=core.BlobType.BlobDimensionality.SINGLE
        )
        return FileConverter(python_type, core.LiteralType(blob=blob))

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """``FlyteFile`` of the blob's format."""
        del registry
        if literal_type.WhichOneof("type") != "blob":
            return None
        single = core.BlobType.BlobDimensionality.SINGLE
        if literal_type.blob.dimensionality != single:
            return None
        return _with_format(literal_type.blob.format) if literal_type.blob.format else FlyteFile


@dataclass(frozen=True)
class FileConverter:
    """Files of one format; local paths are taken too."""

    kind: type[FlyteFile]
    literal_type: core.LiteralType = field(repr=False)

    @property
    def name(self) -> str:
        """``FlyteFile`` or ``FlyteFile[csv]``."""
        return self.kind.__name__

    def check(self, value: Any) -> FlyteFile:
        """A file that exists, or one that is already stored."""
        if not isinstance(value, str | os.PathLike):
            raise Unfit(self.name, shown(value))
        file = value if isinstance(value, FlyteFile) else self.kind(value)
        if file.uri:
            return file
        path = Path(file)
        if path.is_dir():
            raise Unfit(self.name, f"the folder {path}", "Pack it into one file")
        if not path.is_file():
            raise Unfit(self.name, f"{path}, which does not exist in {Path.cwd()}")
        return file

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """A blob literal; a local file is uploaded."""
        file = self.check(value)
        uri = file.uri or storage.put(Path(file), file.name)
        blob = core.Blob(uri=uri, metadata=core.BlobMetadata(type=self.literal_type.blob))
        return core.Literal(scalar=core.Scalar(blob=blob))

    def decode(self, literal: core.Literal, storage: Storage) -> FlyteFile:
        """A file that is downloaded when it is first opened."""
        if literal.scalar.WhichOneof("value") != "blob":
            raise Unfit(self.name, literal_kind(literal))
        return self.kind.stored(literal.scalar.blob.uri, storage)

    def dump(self, value: Any, storage: Storage) -> dict[str, str]:
        """The file inside a dataclass: its URI, after uploading."""
        return {"path": self.encode(value, storage).scalar.blob.uri}

    def load(self, value: Any, storage: Storage) -> FlyteFile:
        """The file from inside a dataclass."""
        if not (isinstance(value, dict) and isinstance(value.get("path"), str)):
            raise Unfit(self.name, shown(value))
        return self.kind.stored(value["path"], storage)
