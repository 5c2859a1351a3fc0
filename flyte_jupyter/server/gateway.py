"""The routes that the Jupyter server offers: authenticate, authorise, pass on. Nothing is decided here, nothing is kept.

Authorisation is asked for with the resource and action of this very request. (jupyter_server's ``@authorized`` remembers those of the first
request that a shared method served, which a handler of many resources cannot use.) It happens before a request's body is read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.httputil import HTTPHeaders
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketHandler

from flyte_jupyter.server.exchange import Exchange
from flyte_jupyter.server.upstream import Upstream
from flyte_jupyter.supervisor import SupervisorError

PASSED_ON = ("Accept", "Content-Type", "Content-Md5")
PASSED_BACK = (
    "Content-Type",
    "Content-Length",
    "Cache-Control",
    "Content-Security-Policy",
    "X-Content-Type-Options",
)
METHODS = ("GET", "POST", "PUT", "DELETE")
EXECUTE = {"executions", "signals"}
READS_BY_POST = {"api/v1/dataproxy/artifact_link", "x/v1/catalog/preview"}
UNAVAILABLE = 14
"""gRPC's code for: nobody is there."""


def action_of(method: str, path: str) -> str:
    """What a request does, in the words of Jupyter's authoriser: read, write or execute."""
    if method in ("GET", "HEAD") or path in READS_BY_POST:
        return "read"
    return "execute" if resource_of(path) in EXECUTE else "write"


def resource_of(path: str) -> str:
    """The kind of thing a request is about: the first name behind ``api/v1`` or ``x/v1``."""
    return path.split("/")[2] if path.count("/") >= 2 else "control_plane"  # noqa: PLR2004  api/v1/<resource>


def plain(path: str) -> bool:
    """Whether a path means the same to everybody who reads it: no part that somebody on the way may resolve or drop."""
    parts = path.split("/")
    return all(parts) and not {".", ".."} & {
        piece for part in parts for piece in unquote(part).split("/")
    }


async def authorise(handler: JupyterHandler, action: str, resource: str) -> None:
    """Ask Jupyter's authoriser.

    Raises:
        HTTPError: 403, when it says no.
    """
    allowed = await ensure_async(
        handler.authorizer.is_authorized(
            handler, handler.current_user, action, f"flyte_jupyter:{resource}"
        )
    )
    if not allowed:
        raise web.HTTPError(403, f"you may not {action} {resource}")


@web.stream_request_body
class PassOn(APIHandler):
    """``flyte-jupyter/api/v1/...`` and ``flyte-jupyter/x/v1/...`` over HTTP."""

    _track_activity = False  # a console that looks is no reason to keep a server from being culled
    _exchange: Exchange | None = None
    _content_type = ""
    """The answer's, once it has begun."""

    def initialize(self, upstream: Upstream) -> None:
        """Take the line to the control plane."""
        self._upstream = upstream

    async def prepare(self) -> None:  # type: ignore[override]
        """Who asks, for what, and may they: before any of the body is taken."""
        await super().prepare()
        method = self.request.method or ""
        if self._finished or method not in METHODS:
            return
        if self.current_user is None:
            raise web.HTTPError(403)
        # As it came: the path that tornado hands to a method is decoded, and a name with a slash,
        # a space or a question mark in it would become another request.
        path = self.request.path[len(self.base_url) :].removeprefix("flyte-jupyter/")
        if not plain(path):
            raise web.HTTPError(404, "a path has no empty part, no '.' and no '..'")
        await authorise(self, action_of(method, path), resource_of(path))
        self._target = f"/{path}" + (f"?{self.request.query}" if self.request.query else "")
        if method != "GET":
            await self._open()

    async def _open(self) -> None:
        method, headers = self.request.method or "", self._headers_passed_on()
        try:
            self._exchange = await self._upstream.open(method, self._target, headers)
        except SupervisorError as error:
            self._nobody_there(error)
        if self.request.connection.stream.closed():  # type: ignore[union-attr]
            self._hang_up()  # the client left while we were looking

    def _headers_passed_on(self) -> dict[str, str]:
        given = self.request.headers
        passed = {name: given[name] for name in PASSED_ON if name in given}
        if self.request.method == "GET":
            return passed
        if "Content-Length" in given:
            passed["Content-Length"] = given["Content-Length"]
        elif "Transfer-Encoding" not in given:
            passed["Content-Length"] = "0"
        elif self.request.method == "DELETE":
            raise web.HTTPError(411, "send a Content-Length")
        return passed

    async def data_received(self, chunk: bytes) -> None:
        """Pass a part of the body on; the client waits until the control plane has taken it."""
        if self._exchange is None:
            return
        try:
            await self._exchange.send(chunk)
        except SupervisorError as error:
            self._nobody_there(error)

    async def _pass_back(self, *, again: bool = False) -> None:
        if self._exchange is None:
            return
        try:
            await self._exchange.answer(self)
        except SupervisorError as error:
            self._hang_up()
            if again and not self._content_type:
                await self._open()
                await self._pass_back()
            else:
                self._nobody_there(error)
        if not self._finished:
            self.finish(set_content_type=self._content_type)

    def begin(self, status: int, headers: HTTPHeaders) -> None:
        """The control plane's answer begins."""
        self.set_status(status)
        for name in PASSED_BACK:
            if name in headers:
                self.set_header(name, headers[name])
        self._content_type = headers.get("Content-Type", "application/json")

    async def receive(self, part: bytes) -> None:
        """Pass a part of the answer back; waits for a slow client, which holds the control plane back too."""
        self.write(part)
        await self.flush()

    def _nobody_there(self, error: SupervisorError) -> None:
        self._hang_up()
        if self._headers_written and not self._finished:
            self.detach().close()  # an ordinary end would pass for a whole answer
        elif not self._finished:
            self.clear()
            self.set_status(503)
            self.finish(json.dumps({"code": UNAVAILABLE, "message": str(error), "details": []}))

    def _hang_up(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    def on_finish(self) -> None:
        """The answer is given."""
        self._hang_up()
        super().on_finish()

    def on_connection_close(self) -> None:
        """The client went away in the middle."""
        self._hang_up()
        super().on_connection_close()

    @web.authenticated
    async def get(self, _: str) -> None:
        """Read. Asked again, of a new control plane, when the old one ended before it said a word."""
        await self._open()
        await self._pass_back(again=True)

    @web.authenticated
    async def post(self, _: str) -> None:
        """Create, launch, relaunch."""
        await self._pass_back()

    @web.authenticated
    async def put(self, _: str) -> None:
        """Update, upload."""
        await self._pass_back()

    @web.authenticated
    async def delete(self, _: str) -> None:
        """Abort, remove."""
        await self._pass_back()


class PassEvents(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """``flyte-jupyter/x/v1/events``: the browser's one WebSocket."""

    _line: WebSocketClientConnection | None = None
    _pump: asyncio.Task[None] | None = None
    _left = False

    def initialize(self, upstream: Upstream) -> None:
        """Take the line to the control plane."""
        self._upstream = upstream

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Check who asks, then upgrade."""
        await authorise(self, "read", "events")
        answer = super().get(*args, **kwargs)
        if answer is not None:
            await answer

    def skip_check_origin(self) -> bool:
        """Jupyter lets every page in that knows the token. A console is one of this server's own pages."""
        return False

    async def open(self, *_: Any) -> None:
        """Connect to the control plane and pass its frames on."""
        super().open()
        try:
            line = await self._upstream.connect("/x/v1/events")
        except SupervisorError as error:
            self.log.warning("flyte-jupyter: %s", error)
            self.close(1013, "the control plane is not there yet")
            return
        if self._left:  # while we were looking; nobody else would end this line
            self._upstream.hang_up(line)
            return
        self._line = line
        self._pump = asyncio.create_task(self._pump_down(line))

    async def on_message(self, message: str | bytes) -> None:
        """Pass a frame up."""
        if self._line is not None:
            try:
                await self._line.write_message(message)
            except WebSocketClosedError:
                self.close(1012, "the control plane ended")

    def on_close(self) -> None:
        """Hang up."""
        self._left = True
        if self._pump is not None:
            self._pump.cancel()
        if self._line is not None:
            self._upstream.hang_up(self._line)
        super().on_close()

    async def _pump_down(self, line: WebSocketClientConnection) -> None:
        while (message := await line.read_message()) is not None:
            try:
                # Waits for a slow browser, which holds the control plane back too.
                await self.write_message(message)
            except WebSocketClosedError:
                return
        self.close(1012, "the control plane ended")


def routes(upstream: Upstream) -> Iterator[tuple[str, type[Any], dict[str, Any]]]:
    """Every route, below ``<base url>flyte-jupyter/``. `x/v1/stop` is not among them."""
    given = {"upstream": upstream}
    yield r"/flyte-jupyter/x/v1/events", PassEvents, given
    ours = "status|(?:blobs|decks|logs|catalog|lineage)/.+"
    yield rf"/flyte-jupyter/(api/v1/.+|x/v1/(?:{ours}))", PassOn, given
