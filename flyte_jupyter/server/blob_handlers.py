"""Uploads to and downloads from signed URLs, and decks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import hashlib
import hmac
import mimetypes
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from tornado.iostream import StreamClosedError

from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.data import key_of
from flyte_jupyter.server.admin.errors import InvalidArgument, NotFound, TooLarge
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.signing import safe_key
from flyte_jupyter.server.handlers import ControlHandler, Listener, StreamingHandler

HTML_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class BlobFolder:
    """Where the blobs of a local control plane stand on disk."""

    root: Path

    def path(self, key: str) -> Path:
        """The file of a key that `safe_key` has passed; symbolic links must not lead out either.

        Raises:
            InvalidArgument: the key leads out of the root.
        """
        root = self.root.resolve()
        path = (root / key).resolve()
        if not path.is_relative_to(root):
            raise InvalidArgument("A blob's key stays below the root")
        return path


class Upload:
    """A file that grows beside its final place and gets its name when it is whole."""

    def __init__(self, target: Path) -> None:
        self._target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        self._partial = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
        self._file: BinaryIO = self._partial.open("xb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add a part."""
        self._file.write(chunk)
        self._md5.update(chunk)
        self.size += len(chunk)

    def finish(self, wanted: bytes) -> None:
        """Give the file its name. Raises `InvalidArgument` when its MD5 is not the one that was promised."""
        if wanted and not hmac.compare_digest(self._md5.digest(), wanted):
            raise InvalidArgument("The content is not what its Content-MD5 says: send it again")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._target)

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # what it still holds may not fit on the disk
            self._file.close()
        self._partial.unlink(missing_ok=True)


class BlobHandler(StreamingHandler):
    """``/x/v1/blobs/<key>``: PUT and GET by signature."""

    def initialize(  # type: ignore[override]
        self, listener: Listener, platform: Platform, folder: BlobFolder, limit: int
    ) -> None:
        """Take the platform, the folder and the size limit of an upload in bytes."""
        super().initialize(listener)
        self.platform = platform
        self.folder = folder
        self.limit = limit
        self.upload: Upload | None = None

    async def check(self) -> None:
        """Check the signature before the body comes; a good one is as good as a token."""
        self.listener.presence.touch()
        method = self.request.method or ""
        if method not in ("GET", "PUT"):
            return
        self.key = safe_key(self.request.path.removeprefix("/x/v1/blobs/"))
        query = {
            name: self.get_query_argument(name, "") for name in ("expires", "signature", "md5")
        }
        self.platform.signer.check(method, self.key, query, self.platform.now())
        self.path_on_disk = await asyncio.to_thread(self.folder.path, self.key)
        if method == "PUT":
            self.wanted_md5 = _md5(query["md5"] or self.request.headers.get("Content-Md5", ""))
            self.request.connection.set_max_body_size(self.limit)  # type: ignore[union-attr]
            self._check_size(_length(self.request.headers.get("Content-Length", "")))
            self.upload = await _to_disk(Upload, self.path_on_disk)

    async def receive(self, chunk: bytes) -> None:
        """Write as it comes; the network waits for the disk."""
        if self.upload is not None:
            self._check_size(self.upload.size + len(chunk))
            await _to_disk(self.upload.write, chunk)

    async def put(self, *_: str) -> None:
        """The whole body has come."""
        self.raise_refusal()
        assert self.upload is not None
        try:
            await _to_disk(self.upload.finish, self.wanted_md5)
        finally:
            self._abandon()
        self.answer({})

    async def get(self, *_: str) -> None:
        """Send the file; HTML under a policy that lets it do nothing but draw."""
        self.raise_refusal()
        await self.send_file(self.path_on_disk)

    async def send_file(self, path: Path) -> None:
        """Stream a file. Raises `NotFound`."""
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFound("There is no such data") from error
        with file:
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            set_content_type(self, kind)
            self.set_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                self.write(chunk)
                try:
                    await self.flush()
                except StreamClosedError:
                    return

    def on_finish(self) -> None:
        """An upload that did not end well leaves nothing."""
        self._abandon()

    def on_connection_close(self) -> None:
        """The client went away in the middle."""
        super().on_connection_close()
        self._abandon()

    def _abandon(self) -> None:
        if self.upload is not None:
            self.upload.discard()
            self.upload = None

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            self._abandon()
            raise TooLarge(f"An upload has at most {self.limit} bytes")


class DeckHandler(ControlHandler):
    """``/x/v1/decks/{project}/{domain}/{execution}/{node}``: the page that a node left."""

    def initialize(self, listener: Listener, platform: Platform) -> None:  # type: ignore[override]
        """Take the platform."""
        super().initialize(listener)
        self.platform = platform

    async def get(self, project: str, domain: str, name: str, node: str) -> None:
        """The node's deck, or that of one attempt. Raises `NotFound`."""
        found = await self.platform.executions.node_execution(RunId(project, domain, name), node)
        uri = found.closure.deck_uri
        attempt = self.get_query_argument("attempt", "")
        if attempt:
            uri = _of_attempt(uri, _length(attempt))
        missing = NotFound(f"{project}/{domain}/{name}: node {node} has no deck")
        if not key_of(self.platform, uri):
            raise missing
        try:
            page = await self.platform.blobs.get(uri)
        except BlobNotFound as error:
            raise missing from error
        set_content_type(self, "text/html")
        await self.finish(page)


def set_content_type(handler: ControlHandler, kind: str) -> None:
    """Say what the content is. What a browser would run gets the policy, whatever it is called."""
    text = kind.startswith("text/")
    handler.set_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
    handler.set_header("Content-Security-Policy", HTML_POLICY)


def _of_attempt(uri: str, attempt: int) -> str:
    """The deck of another attempt stands in the folder beside."""
    parts = uri.split("/")
    return "/".join([*parts[:-2], str(attempt), parts[-1]]) if len(parts) > 2 else ""  # noqa: PLR2004  folder and file


def _md5(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidArgument("Content-MD5 must be base64") from error


def _length(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise InvalidArgument(f"{text!r} is not a number")
    return int(text or 0)


async def _to_disk(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do file work beside the event loop. Raises `BlobFailure`, which says when the disk is full."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise BlobFailure(str(error), no_space=full) from error
