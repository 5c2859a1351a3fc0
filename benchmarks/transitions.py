"""What is the engine's own of the time between two pods: from hearing of a success until the next pod is asked for."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes.api import Answer, Call, Duplex
from flyte_jupyter.engine.adapters.kubernetes.connection import KubernetesConnection


class Overheard:
    """A `Transport` that notes what comes from the API server, and what goes to it, by the clock, and reads it later."""

    def __init__(self, connection: KubernetesConnection) -> None:
        from aiohttp import TraceConfig

        self._connection = connection
        self._heard: list[tuple[float, str, bytes]] = []
        self._sent: list[tuple[float, bytes]] = []
        self._noted = TraceConfig()
        self._noted.on_request_chunk_sent.append(self._note)
        self._noted.freeze()

    async def call(self, call: Call) -> Answer:
        """Ask and wait for the whole answer."""
        session = self._connection._client.rest_client.pool_manager  # noqa: SLF001 - to see its bytes leave
        if session is not None and self._noted not in session.trace_configs:
            session.trace_configs.append(self._noted)
        return await self._connection.call(call)

    async def stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Pieces of an answer as they come."""
        async for piece in self._connection.stream(call):
            self._heard.append((time.monotonic(), call.path, piece))
            yield piece

    async def execute(self, call: Call, command: Sequence[str]) -> Duplex:
        """Run a program in a container."""
        return await self._connection.execute(call, command)

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()

    async def _note(self, _session: Any, _context: Any, sent: Any) -> None:
        self._sent.append((time.monotonic(), sent.chunk))

    def transitions(self) -> list[float]:
        """Seconds from each success to the next create, of a chain in which one follows from the other."""
        asked = [at for at, chunk in self._sent if chunk and json.loads(chunk).get("kind") == "Pod"]
        return [
            create - success
            for success, create in zip(sorted(self._successes()), sorted(asked)[1:], strict=False)
        ]

    def _successes(self) -> list[float]:
        first: dict[str, float] = {}
        rest: dict[str, bytes] = {}
        for at, path, piece in self._heard:
            *lines, rest[path] = (rest.get(path, b"") + piece).split(b"\n")
            for event in map(json.loads, filter(bytes.strip, lines)):
                pod = event["object"]
                if pod.get("kind") == "Pod" and pod.get("status", {}).get("phase") == "Succeeded":
                    first.setdefault(pod["metadata"]["name"], at)
        return list(first.values())
