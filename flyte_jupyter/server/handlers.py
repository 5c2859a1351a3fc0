"""What every HTTP handler of the control plane does alike: who may come in, errors out, one style of JSON."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from flyte_jupyter.engine.ports import BlobFailure
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.errors import AdminError, InvalidArgument, Unauthenticated
from flyte_jupyter.server.messages import Json, escape_html
from flyte_jupyter.server.presence import Presence
from flyte_jupyter.server.problems import is_ours, problem_of

log = logging.getLogger(__name__)
_LARGEST_NUMBER = 2**63 - 1
"""What the database's columns hold."""


@dataclass(frozen=True, slots=True)
class Listener:
    """What one listener demands, and how it tells that somebody was there."""

    presence: Presence
    """Told of each request: the process lives on while it is used."""
    principal: str = ""
    """Whom its requests are booked to: the owner of the process."""
    token: str = ""
    """Empty on the Unix socket, which only its owner can open."""


class ControlHandler(RequestHandler):
    """Base of all handlers: authenticates by the listener's rule and maps every error in one place."""

    def initialize(self, listener: Listener) -> None:
        """Take what the application was made with."""
        self.listener = listener

    def prepare(self) -> None:
        """Let in who may come in. Raises `Unauthenticated`."""
        self.authenticate()

    def authenticate(self) -> None:
        """Note the visit and check the token. Raises `Unauthenticated`."""
        self.listener.presence.touch()
        if self.listener.token and not hmac.compare_digest(
            self._given_token().encode(), self.listener.token.encode()
        ):
            raise Unauthenticated(
                "This listener wants a token: send 'Authorization: Bearer <token>' "
                "(FLYTE_JUPYTER_TOKEN)."
            )

    def set_default_headers(self) -> None:
        """Answers are never sniffed into something else, nor kept."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    @property
    def caller(self) -> Caller:
        """Who asks, and the address they used: signed URLs lead back the same way."""
        base = f"{self.request.protocol}://{self.request.host}"
        return Caller(self.listener.principal, base)

    def answer(self, value: Json, status: int = 200) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(escape_html(json.dumps(value, ensure_ascii=False)))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the error's problem, never with a trace."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        problem = problem_of(error if error is not None else RuntimeError(status_code))
        self.answer(problem.to_json(), problem.status)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log defects with their trace; refusals, and callers who leave, are the caller's affair."""
        if isinstance(value, StreamClosedError):
            return
        if value is not None and is_ours(problem_of(value)) and typ is not None:
            log.error(
                "%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb)
            )

    def _given_token(self) -> str:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


def whole_number(text: str, what: str, most: int = _LARGEST_NUMBER) -> int:
    """A number of a path, a query or a header. Raises `InvalidArgument` naming it."""
    digits = text.lstrip("0") or "0"
    plain = text.isascii() and text.isdecimal() and len(digits) <= len(str(most))
    if not plain or int(digits) > most:
        raise InvalidArgument(f"{what}={text[:40]!r} is not a whole number from 0 to {most}")
    return int(digits)


@stream_request_body
class StreamingHandler(ControlHandler):
    """A handler that takes the body as it comes, and hears it out when it refuses.

    A client that is still sending would see a broken connection instead of our answer.
    """

    refusal: Exception | None = None

    async def check(self) -> None:
        """Decide before the body comes, by raising; overridden."""

    async def receive(self, chunk: bytes) -> None:
        """Take a part of the body; overridden."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Remember a refusal until the body has come."""
        await self._unless_refused(self.check())

    async def data_received(self, chunk: bytes) -> None:
        """Pass a part on, or drop it when the request is refused."""
        await self._unless_refused(self.receive(chunk))

    def raise_refusal(self) -> None:
        """Raise what was refused; methods begin with it."""
        if self.refusal is not None:
            raise self.refusal

    async def _unless_refused(self, work: Coroutine[Any, Any, None]) -> None:
        if self.refusal is not None:
            work.close()
            return
        try:
            await work
        except (AdminError, BlobFailure, HTTPError) as error:
            self.refusal = error
