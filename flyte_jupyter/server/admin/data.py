"""Inputs and outputs of executions and nodes as clients read them: inline, or by URL when large."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from flyte_jupyter.engine.ports import BlobNotFound
from flyte_jupyter.idl import admin, core
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.errors import DataLoss
from flyte_jupyter.server.admin.platform import Platform


@dataclass(frozen=True, slots=True)
class Data:
    """One literal map: its content when it is small, and its URL and size in any case."""

    full: core.LiteralMap
    url: admin.UrlBlob


async def read_data(platform: Platform, uri: str, caller: Caller) -> Data:
    """The literals at a URI of ours; empty when nothing was written there (yet)."""
    if not uri:
        return Data(core.LiteralMap(), admin.UrlBlob())
    try:
        raw = await platform.blobs.get(uri)
    except BlobNotFound:
        return Data(core.LiteralMap(), admin.UrlBlob())
    url = admin.UrlBlob(url=signed_download(platform, uri, caller), bytes=len(raw))
    if len(raw) > platform.inline_data:
        return Data(core.LiteralMap(), url)
    return Data(await asyncio.to_thread(literals_of, raw, uri), url)


def literals_of(raw: bytes, uri: str) -> core.LiteralMap:
    """The literals that a file holds. Raises `DataLoss` naming it."""
    try:
        return core.LiteralMap.FromString(raw)
    except DecodeError as error:
        raise DataLoss(
            f"{uri} is damaged: something wrote over it or cut it off. Launch again, with the inputs given anew"
        ) from error


def key_of(platform: Platform, uri: str) -> str:
    """The key of a URI below the blob root; empty when it is not below it."""
    root = platform.blobs.root.rstrip("/") + "/"
    return uri.removeprefix(root) if uri.startswith(root) else ""


def signed_download(platform: Platform, uri: str, caller: Caller) -> str:
    """A URL by which the caller can read the blob for a while; empty when the blob is not ours."""
    key = key_of(platform, uri)
    expires = platform.now() + platform.upload_expiry
    return platform.signer.url(caller.base_url, "GET", key, expires) if key else ""
