"""What the control plane answers when it does not do what it was asked."""

from __future__ import annotations

import json

from flyte_jupyter.kernel.errors import FlyteJupyterError


class ControlPlaneError(FlyteJupyterError):
    """The control plane refused or failed. `code` is gRPC's number, the message is the server's own."""

    code = 2

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class InvalidRequest(ControlPlaneError):
    """Something in the request makes no sense: a type, a name, a graph that does not compile."""

    code = 3


class NotFound(ControlPlaneError):
    """There is no such execution, task, workflow or launch plan."""

    code = 5


class AlreadyExists(ControlPlaneError):
    """Something of that name and version exists already."""

    code = 6


class PermissionRefused(ControlPlaneError):
    """The control plane knows who asks, and does not let them."""

    code = 7


class ResourcesExhausted(ControlPlaneError):
    """A quota or a size limit."""

    code = 8


class NotNow(ControlPlaneError):
    """The thing's present state does not allow it: aborting an execution that has ended, say."""

    code = 9


class NotSupported(ControlPlaneError):
    """This control plane cannot do that yet."""

    code = 12


class Unavailable(ControlPlaneError):
    """The control plane is not there, is starting, or is full; trying again later may help."""

    code = 14


class Unauthenticated(ControlPlaneError):
    """The control plane does not know who asks: the token is missing or wrong."""

    code = 16


_KINDS: tuple[type[ControlPlaneError], ...] = (
    InvalidRequest,
    NotFound,
    AlreadyExists,
    PermissionRefused,
    ResourcesExhausted,
    NotNow,
    NotSupported,
    Unavailable,
    Unauthenticated,
)
_BY_STATUS = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 8, 429: 8, 501: 12, 503: 14}
_LONGEST = 500


def error_of(status: int, body: bytes, asked: str) -> ControlPlaneError:
    """The error that an answer stands for. `asked` is the request's method and path."""
    code, message = _BY_STATUS.get(status, 2), ""
    try:
        said = json.loads(body)
    except ValueError:
        message = body.decode("utf-8", "replace")[:_LONGEST]
    else:
        if isinstance(said, dict):
            code = said["code"] if isinstance(said.get("code"), int) else code
            message = str(said.get("message", ""))
    if not message:
        message = f"the control plane answered {status} to {asked}"
    for kind in _KINDS:
        if kind.code == code:
            return kind(message)
    return ControlPlaneError(message, code)
