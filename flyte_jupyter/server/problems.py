"""The one place where an error becomes an HTTP status, a gRPC code and a message for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from tornado.web import HTTPError

from flyte_jupyter.engine.ports import BlobFailure, BlobNotFound, StoreFull
from flyte_jupyter.server.admin.errors import AdminError, TooLarge
from flyte_jupyter.server.messages import Json, to_json
from flyte_jupyter.store import errors as store

INTERNAL = 13
HTTP_OF: Mapping[int, int] = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400,
    12: 501, 13: 500, 14: 503, 15: 500, 16: 401,
}  # fmt: skip
"""HTTP status by gRPC code, as grpc-gateway maps them."""
_GRPC_OF_HTTP = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 409: 10, 413: 3, 415: 3}
_OF_STORE: Sequence[tuple[type[store.StoreError], int]] = (
    (store.NotFound, 5),
    (store.AlreadyExists, 6),
    (store.AlreadyTerminal, 9),
    (store.InvalidQuery, 3),
    (store.InvalidSignal, 3),
    (store.StoreClosed, 14),
    (store.DatabaseError, 14),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as the wire has it."""

    status: int
    code: int
    message: str
    details: Sequence[Message] = ()

    def to_json(self) -> Json:
        """``{"code", "message", "details"}``."""
        return {
            "code": self.code,
            "message": self.message,
            "details": [
                {"@type": f"type.googleapis.com/{d.DESCRIPTOR.full_name}", **to_json(d)}
                for d in self.details
            ],
        }


def problem_of(error: BaseException) -> Problem:
    """What to answer for an error. Anything unforeseen is INTERNAL and says no more than where to look."""
    if isinstance(error, AdminError):
        status = 413 if isinstance(error, TooLarge) else HTTP_OF[error.code]
        return Problem(status, error.code, error.message, error.details)
    for kind, code in _OF_STORE:
        if isinstance(error, kind):
            return Problem(HTTP_OF[code], code, str(error))
    if isinstance(error, HTTPError):
        code = _GRPC_OF_HTTP.get(error.status_code, INTERNAL)
        return Problem(error.status_code, code, error.log_message or error.reason or "Refused")
    if isinstance(error, StoreFull):
        return Problem(507, 8, f"The disk is full, nothing was changed: free some space. ({error})")
    if isinstance(error, BlobFailure) and error.no_space:
        return Problem(507, 8, f"The disk is full: free some space. ({error})")
    if isinstance(error, BlobNotFound):
        return Problem(404, 5, f"There is no such data: {error}")
    return Problem(
        500, INTERNAL, "The control plane failed at this; its log (<data dir>/logs) says why."
    )


def is_ours(problem: Problem) -> bool:
    """Whether the problem is a defect that belongs into the log with its trace."""
    return problem.status == HTTP_OF[INTERNAL]
