"""What a use case can refuse, each with gRPC's status code for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from google.protobuf.message import Message


class AdminError(Exception):
    """A request that was not done. The message is for the person who made it."""

    code: ClassVar[int] = 13
    """gRPC's status code; INTERNAL unless a subclass says better."""

    def __init__(self, message: str, *, details: Sequence[Message] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class InvalidArgument(AdminError):
    """The request can never be done as it is."""

    code = 3


class TooLarge(InvalidArgument):
    """The request is larger than allowed."""


class ProjectNotOpen(InvalidArgument):
    """The project is not registered, or archived: it may be open later."""


class NotFound(AdminError):
    """What it names does not exist."""

    code = 5


class AlreadyExists(AdminError):
    """What it would create is there already. Flyte's clients take it for success when they register."""

    code = 6


class PermissionDenied(AdminError):
    """The caller may not do this: a signature that is wrong or too old."""

    code = 7


class ResourceExhausted(AdminError):
    """No room: the disk is full, or a bound is reached."""

    code = 8


class FailedPrecondition(AdminError):
    """Not in the state that things are in; it may be done in another."""

    code = 9


class Unimplemented(AdminError):
    """A part of Flyte's API that this control plane does not have."""

    code = 12


class Internal(AdminError):
    """A defect of ours; the log of the control plane has the rest."""

    code = 13


class Unavailable(AdminError):
    """Not now: starting, stopping, or another engine holds the lease. Trying again may help."""

    code = 14


class DataLoss(AdminError):
    """Something that was stored is no longer what it was."""

    code = 15


class Unauthenticated(AdminError):
    """The listener wants a token and the request has none, or a wrong one."""

    code = 16
