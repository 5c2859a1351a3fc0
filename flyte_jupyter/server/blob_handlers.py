"""Uploads to and downloads from signed URLs, and decks."""

from __future__ import annotations

import asyncio
import base64
import errno
import mimetypes
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO, ParamSpec, TypeVar

from tornado.iostream import StreamClosedError

from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.data import key_of
from flyte_jupyter.server.admin.errors import InvalidArgument, NotFound, TooLarge
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.signing import safe_key
from flyte_jupyter.server.blob_places import BlobPlace, Upload
from flyte_jupyter.server.handlers import (
    ControlHandler,
    Listener,
    StreamingHandler,
    whole_number,
)

HTML_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_CHUNK = 256 * 1024


class BlobHandler(StreamingHandler):
    """``/x/v1/blobs/<key>``: PUT and GET by signature."""

    def initialize(  # type: ignore[override]
        self, listener: Listener, platform: Platform, place: BlobPlace, limit: int
    ) -> None:
        """Take the platform, the place of blobs and the size limit of an upload in bytes."""
        super().initialize(listener)
        self.platform = platform
        self.place = place
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
        if method == "PUT":
            self.wanted_md5 = _md5(query["md5"] or self.request.headers.get("Content-Md5", ""))
            self.request.connection.set_max_body_size(self.limit)  # type: ignore[union-attr]
            self._check_size(
                whole_number(self.request.headers.get("Content-Length", "0"), "Content-Length")
            )
            self.upload = await _to_disk(self.place.upload, self.key)

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
        file, size = await self._content()
        with file:
            kind = mimetypes.guess_type(self.key)[0] or "application/octet-stream"
            set_content_type(self, kind)
            self.set_header("Content-Length", str(size))
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                self.write(chunk)
                try:
                    await self.flush()
                except StreamClosedError:
                    return

    async def _content(self) -> tuple[BinaryIO, int]:
        """What stands under the key, as a file or in the database. Raises `NotFound`."""
        try:
            return await asyncio.to_thread(self.place.open, self.key)
        except NotFound:
            blobs = self.platform.blobs
            with suppress(BlobNotFound):
                data = await blobs.get(f"{blobs.root}/{self.key}")
                return BytesIO(data), len(data)
            raise

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
            uri = _of_attempt(uri, whole_number(attempt, "attempt"))
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


async def _to_disk(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do file work beside the event loop. Raises `BlobFailure`, which says when the disk is full."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise BlobFailure(str(error), no_space=full) from error
