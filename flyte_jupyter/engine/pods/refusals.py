"""What it means that the API server refused to create a pod: one pure function."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_jupyter.engine.core.state import Failure, Stage


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not now: ask again after `seconds` (what the server said in Retry-After; None when it said nothing)."""

    stage: Stage
    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """There is an object of that name: adopt it if it is the same attempt's, else `why`."""

    why: Failure


Refusal = TryAgain | AlreadyThere | Failure


def refusal(status: int, body: str | bytes, retry_after: str = "") -> Refusal:
    """What to make of the answer to a create: HTTP status, body (a ``Status`` object, as a rule), Retry-After header."""
    raise NotImplementedError
