"""Callers of a control plane that is busy: they wait for their turn, as the listener's queue is short."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flyte_jupyter.server.exchange import connect
from flyte_jupyter.supervisor import ControlPlaneUnreachable, Endpoint, request

CALLERS = 50


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        made.listen(0)
        made.settimeout(20)
        yield made


def endpoint(listener: socket.socket) -> Endpoint:
    return Endpoint(f"unix://{listener.getsockname()}")


def test_requests_wait_for_a_place_in_a_full_queue(listener):
    at_once = threading.Barrier(CALLERS + 1)

    def call() -> int:
        at_once.wait()
        return request(endpoint(listener), "GET", "/").status

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = [callers.submit(call) for _ in range(CALLERS)]
        at_once.wait()
        for _ in range(CALLERS):
            caller, _ = listener.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert [answer.result() for answer in answers] == [204] * CALLERS


def test_a_queue_that_never_moves_is_a_control_plane_that_does_not_answer(listener):
    with socket.socket(socket.AF_UNIX) as before:
        before.connect(listener.getsockname())
        with pytest.raises(ControlPlaneUnreachable, match="no control plane answers"):
            request(endpoint(listener), "GET", "/", timeout=0.05)


def test_the_jupyter_server_waits_for_a_place_too_and_is_connected_then(listener):
    async def scenario() -> None:
        calls = [asyncio.create_task(connect(endpoint(listener))) for _ in range(CALLERS)]
        await asyncio.sleep(0)
        listener.setblocking(False)
        for _ in range(CALLERS):
            caller, _ = await asyncio.get_running_loop().sock_accept(listener)
            with caller:
                caller.sendall(b"x")
        for stream in await asyncio.gather(*calls):
            assert await stream.read_bytes(1) == b"x"
            stream.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))
