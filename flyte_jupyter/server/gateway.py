"""The routes that the Jupyter server offers: authenticate, authorise, pass on. Nothing is decided here, nothing is kept.

Authorisation is asked for with the resource and action of this very request. (jupyter_server's ``@authorized`` remembers those of the first
request that a shared method served, which a handler of many resources cannot use.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketHandler

from flyte_jupyter.server.upstream import Upstream
from flyte_jupyter.supervisor import SupervisorError

PASSED_ON = ("Accept", "Content-Type", "Content-Md5")
PASSED_BACK = ("Content-Type", "Cache-Control", "Content-Security-Policy", "X-Content-Type-Options")
EXECUTE = {"executions", "signals", "events"}


def action_of(method: str, resource: str) -> str:
    """What a request does, in the words of Jupyter's authoriser: read, write or execute."""
    if method in ("GET", "HEAD"):
        return "read"
    return "execute" if resource in EXECUTE else "write"


def resource_of(path: str) -> str:
    """The kind of thing a request is about: the first name behind ``api/v1`` or ``x/v1``."""
    return path.split("/")[2] if path.count("/") >= 2 else "control_plane"  # noqa: PLR2004  api/v1/<resource>


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


class PassOn(APIHandler):
    """``flyte-jupyter/api/v1/...`` and ``flyte-jupyter/x/v1/...`` over HTTP."""

    _track_activity = False  # a console that looks is no reason to keep a server from being culled

    def initialize(self, upstream: Upstream) -> None:
        """Take the line to the control plane."""
        self._upstream = upstream

    async def _pass_on(self, path: str) -> None:
        resource = resource_of(path)
        method = self.request.method or "GET"
        await authorise(self, action_of(method, resource), resource)
        headers = {
            name: self.request.headers[name] for name in PASSED_ON if name in self.request.headers
        }
        target = "/" + path + (f"?{self.request.query}" if self.request.query else "")
        body = self.request.body if method not in ("GET", "HEAD") and self.request.body else None
        try:
            answer = await self._upstream.fetch(method, target, body=body, headers=headers)
        except SupervisorError as error:
            raise web.HTTPError(503, str(error).replace("%", "%%")) from error
        self.set_status(answer.code)
        for name in PASSED_BACK:
            if name in answer.headers:
                self.set_header(name, answer.headers[name])
        self.finish(
            answer.body, set_content_type=answer.headers.get("Content-Type", "application/json")
        )

    @web.authenticated
    async def get(self, path: str) -> None:
        """Read."""
        await self._pass_on(path)

    @web.authenticated
    async def post(self, path: str) -> None:
        """Create, launch, relaunch."""
        await self._pass_on(path)

    @web.authenticated
    async def put(self, path: str) -> None:
        """Update, upload."""
        await self._pass_on(path)

    @web.authenticated
    async def delete(self, path: str) -> None:
        """Abort, remove."""
        await self._pass_on(path)


class PassEvents(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """``flyte-jupyter/x/v1/events``: the browser's one WebSocket."""

    _line: WebSocketClientConnection | None = None
    _pump: asyncio.Task[None] | None = None

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

    async def open(self, *_: Any) -> None:
        """Connect to the control plane and pass its frames on."""
        super().open()
        try:
            self._line = await self._upstream.connect("/x/v1/events")
        except (SupervisorError, OSError) as error:
            self.log.warning("flyte-jupyter: %s", error)
            self.close(1013, "the control plane is not there yet")
            return
        self._pump = asyncio.create_task(self._pump_down())

    async def on_message(self, message: str | bytes) -> None:
        """Pass a frame up."""
        if self._line is not None:
            try:
                await self._line.write_message(message)
            except WebSocketClosedError:
                self.close(1012, "the control plane ended")

    def on_close(self) -> None:
        """Hang up."""
        if self._pump is not None:
            self._pump.cancel()
        if self._line is not None:
            self._line.close()
        super().on_close()

    async def _pump_down(self) -> None:
        assert self._line is not None
        while (message := await self._line.read_message()) is not None:
            try:
                await self.write_message(
                    message
                )  # waits for a slow browser, which holds the control plane back too
            except WebSocketClosedError:
                return
        self.close(1012, "the control plane ended")


def routes(upstream: Upstream) -> Iterator[tuple[str, type[Any], dict[str, Any]]]:
    """Every route, below ``<base url>flyte-jupyter/``. `x/v1/stop` is not among them."""
    given = {"upstream": upstream}
    yield r"/flyte-jupyter/x/v1/events", PassEvents, given
    yield r"/flyte-jupyter/(api/v1/.+|x/v1/(?:status|blobs/.+|decks/.+|logs/.+))", PassOn, given
