"""The one WebSocket: a client's subscriptions, numbered by the client (docs/protocol.md, section 2)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.errors import AdminError, InvalidArgument, ResourceExhausted
from flyte_jupyter.server.admin.names import required
from flyte_jupyter.server.handlers import ControlHandler, Listener
from flyte_jupyter.server.logs import LogOf
from flyte_jupyter.server.messages import escape_html
from flyte_jupyter.server.problems import is_ours, problem_of
from flyte_jupyter.server.subscriptions import (
    ExecutionFilter,
    ExecutionsTopic,
    ExecutionTopic,
    LogTopic,
    Send,
    Sources,
    Subscription,
)

log = logging.getLogger(__name__)
_DEFAULT_LIMIT = 50
_LONGEST_NAME = 255
_LARGEST_NUMBER = 2**53
"""What JSON numbers hold exactly."""


class EventsHandler(WebSocketHandler, ControlHandler):
    """``/x/v1/events``. Requests are answered in order; each subscription then sends on its own."""

    def initialize(self, listener: Listener, sources: Sources) -> None:  # type: ignore[override]
        """Take where the frames come from."""
        super().initialize(listener)
        self.sources = sources
        self.running: dict[int, tuple[Subscription, asyncio.Task[None]]] = {}

    def open(self, *_: str, **__: str) -> None:
        """Somebody is there."""
        self.listener.presence.enter()

    def on_close(self) -> None:
        """Nobody is left to send to."""
        self.listener.presence.leave()
        for _, task in self.running.values():
            task.cancel()
        self.running.clear()

    async def on_message(self, message: str | bytes) -> None:
        """One request of the client. What is wrong with it is told; the connection goes on."""
        number: int | None = None
        try:
            request = _parse(message)
            number = _number(request, "id")
            self._handle(number, request)
        except AdminError as error:
            await self._send_problem(number, error)

    def _handle(self, number: int, request: Mapping[str, Any]) -> None:
        match request.get("op"):
            case "subscribe":
                self._subscribe(number, request)
            case "unsubscribe":
                if number in self.running:
                    self.running.pop(number)[1].cancel()
            case "ack":
                if number in self.running:
                    self.running[number][0].acknowledge(_number(request, "offset"))
            case other:
                raise InvalidArgument(f"op must be subscribe, ack or unsubscribe, not {other!r}")

    def _subscribe(self, number: int, request: Mapping[str, Any]) -> None:
        if number in self.running:
            raise InvalidArgument(f"Subscription {number} is open: unsubscribe it, or count on")
        most = self.sources.settings.limits.subscriptions
        if len(self.running) >= most:
            raise ResourceExhausted(f"At most {most} subscriptions on one connection")
        subscription = make_subscription(number, request, self.sources, self._send)
        task = asyncio.create_task(self._follow(subscription))
        self.running[number] = subscription, task

    async def _follow(self, subscription: Subscription) -> None:
        try:
            await subscription.run()
        except WebSocketClosedError:
            return
        except (
            Exception
        ) as error:  # whatever a topic raises is told to its client and ends that topic alone
            if is_ours(problem_of(error)):
                log.exception("subscription failed")
            await self._send_problem(subscription.number, error)
        found = self.running.get(subscription.number)
        if found is not None and found[0] is subscription:
            del self.running[subscription.number]

    async def _send(self, text: str) -> None:
        await self.write_message(text)

    async def _send_problem(self, number: int | None, error: Exception) -> None:
        problem = problem_of(error)
        frame = {"id": number, "type": "error", "code": problem.code, "message": problem.message}
        with contextlib.suppress(WebSocketClosedError):
            await self._send(escape_html(json.dumps(frame, ensure_ascii=False)))


def make_subscription(
    number: int, request: Mapping[str, Any], sources: Sources, send: Send
) -> Subscription:
    """The subscription that a request asks for. Raises `InvalidArgument`."""
    topic = request.get("topic")
    if topic == "executions":
        since = _optional_number(request, "since")
        return ExecutionsTopic(number, sources, send, since, _filter(request, sources))
    if topic not in ("execution", "log"):
        raise InvalidArgument(f"topic must be executions, execution or log, not {topic!r}")
    run = RunId(_text(request, "project"), _text(request, "domain"), _text(request, "name"))
    if topic == "execution":
        return ExecutionTopic(number, sources, send, _optional_number(request, "since"), run)
    item = _optional_number(request, "item")
    of = LogOf(run, _text(request, "node"), _number(request, "attempt", 0), item)
    return LogTopic(number, sources, send, of, _number(request, "offset", 0))


def _filter(request: Mapping[str, Any], sources: Sources) -> ExecutionFilter:
    phases = request.get("phases") or []
    known = core.WorkflowExecution.Phase.keys()
    if not isinstance(phases, list) or any(phase not in known for phase in phases):
        raise InvalidArgument(f"phases must be a list of {', '.join(known)}")
    name = request.get("name") or ""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or any(c in "(),+;" for c in name):
        raise InvalidArgument("name must be a part of an execution's name")
    limit = _number(request, "limit", _DEFAULT_LIMIT)
    return ExecutionFilter(
        project=_text(request, "project"),
        domain=_text(request, "domain"),
        limit=max(1, min(limit, sources.settings.limits.listing)),
        phases=frozenset(phases),
        name=name,
    )


def _parse(message: str | bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("A request is a JSON object") from error
    if not isinstance(request, dict):
        raise InvalidArgument("A request is a JSON object")
    return request


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} must be a text")
    return required(value, name)


def _number(request: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = request.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST_NUMBER:
        raise InvalidArgument(f"{name} must be a whole number")
    return value


def _optional_number(request: Mapping[str, Any], name: str) -> int | None:
    return None if request.get(name) is None else _number(request, name)
