"""The API server's verbs over plain JSON: what every part of this adapter says to it, and how it can say no."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from flyte_jupyter.engine.adapters.kubernetes.pace import Backoff, Gate
from flyte_jupyter.engine.adapters.kubernetes.settings import PaceSettings
from flyte_jupyter.engine.ports import NotNow, Ready, unrivalled

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
_JSON = "application/json"
_FIRST_BAD = 300
_WRONG = frozenset({400, 404, 405, 413, 415, 422})
_TURNED_AWAY = frozenset({401, 429, 503})
"""What it says to one of us it would say to all, whatever they ask."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `seconds` limits the whole of it, or, for a stream, the silence between two pieces."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content_type: str = _JSON
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str = ""


class Unreachable(NotNow):
    """No answer came, or it broke off: nobody knows whether the request was carried out."""


class Silent(Unreachable):
    """A stream on which nothing came for too long."""


class Refused(NotNow):
    """The server said no."""

    def __init__(self, call: Call, answer: Answer) -> None:
        self.status = answer.status
        self.body = answer.body
        self.retry_after = answer.retry_after
        self.said = _status(answer.body)
        message = self.said.get("message") or answer.body[:300].decode(errors="replace")
        super().__init__(f"{call.method} {call.path}: {answer.status} {message}")

    @property
    def passes(self) -> bool:
        """A request that the server does not understand is not better the next time, unless somebody changes the cluster."""
        return self.status not in _WRONG

    @property
    def wait(self) -> float | None:
        """Seconds that the server asks to wait; None when it says nothing."""
        try:
            return max(0.0, float(self.retry_after))
        except ValueError:
            return None

    @property
    def reason(self) -> str:
        """Kubernetes' one-word reason (``AlreadyExists``, ``Conflict``, ...)."""
        return str(self.said.get("reason", ""))


def _status(body: bytes) -> Json:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


class Duplex(Protocol):
    """The standard streams of a program that runs in a container."""

    async def send(self, data: bytes) -> None:
        """To its standard input. Raises `Unreachable`."""

    async def receive(self) -> bytes:
        """From its standard output. Raises `Unreachable` when it has ended."""

    async def close(self) -> None:
        """Hang up; the program gets no more input."""


class Transport(Protocol):
    """A connection to one API server. Raises `Unreachable`."""

    async def call(self, call: Call) -> Answer:
        """Ask and wait for the whole answer, whatever its status."""

    def stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Pieces of an answer as they come. Raises `Refused` when there is none to stream, `Silent` after too long a silence."""

    async def execute(self, call: Call, command: Sequence[str]) -> Duplex:
        """Run a program in a container (``.../exec``). Raises `Refused`."""

    async def close(self) -> None:
        """Hang up."""


class Api:
    """Verbs by path. Writes keep to one pace; any request may raise `Refused` or `Unreachable`."""

    def __init__(
        self,
        transport: Transport,
        pace: PaceSettings | None = None,
        *,
        seconds: float = 30.0,
        dice: random.Random | None = None,
    ) -> None:
        self._transport = transport
        self.pace = pace or PaceSettings()
        self.dice = dice or random.Random()  # noqa: S311 - for pauses, not for secrets
        self.namespaces_made_at: dict[str, float] = {}
        """By the event loop's clock: whoever makes one, everybody has to know that it is new."""
        self._gate = Gate(self.pace, self.dice)
        self._seconds = seconds
        self._ready: Ready = unrivalled

    def heed(self, ready: Ready) -> None:
        """From now on change nothing, and run nothing in a container, unless this returns."""
        self._ready = ready

    async def admitted(self) -> None:
        """Return once the cluster may be changed, however long that takes."""
        backoff = Backoff(self.pace, self.dice)
        while True:
            try:
                await self._admit()
            except Unreachable:
                await asyncio.sleep(backoff.next())
            else:
                return

    async def _admit(self) -> None:
        try:
            await self._ready()
        except Exception as error:
            raise Unreachable(f"nothing is changed in the cluster now: {error}") from error

    async def close(self) -> None:
        """Hang up."""
        await self._transport.close()

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """The object or list at `path`."""
        return _object(await self._ask(Call("GET", path, query or {}, seconds=self._seconds)))

    async def create(self, path: str, manifest: Mapping[str, Any]) -> Json:
        """Create an object in the collection at `path`."""
        return await self._write(Call("POST", path, body=manifest, seconds=self._seconds))

    async def delete(self, path: str, *, uid: str = "", grace: int | None = None) -> Json:
        """Delete the object, if it is the one with this uid, giving its processes `grace` seconds."""
        body: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        return await self._write(Call("DELETE", path, body=body, seconds=self._seconds))

    async def patch(self, path: str, change: Mapping[str, Any]) -> Json:
        """Merge `change` into the object (JSON merge patch); a ``resourceVersion`` in it must still be the object's."""
        call = Call("PATCH", path, body=change, content_type=MERGE, seconds=self._seconds)
        return await self._write(call)

    async def text(self, path: str, query: Mapping[str, str], seconds: float) -> bytes:
        """What stands at `path`, as it is."""
        return (await self._ask(Call("GET", path, query, seconds=seconds))).body

    def follow(
        self, path: str, query: Mapping[str, str], silence: float
    ) -> AsyncGenerator[bytes, None]:
        """What stands at `path`, piece by piece as it grows."""
        return self._transport.stream(Call("GET", path, query, seconds=silence))

    async def execute(self, path: str, container: str, command: Sequence[str]) -> Duplex:
        """Run a program in a container of the pod at `path`, and hold its standard input and output."""
        query = {"container": container, "stdin": "true", "stdout": "true", "stderr": "true"}
        call = Call("GET", f"{path}/exec", query, seconds=self._seconds)
        await self._admit()
        return await self._transport.execute(call, command)

    async def events(
        self, path: str, query: Mapping[str, str], silence: float
    ) -> AsyncGenerator[Json, None]:
        """The events of a watch."""
        rest = b""
        async with aclosing(self.follow(path, query, silence)) as pieces:
            async for piece in pieces:
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield _event(line)

    async def _write(self, call: Call) -> Json:
        await self._gate.enter()
        await self._admit()
        return _object(await self._ask(call))

    async def _ask(self, call: Call) -> Answer:
        try:
            answer = await self._transport.call(call)
        except Unreachable:
            self._gate.hold(None)
            raise
        if answer.status < _FIRST_BAD:
            self._gate.passed()
            return answer
        refused = Refused(call, answer)
        if answer.status in _TURNED_AWAY or refused.wait is not None:
            self._gate.hold(refused.wait)
        raise refused


def _object(answer: Answer) -> Json:
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise Unreachable(f"an answer is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Unreachable("an answer is not a JSON object")
    return found


def _event(line: bytes) -> Json:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise Unreachable(f"a watch broke off within an event: {error}") from error
    if not isinstance(found, dict):
        raise Unreachable("a watch gave something that is no event")
    return found
