"""Where uploads go and downloads come from: a folder of this machine, or an object store."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from flyte_jupyter.server.admin.errors import InvalidArgument, NotFound

_IN_THE_WAY = (
    "{} cannot be stored: another upload has put a file where this one needs a folder, or a folder where this one is "
    "a file: choose another filename or filename_root"
)

_PART = 1024 * 1024
_NO_FILE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)


class Upload:
    """A file that grows beside its final place and gets there when it is whole."""

    def __init__(self, partial: Path, deliver: Callable[[Path], None]) -> None:
        """Make the partial file. `deliver` takes the whole one where it belongs."""
        partial.parent.mkdir(parents=True, exist_ok=True)
        self._partial = partial
        self._deliver = deliver
        self._file: BinaryIO = partial.open("xb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add a part."""
        self._file.write(chunk)
        self._md5.update(chunk)
        self.size += len(chunk)

    def finish(self, wanted: bytes) -> None:
        """Put it in its place. Raises `InvalidArgument` when its MD5 is not the one that was promised."""
        if wanted and not hmac.compare_digest(self._md5.digest(), wanted):
            raise InvalidArgument("The content is not what its Content-MD5 says: send it again")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._deliver(self._partial)

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # what it still holds may not fit on the disk
            self._file.close()
        self._partial.unlink(missing_ok=True)


class BlobPlace(Protocol):
    """Blobs by keys that `safe_key` has passed. All methods do file work: call them in a thread."""

    def upload(self, key: str) -> Upload:
        """Begin to write what will stand under the key."""

    def open(self, key: str) -> tuple[BinaryIO, int]:
        """What stands under the key, and its size in bytes. Raises `NotFound`."""


def md5_of(place: BlobPlace, key: str) -> bytes | None:
    """The MD5 of what stands under the key, read a part at a time; None when nothing does."""
    try:
        file, _ = place.open(key)
    except NotFound:
        return None
    digest = hashlib.md5(usedforsecurity=False)
    with file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class BlobFolder:
    """The blobs of a local control plane, on its disk."""

    root: Path

    def upload(self, key: str) -> Upload:
        """Write beside the place and rename. Raises `InvalidArgument` for a place that no file can have here."""
        target = self.path(key)
        partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
        try:
            if target.is_dir():
                raise InvalidArgument(_IN_THE_WAY.format(key))
            return Upload(partial, lambda whole: _rename(whole, target))
        except (FileExistsError, NotADirectoryError) as error:
            raise InvalidArgument(_IN_THE_WAY.format(key)) from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise InvalidArgument(
                f"The file system has no room for a path as long as that of {key[:80]}...: choose shorter names"
            ) from error

    def open(self, key: str) -> tuple[BinaryIO, int]:
        """The file of the key."""
        try:
            file = self.path(key).open("rb")
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            raise NotFound("There is no such data") from error
        return file, os.fstat(file.fileno()).st_size

    def path(self, key: str) -> Path:
        """The file of a key; symbolic links must not lead out either.

        Raises:
            InvalidArgument: the key leads out of the root.
        """
        root = self.root.resolve()
        path = (root / key).resolve()
        if not path.is_relative_to(root):
            raise InvalidArgument("A blob's key stays below the root")
        return path


class BlobBucket:
    """The blobs of a control plane whose attempts run elsewhere: an object store, through fsspec.

    Uploads are gathered in `spool`, a local folder, so that what arrives there is whole and of the right content.
    """

    def __init__(self, root: str, spool: Path) -> None:
        self._root = root.rstrip("/")
        self._spool = spool

    def upload(self, key: str) -> Upload:
        """Gather it here and send it when it is whole."""

        def deliver(whole: Path) -> None:
            self._files().put_file(str(whole), f"{self._root}/{key}")

        return Upload(self._spool / f"{secrets.token_hex(16)}.part", deliver)

    def open(self, key: str) -> tuple[BinaryIO, int]:
        """The object of the key, read as it is sent on."""
        try:
            file: Any = self._files().open(f"{self._root}/{key}", "rb")
            return file, int(file.size)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise NotFound("There is no such data") from error

    def _files(self) -> Any:
        import fsspec

        return fsspec.filesystem(self._root.partition("://")[0])


def _rename(whole: Path, target: Path) -> None:
    whole.replace(target)
