"""One running control plane: listens, runs the engine, ends itself when nobody is left and nothing runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from flyte_jupyter.engine.ports import StoreFull
from flyte_jupyter.server import ownership
from flyte_jupyter.server.presence import Presence
from flyte_jupyter.server.process_handlers import Control
from flyte_jupyter.server.settings import TcpSettings
from flyte_jupyter.server.wiring import Parts, make_server, runtime_facts
from flyte_jupyter.store.errors import StoreError

log = logging.getLogger(__name__)
_LOOK = 2.0
"""Seconds between two looks whether clients can find us."""
_SHORTEST_LOOK = 0.05


class NotReady(Exception):
    """What a control plane was told to work with cannot be used: what, why, and what to do."""


class PortTaken(Exception):
    """The TCP listener that was asked for cannot be had."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What the status endpoint shows of the engine."""

    state: str
    """``active``: it decides; ``standby``: another does; ``absent``: none does, and there is none in this process."""
    notices: Sequence[str]
    writable: bool


class Engine(Protocol):
    """The engine as the process holds it."""

    async def start(self) -> None:
        """Begin; runs that were under way go on."""

    async def stop(self) -> None:
        """Stop deciding. Attempts go on and are adopted at the next start."""

    async def status(self) -> EngineStatus:
        """How it stands."""


class ControlPlane:
    """Made from its parts; `serve` runs it until `stop` is called or it is idle for too long."""

    def __init__(self, parts: Parts, engine: Engine) -> None:
        self._parts = parts
        self._engine = engine
        self._ground = parts.ground
        self._platform = parts.platform
        self._presence = Presence(time.monotonic)
        self._stopping = asyncio.Event()
        self._started = parts.ground.now()
        self.listening = asyncio.Event()
        """Set while clients can connect."""
        self.tcp_port = 0
        """The port of the TCP listener when there is one."""

    def stop(self) -> None:
        """Begin an orderly stop."""
        self._stopping.set()

    async def serve(self) -> None:
        """Listen until told to stop. The run folder must be `ownership.locked`.

        Raises:
            PortTaken: the TCP listener cannot be had.
            OSError: the socket cannot be made.
        """
        settings = self._ground.settings
        run_dir = Path(settings.run_dir)
        servers = [self._listen_on_tcp(settings.tcp)] if settings.tcp else []
        try:
            await self._engine.start()
            server = self._server()
            server.add_socket(ownership.bind(run_dir))
            servers.append(server)
            self._tell_clients(run_dir)
            log.info("listening on %s", run_dir / ownership.SOCKET)
            if settings.tcp:
                self._say_where(settings.tcp)
            self.listening.set()
            async with asyncio.TaskGroup() as tasks:
                watches = (self._stop_when_idle(), self._stay_findable(server, run_dir))
                watching = [tasks.create_task(each) for each in watches]
                await self._stopping.wait()
                for each in watching:
                    each.cancel()
        finally:
            self.listening.clear()
            ownership.withdraw(run_dir)
            await self._shut(servers)

    async def _shut(self, servers: Sequence[HTTPServer]) -> None:
        log.info("stopping")
        for server in servers:
            server.stop()
        await self._engine.stop()
        for server in servers:
            await server.close_all_connections()

    def _server(self, token: str = "") -> HTTPServer:
        control = Control(self.status, self._platform.executions.active, self.stop)
        return make_server(self._parts, control, self._presence, token=token)

    def _listen_on_tcp(self, tcp: TcpSettings) -> HTTPServer:
        try:
            sockets = bind_sockets(tcp.port, tcp.host)
        except OSError as error:
            raise PortTaken(
                f"Cannot listen on {tcp.host}:{tcp.port} ({error.strerror or error}): "
                "choose another port, or 0 for a free one."
            ) from error
        self.tcp_port = int(sockets[0].getsockname()[1])
        server = self._server(tcp.token)
        server.add_sockets(sockets)
        return server

    def _say_where(self, tcp: TcpSettings) -> None:
        """To whoever asked for TCP, on standard output: a port of 0 is known only now."""
        host = f"[{tcp.host}]" if ":" in tcp.host else tcp.host
        log.info("listening on http://%s:%d", host, self.tcp_port)
        with contextlib.suppress(OSError):
            sys.stdout.write(f"listening on http://{host}:{self.tcp_port}\n")
            sys.stdout.flush()

    async def status(self) -> Mapping[str, object]:
        """What ``/x/v1/status`` says."""
        engine = await self._engine.status()
        machine = await self._ground.machine.status()
        settings = self._ground.settings
        notices = [settings.notice] if settings.notice else []
        return {
            **runtime_facts(settings, self._started),
            "engine": engine.state,
            "notices": [*notices, *machine.notices, *engine.notices],
            "slots": dict(self._ground.machine.slots),
            "active_runs": await self._platform.executions.active(),
            "writable": engine.writable,
            **machine.facts,
        }

    async def _stop_when_idle(self) -> None:
        if self._ground.settings.linger is None:
            return
        linger = self._ground.settings.linger.total_seconds()
        while not self._stopping.is_set():
            remaining = linger - self._presence.idle_seconds()
            if remaining <= 0 and not await self._active():
                log.info("nobody was here for %g seconds and nothing runs", linger)
                self.stop()
                return
            # Active runs without clients: look again now and then until they are over.
            await asyncio.sleep(max(remaining, min(linger, 5.0), _SHORTEST_LOOK))

    def _tell_clients(self, run_dir: Path) -> None:
        facts = runtime_facts(self._ground.settings, self._started)
        socket = str(run_dir / ownership.SOCKET)
        ownership.write_runtime_file(run_dir, {**facts, "socket": socket})

    async def _stay_findable(self, server: HTTPServer, run_dir: Path) -> None:
        """Whoever cleans temporary folders takes the socket along, and the data would be held by a process that nobody finds."""
        while True:
            await asyncio.sleep(_LOOK)
            if ownership.can_be_found(run_dir):
                continue
            with contextlib.suppress(OSError):
                ownership.private_folder(run_dir)
                server.add_socket(ownership.bind(run_dir))
                self._tell_clients(run_dir)
                log.warning("somebody removed what was in %s: it is there again", run_dir)

    async def _active(self) -> int:
        with contextlib.suppress(StoreError, StoreFull):
            return await self._platform.executions.active()
        return 1
