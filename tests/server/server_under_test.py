"""A control plane on a thread of its own, real but for the attempts, and real HTTP over its socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.websocket import websocket_connect

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.memory import MemoryExecutor
from flyte_jupyter.engine.core.observations import Exit
from flyte_jupyter.engine.ports import AttemptSpec, LogSlice
from flyte_jupyter.idl import core
from flyte_jupyter.server import ownership
from flyte_jupyter.server.settings import Settings
from flyte_jupyter.supervisor.endpoint import Endpoint, Response, request

DEADLINE = 60


class Attempts(MemoryExecutor):
    """Attempts that double what they are given unless a test gives them other `work`, wait until `go` is set, and have the logs that it gives."""

    def __init__(self, blobs: FolderBlobs) -> None:
        super().__init__(lambda spec: self.work(spec))  # noqa: PLW0108 - a test may change it
        self.blobs = blobs
        self.work = self._double
        self.logs: dict[str, bytes] = {}
        self.log_open: set[str] = set()
        self.go = asyncio.Event()
        self.go.set()

    async def _double(self, spec: AttemptSpec) -> Exit:
        await self.go.wait()
        inputs = core.LiteralMap.FromString(await self.blobs.get(spec.inputs))
        outputs = core.LiteralMap()
        for name in spec.template.interface.outputs.variables:
            value = inputs.literals["x"].scalar.primitive.integer
            outputs.literals[name].scalar.primitive.integer = 2 * value
        await self.blobs.put(f"{spec.output_prefix}/deck.html", b"<h1>deck</h1>")
        await self.blobs.put(f"{spec.output_prefix}/outputs.pb", outputs.SerializeToString())
        return Exit(code=0)

    async def read_log(self, attempt, offset, limit):
        node = str(attempt.path[0])
        data = self.logs.get(node, b"")[offset : offset + limit]
        return LogSlice(data, offset, complete=node not in self.log_open)


@dataclass
class Server:
    """A control plane under test, and how to talk to it."""

    settings: Settings
    attempts: Attempts
    loop: asyncio.AbstractEventLoop
    plane: Any
    thread: threading.Thread | None = None
    failures: list[BaseException] = field(default_factory=list)

    @property
    def socket(self) -> str:
        return str(Path(self.settings.run_dir) / ownership.SOCKET)

    @property
    def data(self) -> Path:
        return Path(self.settings.data_dir)

    def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        return request(
            Endpoint(f"unix://{self.socket}"),
            method,
            path,
            body=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One JSON request."""
        data = b"" if body is None else json.dumps(body).encode()
        answer = self.raw(method, path, data, Content_Type="application/json")
        return answer.status, json.loads(answer.body)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, value = self.call(method, path, body)
        assert status == 200, value
        return value

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Do something on the control plane's own loop."""

        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE)


def start(make: Callable[[], Coroutine[Any, Any, Server]]) -> Server:
    """Run a control plane on a thread until it listens."""
    box: dict[str, Any] = {}
    ready = threading.Event()

    async def live() -> None:
        server, database = await make()
        box["server"] = server
        serving = asyncio.create_task(server.plane.serve())
        waiting = asyncio.create_task(server.plane.listening.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        ready.set()
        try:
            await serving
        finally:
            await database.close()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:
            box["error"] = error
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(DEADLINE), "the control plane did not listen"
    if "error" in box:
        raise box["error"]
    server: Server = box["server"]
    server.thread = thread
    return server


def two_cores() -> Callable[[core.TaskTemplate], str | None]:
    from flyte_jupyter.engine.adapters.local.resources import Capacity, refusal, wants_of

    capacity = Capacity(cpu=2.0, memory=4 * 2**30, gpu=0)
    return lambda task: refusal(wants_of(task), capacity)


def stop(server: Server) -> None:
    if server.thread is not None and server.thread.is_alive():
        server.loop.call_soon_threadsafe(server.attempts.go.set)
        server.loop.call_soon_threadsafe(server.plane.stop)
        server.thread.join(DEADLINE)
        assert not server.thread.is_alive(), "the control plane did not stop"


def follow(server: Server, talk: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Open the WebSocket and hand it to `talk`, whose result is returned."""
    from flyte_jupyter.server.upstream import UnixResolver

    async def run() -> Any:
        resolver = UnixResolver(path=server.socket, host="flyte-jupyter")
        line = await websocket_connect("ws://flyte-jupyter/x/v1/events", resolver=resolver)
        try:
            return await asyncio.wait_for(talk(line), DEADLINE)
        finally:
            line.close()
            while await line.read_message() is not None:
                pass  # until the other side has hung up too

    return asyncio.run(run())
