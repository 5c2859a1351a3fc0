"""What may go wrong between a client and the API server, as values: said to `FaultyApi`, met by requests."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

REASONS = {
    403: "Forbidden",
    409: "AlreadyExists",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True)
class Answer:
    """The proxy answers itself, as the API server would; the request goes no further."""

    status: int
    message: str = "a fault made by the test"
    retry_after: int | None = None  # seconds

    def body(self) -> bytes:
        return json.dumps(status_object(self.status, self.message)).encode()


@dataclass(frozen=True)
class Cut:
    """The connection breaks; `committed`: only after the API server has done what was asked."""

    committed: bool = False


@dataclass(frozen=True)
class Hold:
    """The request waits until it is released; `committed`: the answer waits."""

    committed: bool = False
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let it go on."""
        self.released.set()


@dataclass(frozen=True)
class Rewrite:
    """Each event of a watch goes through a function that gives what the client gets instead of it.

    An event is {"type": ..., "object": ...}. The function may raise EndOfWatch.
    """

    each: Callable[[dict], list[dict]]


class EndOfWatch(Exception):
    """The watch ends here, in good order, as the API server ends them now and then."""


@dataclass
class Fault:
    """What is done to which requests; method and path (with the query) are regular expressions."""

    do: Answer | Cut | Hold | Rewrite
    method: str = ".*"
    path: str = ".*"
    times: int | None = 1  # None: until it is taken away
    met: int = 0

    def meets(self, method: str, path: str) -> bool:
        if self.times is not None and self.met >= self.times:
            return False
        if isinstance(self.do, Rewrite) and "watch=" not in path:
            return False
        return bool(re.fullmatch(self.method, method) and re.search(self.path, path))


def status_object(code: int, message: str) -> dict:
    """A Kubernetes Status that tells of a failure."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": REASONS.get(code, "Unknown"),
        "code": code,
    }


def muted() -> Rewrite:
    """The watch stays open and tells nothing any more."""
    return Rewrite(lambda _event: [])


def twice() -> Rewrite:
    """Every event comes twice."""
    return Rewrite(lambda event: [event, event])


def without_bookmarks() -> Rewrite:
    """Bookmarks are lost."""
    return Rewrite(lambda event: [] if event["type"] == "BOOKMARK" else [event])


def stale() -> Rewrite:
    """After each event, the one before it for the same object comes once more, as a change."""
    last: dict[str, dict] = {}

    def each(event: dict) -> list[dict]:
        before = last.get(uid := event["object"]["metadata"].get("uid", ""))
        last[uid] = event
        return [event] if before is None else [event, {**before, "type": "MODIFIED"}]

    return Rewrite(each)


def expired(after: int) -> Rewrite:
    """After so many events the watch says 410 Gone and ends: whoever watches must list anew."""
    passed = 0

    def each(event: dict) -> list[dict]:
        nonlocal passed
        passed += 1
        if passed <= after:
            return [event]
        if passed == after + 1:
            return [{"type": "ERROR", "object": status_object(410, "too old resource version")}]
        raise EndOfWatch

    return Rewrite(each)


def ends(after: int) -> Rewrite:
    """The watch ends after so many events."""
    passed = 0

    def each(event: dict) -> list[dict]:
        nonlocal passed
        passed += 1
        if passed > after:
            raise EndOfWatch
        return [event]

    return Rewrite(each)
