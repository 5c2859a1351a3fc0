"""Our own paths about the process and its logs: status, stop, log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.errors import NotFound
from flyte_jupyter.server.handlers import ControlHandler, Listener, whole_number
from flyte_jupyter.server.logs import LogOf, Logs


@dataclass(frozen=True, slots=True)
class Control:
    """What the process can be asked about itself."""

    status: Callable[[], Awaitable[Mapping[str, object]]]
    active: Callable[[], Awaitable[int]]
    """How many runs have not ended."""
    stop: Callable[[], None]
    """Begin an orderly stop."""


class StatusHandler(ControlHandler):
    """``GET /x/v1/status``."""

    def initialize(self, listener: Listener, control: Control) -> None:  # type: ignore[override]
        """Take the process."""
        super().initialize(listener)
        self.control = control

    async def get(self) -> None:
        """What the process says about itself."""
        self.answer(await self.control.status())


class StopHandler(ControlHandler):
    """``POST /x/v1/stop``."""

    def initialize(self, listener: Listener, control: Control) -> None:  # type: ignore[override]
        """Take the process."""
        super().initialize(listener)
        self.control = control

    async def post(self) -> None:
        """Stop in order; while runs are active only when forced (they go on at the next start)."""
        active = await self.control.active()
        if active and self.get_query_argument("force", "") not in ("1", "true"):
            message = f"{active} runs are active: wait for them, abort them, or stop with ?force=1"
            self.answer({"code": 9, "message": message, "details": []}, 409)
            return
        self.answer({})
        self.control.stop()


class LogHandler(ControlHandler):
    """``GET /x/v1/logs/{project}/{domain}/{execution}/{node}/{attempt}``."""

    def initialize(self, listener: Listener, logs: Logs, limit: int) -> None:  # type: ignore[override]
        """Take the logs and the most bytes of one answer."""
        super().initialize(listener)
        self.logs = logs
        self.limit = limit

    async def get(self, *place: str) -> None:
        """A part of the log. Raises `NotFound` and `InvalidArgument`."""
        project, domain, name, node, attempt = place
        item = self._number("item", 0) if self.get_query_argument("item", "") else None
        of = LogOf(RunId(project, domain, name), node, whole_number(attempt, "attempt"), item)
        offset = self._number("offset", 0)
        limit = min(self._number("limit", self.limit), self.limit)
        self.answer((await self.logs.read(of, offset, limit)).to_json())

    def _number(self, name: str, default: int) -> int:
        return whole_number(self.get_query_argument(name, str(default)), name)


class NowhereHandler(ControlHandler):
    """Every other path."""

    def prepare(self) -> None:
        """Refuse. Raises `NotFound`."""
        super().prepare()
        raise NotFound(f"There is nothing at {self.request.path}")
