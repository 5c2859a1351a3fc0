"""Flyte's REST API: one handler, driven by the routing table, JSON and binary protobuf both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qs

from google.protobuf.message import Message
from tornado.web import HTTPError

from flyte_jupyter.server.admin.calls import UseCases
from flyte_jupyter.server.admin.errors import InvalidArgument, NotFound, TooLarge, Unimplemented
from flyte_jupyter.server.handlers import Listener, StreamingHandler
from flyte_jupyter.server.messages import from_binary, from_json, set_fields, to_json_bytes
from flyte_jupyter.server.routes import Route, find, methods_at

BINARY = "application/octet-stream"
JSON = "application/json"
_HEARD_OUT = 4
"""A body up to so many times too large is heard out, so that its sender gets the answer."""
_LARGE = 32 * 1024
"""Bytes from which on a message is converted beside the event loop."""


class RpcHandler(StreamingHandler):
    """Serves every RPC: finds its row, makes the request message, calls the use case, writes the answer."""

    def initialize(self, listener: Listener, use_cases: UseCases, limit: int) -> None:  # type: ignore[override]
        """Take the use cases and the size limit of a request's body in bytes."""
        super().initialize(listener)
        self.use_cases = use_cases
        self.limit = limit
        self.body = bytearray()

    async def check(self) -> None:
        """Find the row before the body comes. Raises `NotFound`, `TooLarge`, HTTP 405 or 415."""
        self.request.connection.set_max_body_size(_HEARD_OUT * self.limit)  # type: ignore[union-attr]
        self.authenticate()
        found = find(self.request.method or "", self.request.path)
        if found is None:
            allowed = methods_at(self.request.path)
            if not allowed:
                raise NotFound(f"There is nothing at {self.request.path}")
            raise HTTPError(405, f"Only {', '.join(allowed)} at {self.request.path}")
        self.route, self.values = found
        content_type = self._media_type("Content-Type")
        if self.route.body and content_type not in ("", JSON, BINARY, "text/plain"):
            raise HTTPError(415, f"A body is {JSON} or {BINARY}, not {content_type}")
        self._check_size(_content_length(self.request.headers.get("Content-Length")))

    async def receive(self, chunk: bytes) -> None:
        """Collect the body up to the limit."""
        self._check_size(len(self.body) + len(chunk))
        self.body.extend(chunk)

    async def get(self) -> None:
        """Serve any method: the row says which RPC it is."""
        self.raise_refusal()
        route = self.route
        use_case = self.use_cases.get(route.rpc)
        if use_case is None:
            raise Unimplemented(f"{route.rpc} is not part of this version of flyte-jupyter")
        request = await self._request_message(route, self.values)
        response: Message = await use_case(request, self.caller)
        binary = self._wants_binary()
        size = response.ByteSize()
        write = _binary if binary else to_json_bytes
        data = await asyncio.to_thread(write, response) if size > _LARGE else write(response)
        self.set_header("Content-Type", BINARY if binary else JSON)
        await self.finish(data)

    put = post = delete = patch = get

    async def _request_message(self, route: Route, values: Mapping[str, str]) -> Message:
        request = route.request()
        if route.body:
            read = from_binary if self._media_type("Content-Type") == BINARY else from_json
            body = bytes(self.body)
            if len(body) > _LARGE:
                await asyncio.to_thread(read, body, request)
            else:
                read(body, request)
        else:
            set_fields(request, _query(self.request.query))
        set_fields(request, {name: [text] for name, text in values.items()})
        return request

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            raise TooLarge(
                f"The body is larger than {self.limit // 2**20} MiB: "
                "put large data to an upload location"
            )

    def _media_type(self, header: str) -> str:
        return self.request.headers.get(header, "").partition(";")[0].strip().lower()

    def _wants_binary(self) -> bool:
        accepted = self.request.headers.get("Accept", "").lower()
        if BINARY in accepted:
            return True
        anything = accepted in ("", "*/*")
        return anything and self._media_type("Content-Type") == BINARY


def _binary(message: Message) -> bytes:
    return message.SerializeToString()


def _content_length(header: str | None) -> int:
    return int(header) if header and header.isdecimal() else 0


def _query(text: str) -> Mapping[str, list[str]]:
    try:
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError as error:
        raise InvalidArgument(f"The query string cannot be read: {error}") from error
