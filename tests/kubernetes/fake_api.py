"""The fake cluster behind real HTTP, so that the official client's own code runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Container
from pathlib import Path

from aiohttp import web
from fake_cluster import FakeCluster, refuse

from flyte_jupyter.engine.adapters.kubernetes.api import Call, Refused, Silent, Unreachable

TOKEN = "secret-token"


def kubeconfig(folder: Path, url: str, user: dict | None = None, **cluster: str) -> Path:
    """A configuration file for a server at `url`, of which `cluster` says more, and for a user that it knows."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "me", "user": user or {"token": TOKEN}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
    }
    path = folder / "kubeconfig.json"
    path.write_text(json.dumps(config))
    return path


@contextlib.asynccontextmanager
async def served(cluster: FakeCluster, tokens: Container[str] = (TOKEN,)) -> AsyncIterator[str]:
    """Serve the cluster to whoever has one of these tokens, on a free port of loopback; the address."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        call = Call(request.method, request.path, dict(request.query), body)
        if request.headers["Authorization"].removeprefix("Bearer ") not in tokens:
            return web.Response(status=401, body=refuse(401, "Unauthorized", "Unauthorized").body)
        if "watch" in call.query or "follow" in call.query:
            return await stream(request, call)
        try:
            answer = await cluster.call(call)
        except Unreachable:
            request.transport.abort()
            return web.Response()
        headers = {"Retry-After": answer.retry_after} if answer.retry_after else {}
        kind = "text/plain" if call.path.endswith("/log") else "application/json"
        return web.Response(
            status=answer.status, body=answer.body, headers=headers, content_type=kind
        )

    async def stream(request: web.Request, call: Call) -> web.StreamResponse:
        response = web.StreamResponse()
        pieces = cluster.stream(call)
        try:
            async for piece in pieces:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(piece)
            if not response.prepared:
                await response.prepare(request)
        except Refused as refused:
            return web.Response(status=refused.status, body=refused.body)
        except (Unreachable, Silent):
            request.transport.abort()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            await pieces.aclose()
        return response

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
