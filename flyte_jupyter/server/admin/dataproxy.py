"""The data proxy: where to upload code and data, and how to get them back."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_jupyter.idl import core, service
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.data import key_of, read_data, signed_download
from flyte_jupyter.server.admin.errors import AlreadyExists, InvalidArgument, NotFound
from flyte_jupyter.server.admin.names import required, run_id
from flyte_jupyter.server.admin.platform import Platform
from flyte_jupyter.server.admin.projects import check_open
from flyte_jupyter.server.admin.signing import safe_key

MD5_BYTES = 16
_LONGEST_NAME = 255
"""Bytes of one file's or folder's name, on nearly every file system."""
_FLYTE_URL = re.compile(
    r"flyte://v1/(?P<project>[^/]+)/(?P<domain>[^/]+)/(?P<name>[^/]+)/(?P<node>[^/]+)"
    r"(?:/(?P<attempt>[0-9]{1,10}))?/(?P<side>[iod])(?:/(?P<variable>[^/]+))?"
)


class DataProxyCases:
    """Signed locations, decks, and data by ``flyte://`` URL."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def upload_location(
        self, request: service.CreateUploadLocationRequest, caller: Caller
    ) -> service.CreateUploadLocationResponse:
        """Where to PUT a file: the same content gets the same place, and other content never that of a file that is there."""
        await check_open(self._platform, request.project, request.domain)
        if not request.filename_root and not request.content_md5:
            raise InvalidArgument("Give content_md5, filename_root, or both")
        if request.content_md5 and len(request.content_md5) != MD5_BYTES:
            raise InvalidArgument("content_md5 must be the 16 bytes of an MD5")
        folder = request.filename_root or base64.b32encode(request.content_md5).decode().rstrip("=")
        name = request.filename or secrets.token_hex(10)
        key = safe_key_of("uploads", request.project, request.domain, folder, name)
        expires = self._expiry(request.expires_in)
        md5 = request.content_md5
        if request.filename_root and request.filename:
            await self._check_free(key, md5)
        headers = {"Content-Md5": base64.b64encode(md5).decode()} if md5 else {}
        return service.CreateUploadLocationResponse(
            signed_url=self._platform.signer.url(caller.base_url, "PUT", key, expires, md5=md5),
            native_url=f"{self._platform.blobs.root}/{key}",
            expires_at=_stamp(expires),
            headers=headers,
        )

    async def _check_free(self, key: str, md5: bytes) -> None:
        """That an upload would replace nothing but itself. Raises `AlreadyExists`."""
        known = await asyncio.to_thread(self._platform.md5_of, key)
        if known is not None and known != md5:
            raise AlreadyExists(
                f"{self._platform.blobs.root}/{key} is there already, with other content or none promised: choose another "
                "filename or filename_root, or give its content_md5 to upload the same again"
            )

    async def download_link(
        self, request: service.CreateDownloadLinkRequest, caller: Caller
    ) -> service.CreateDownloadLinkResponse:
        """How to GET a node's deck."""
        if request.artifact_type != service.ArtifactType.ARTIFACT_TYPE_DECK:
            raise InvalidArgument("artifact_type must be ARTIFACT_TYPE_DECK")
        node = request.node_execution_id
        run = run_id(node.execution_id)
        found = await self._platform.executions.node_execution(
            run, required(node.node_id, "node_execution_id.node_id")
        )
        if not found.closure.deck_uri:
            raise NotFound(f"{run}: node {node.node_id} has no deck")
        expires = self._expiry(request.expires_in)
        key = key_of(self._platform, found.closure.deck_uri)
        url = self._platform.signer.url(caller.base_url, "GET", key, expires)
        return service.CreateDownloadLinkResponse(
            signed_url=[url],
            expires_at=_stamp(expires),
            pre_signed_urls=service.PreSignedURLs(signed_url=[url], expires_at=_stamp(expires)),
        )

    async def get_data(
        self, request: service.GetDataRequest, caller: Caller
    ) -> service.GetDataResponse:
        """What a ``flyte://v1/project/domain/execution/node[/attempt]/{i,o,d}[/variable]`` URL names."""
        found = _FLYTE_URL.fullmatch(request.flyte_url)
        if found is None:
            raise InvalidArgument(f"{request.flyte_url!r} is no flyte://v1/... URL")
        run = RunId(found["project"], found["domain"], found["name"])
        if found["side"] == "d":
            return await self._deck(run, found, caller)
        executions = self._platform.executions
        of = (
            await executions.task_execution(run, found["node"], int(found["attempt"]))
            if found["attempt"]
            else await executions.node_execution(run, found["node"])
        )
        uri = of.input_uri if found["side"] == "i" else of.closure.output_uri
        data = await read_data(self._platform, uri, caller)
        return _chosen(data.full, found["variable"], request.flyte_url)

    async def _deck(
        self, run: RunId, found: re.Match[str], caller: Caller
    ) -> service.GetDataResponse:
        if found["attempt"]:
            raise InvalidArgument("A deck is a node's, not an attempt's")
        node = await self._platform.executions.node_execution(run, found["node"])
        if not node.closure.deck_uri:
            raise NotFound(f"{run}: node {found['node']} has no deck")
        url = signed_download(self._platform, node.closure.deck_uri, caller)
        expires = _stamp(self._platform.now() + self._platform.upload_expiry)
        return service.GetDataResponse(
            pre_signed_urls=service.PreSignedURLs(signed_url=[url], expires_at=expires)
        )

    def _expiry(self, asked: Duration) -> datetime:
        longest = self._platform.upload_expiry
        wanted = asked.seconds + asked.nanos / 1e9 if asked.ByteSize() else longest.total_seconds()
        if not 0 < wanted <= longest.total_seconds():
            raise InvalidArgument(f"expires_in must be positive and at most {longest}")
        return self._platform.now() + timedelta(seconds=wanted)


def safe_key_of(*parts: str) -> str:
    """The key with these parts, none of which may climb. Raises `InvalidArgument`."""
    for part in parts:
        if part.startswith("/") or part.endswith("/"):
            raise InvalidArgument(f"{part!r} cannot be part of a location")
        longest = max(part.split("/"), key=lambda name: len(name.encode()))
        if len(longest.encode()) > _LONGEST_NAME:
            raise InvalidArgument(
                f"{longest[:40]}... cannot name a file: it has {len(longest.encode())} bytes, and a file system takes "
                f"{_LONGEST_NAME}; choose a shorter filename"
            )
    return safe_key("/".join(parts), encoded=False)


def _chosen(data: core.LiteralMap, variable: str | None, url: str) -> service.GetDataResponse:
    if variable is None:
        return service.GetDataResponse(literal_map=data)
    if variable not in data.literals:
        raise NotFound(f"{url}: there is no {variable!r} (there are: {', '.join(data.literals)})")
    return service.GetDataResponse(literal=data.literals[variable])


def _stamp(when: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp
