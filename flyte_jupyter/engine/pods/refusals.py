"""What it means that the API server refused to create a pod: one pure function.

Codes and blames are those of Flyte's ``plugin_manager.go``, apart from a server that is busy or away: that is waited for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from flyte_jupyter.engine.core.state import Blame, Failure, Stage
from flyte_jupyter.engine.quantities import BadQuantity, amount

_MOST_MESSAGE = 4000
_QUOTA = re.compile(r"requested: (?P<requested>.*), used: .*, limited: (?P<limited>.*)")


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not now: ask again after `seconds` (what the server said in Retry-After; None when it said nothing)."""

    stage: Stage
    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """There is an object of that name: adopt it if it is the same attempt's, else fail by `why`."""

    why: Failure


Refusal = TryAgain | AlreadyThere | Failure


def refusal(
    status: int, body: str | bytes, retry_after: str = "", now: datetime | None = None
) -> Refusal:
    """What to make of the answer to a create: HTTP status (0: none came), body (a ``Status``, as a rule), Retry-After header.

    `now` is needed to read a Retry-After that is a date.
    """
    said = _status(body)
    message = _message(said, body) or f"the API server answered {status}"
    reason = str(said.get("reason") or "")
    match status:
        case 0 | 408 | 429 | 500 | 502 | 503 | 504:
            if _denied(message):
                return Failure("AdmissionDenied", message)
            if "request is too large" in message:
                # etcd says so of what the cluster has made of a pod, and says it each time.
                return Failure("PodTooLarge", message)
            seconds = _seconds(said, retry_after, now)
            return TryAgain(Stage.QUEUED, f"the API server is busy ({status}): {message}", seconds)
        case 401:
            # Credentials are renewed, and who checks them may be away: no attempt is worse than another for it.
            text = f"the API server does not know this engine (401): {message}"
            return TryAgain(Stage.QUEUED, text, _seconds(said, retry_after, now))
        case 403:
            return _forbidden(message)
        case 404:
            text = f"there is no such place to create the pod in: {message}"
            return Failure("NamespaceNotFound", text, Blame.SYSTEM, retryable=True)
        case 409 if reason == "AlreadyExists":
            text = f"another object has the name of the attempt's pod: {message}"
            return AlreadyThere(Failure("PodConflict", text))
        case 409:
            # A quota that somebody else changes at the same moment answers so.
            return TryAgain(Stage.QUEUED, message, _seconds(said, retry_after, now))
        case 400 | 405 | 413 | 415 | 422:
            code = "AdmissionDenied" if _denied(message) else "BadTaskFormat"
            return Failure(code, message)
        case _:
            return Failure("RuntimeFailure", message, Blame.SYSTEM, retryable=True)


def _forbidden(message: str) -> Refusal:
    """Quota, a namespace on its way out, an admission rule, or a right that is missing: all of them are 403."""
    if "exceeded quota" in message:
        return _too_large(message) or TryAgain(Stage.RESOURCES, message)
    if "is being terminated" in message:
        return TryAgain(Stage.QUEUED, message)
    if "violates PodSecurity" in message:
        return Failure("PodSecurityViolation", message)
    if _denied(message):
        return Failure("AdmissionDenied", message)
    if "must specify" in message or "per Pod is" in message or "per Container is" in message:
        # A quota or limit range that wants other resources than the task asks for.
        return Failure("BadTaskFormat", message)
    return Failure("RuntimeFailure", message, Blame.SYSTEM, retryable=True)


def _too_large(message: str) -> Failure | None:
    """The refusal of a pod that asks for more than the whole quota, so that it would wait for ever."""
    found = _QUOTA.search(message)
    if found is None:
        return None
    asked, limited = _amounts(found["requested"]), _amounts(found["limited"])
    beyond = [name for name in asked if name in limited and asked[name] > limited[name]]
    if not beyond:
        return None
    text = (
        f"it asks for more {', '.join(beyond)} than the whole quota of its namespace, so there will never be room: "
        f"ask for less, or have the quota raised. {message}"
    )
    return Failure("ResourceRequestsExceedLimits", text)


def _amounts(words: str) -> dict[str, float]:
    """What stands in a list like ``limits.cpu=7,requests.memory=64Gi``, as far as it is no number of objects."""
    found = {}
    for name, _, quantity in (word.strip().partition("=") for word in words.split(",")):
        if name == "pods" or name.startswith("count/"):
            continue  # one more is never too large: a quota of none is how a namespace is held up
        with suppress(BadQuantity):
            found[name] = amount(quantity)
    return found


def _denied(message: str) -> bool:
    return "denied the request" in message or "ValidatingAdmissionPolicy" in message


def _status(body: str | bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(said: Mapping[str, Any], body: str | bytes) -> str:
    text = said.get("message")
    if not isinstance(text, str):
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    text = text.strip()
    return text if len(text) <= _MOST_MESSAGE else f"{text[:_MOST_MESSAGE]}…"


def _seconds(said: Mapping[str, Any], header: str, now: datetime | None) -> float | None:
    """Retry-After: seconds, or a date; else what the ``Status`` itself says."""
    header = header.strip()
    if header.isdecimal():
        return float(header)
    when = _date(header) if header and now is not None else None
    if when is not None and now is not None:
        return max(0.0, (when - now).total_seconds())
    details = said.get("details")
    given = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return float(given) if isinstance(given, int | float) and given > 0 else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
