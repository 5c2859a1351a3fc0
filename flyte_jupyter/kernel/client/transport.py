"""Requests to the control plane that survive its restarts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from google.protobuf.message import DecodeError, Message

from flyte_jupyter.kernel.client.errors import ControlPlaneError, Unavailable, error_of
from flyte_jupyter.supervisor import (
    ControlPlaneUnreachable,
    Endpoint,
    Response,
    SupervisorError,
    find_or_start,
    request,
)
from flyte_jupyter.supervisor.endpoint import Body

M = TypeVar("M", bound=Message)

_BINARY = "application/octet-stream"
_TRIES = 3


class Transport:
    """Sends requests to one endpoint, or to the user's control plane, which it finds or starts when first needed."""

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._fixed = endpoint
        self._found = endpoint

    @property
    def endpoint(self) -> Endpoint:
        """Where the control plane answers.

        Raises:
            Unavailable: it is not there and could not be started; says why.
        """
        if self._found is None:
            try:
                self._found = find_or_start()
            except SupervisorError as error:
                raise Unavailable(str(error)) from error
        return self._found

    def call(
        self,
        method: str,
        path: str,
        answer: type[M],
        message: Message | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> M:
        """Send a message and read the answer, both binary protobuf. Every request of this library may be repeated.

        Raises:
            ControlPlaneError: the control plane refused or is out of reach.
        """
        body = message.SerializeToString() if message is not None else b""
        full = f"{path}?{urlencode(query)}" if query else path
        headers = {"Content-Type": _BINARY, "Accept": _BINARY}
        response = self.send(method, full, body, headers)
        try:
            return answer.FromString(response.body)
        except DecodeError as error:
            raise ControlPlaneError(
                f"the answer to {method} {path} is no {answer.DESCRIPTOR.name}: {error}"
            ) from None

    def send(
        self, method: str, path: str, body: Body = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request, again if the control plane was restarted meanwhile; a file from its beginning.

        Raises:
            ControlPlaneError: an answer other than success, or none.
        """
        for left in reversed(range(_TRIES)):
            if not isinstance(body, bytes):
                body.seek(0)
            try:
                response = request(
                    self.endpoint, method, path, body=body, headers=dict(headers or {})
                )
                break
            except ControlPlaneUnreachable as error:
                self._found = self._fixed
                if not left:
                    raise Unavailable(str(error)) from error
        if response.status not in (200, 201, 204):
            raise error_of(response.status, response.body, f"{method} {path.partition('?')[0]}")
        return response

    def fetch(self, url: str) -> bytes:
        """Download from a signed URL: through the control plane's own connection when it is the one that signed it.

        Raises:
            ControlPlaneError: the download was refused.
        """
        parts = urlsplit(url)
        if parts.netloc in ("", self.endpoint.host):
            return self.send("GET", f"{parts.path}?{parts.query}").body
        return _outside(url, "GET", b"", {})

    def put(self, url: str, body: Body, headers: Mapping[str, str]) -> None:
        """Upload to a signed URL: through the control plane's own connection when it is the one that signed it.

        Raises:
            ControlPlaneError: the upload was refused.
        """
        parts = urlsplit(url)
        if parts.netloc in ("", self.endpoint.host):
            self.send("PUT", f"{parts.path}?{parts.query}", body, headers)
            return
        _outside(url, "PUT", body, headers)


def _outside(url: str, method: str, body: Body, headers: Mapping[str, str]) -> bytes:
    """A request to a store that is not the control plane itself."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ControlPlaneError(f"the control plane names a data URL that is no http: {url}")
    if not isinstance(body, bytes):
        body.seek(0)
    asked = Request(url, data=body or None, headers=dict(headers), method=method)  # noqa: S310 - checked above
    try:
        with urlopen(asked) as answer:  # noqa: S310 - checked above
            return bytes(answer.read())
    except HTTPError as error:
        raise error_of(error.code, error.read(), f"{method} {parts.netloc}") from None
    except URLError as error:
        raise Unavailable(f"could not reach {parts.netloc}: {error.reason}") from None
