"""The shape of a use case, and who calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which address they reached us."""

    principal: str = ""
    """The user's name as authenticated; empty for the owner on the socket."""
    base_url: str = "http://localhost"
    """What signed URLs begin with: the caller's own way in, without a closing slash."""


# The messages differ from RPC to RPC; the routing table holds their types.
UseCase = Callable[[Any, Caller], Awaitable[Any]]
"""One RPC: request message in, response message out; refuses with `AdminError`."""

UseCases = Mapping[str, UseCase]
"""Use cases by RPC name."""
