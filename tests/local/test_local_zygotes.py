"""Zygotes come when they are needed and go when they are not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from local_attempts import alive, attempt_id, bench, seen
from processes import eventually

from flyte_jupyter.engine.adapters.local import processes
from flyte_jupyter.engine.adapters.local.entries import LocalSettings
from flyte_jupyter.engine.adapters.local.zygotes import ZygoteFailed, socket_path

SOURCE = "def do_nothing(inputs):\n    pass\n"


def started(folder: Path, linger: str) -> Path:
    path = folder / "socket"
    words = ["--socket", str(path), "--records", str(folder / "records"), "--linger", linger]
    module = "flyte_jupyter.kernel.runtime.zygote"
    subprocess.run([sys.executable, "-P", "-u", "-m", module, *words], check=True, timeout=60)
    return path


def ask(connection: socket.socket, message: dict[str, object]) -> bytes:
    body = json.dumps(message).encode()
    connection.sendall(len(body).to_bytes(4, "big") + body)
    return connection.recv(65536)


def test_a_zygote_that_nobody_needs_ends_itself(tmp_path):
    path = started(tmp_path, "0.05")
    eventually(lambda: not path.exists(), what="the zygote's end")


@pytest.mark.parametrize(
    "nonsense", [b"\xff\xff\xff\xff", b"\0\0\0\x03{]}", b"\0\0\0\x02[]", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_nonsense_on_the_socket_costs_the_connection_and_nothing_else(tmp_path, nonsense):
    path = started(tmp_path, "60")
    with socket.socket(socket.AF_UNIX) as good, socket.socket(socket.AF_UNIX) as bad:
        good.connect(str(path))
        good.settimeout(60)
        pid = json.loads(ask(good, {"op": "hello", "protocol": 1})[4:])["pid"]
        try:
            bad.connect(str(path))
            bad.settimeout(60)
            bad.sendall(nonsense)
            with contextlib.suppress(ConnectionResetError):
                assert bad.recv(100) == b""
            assert b"BadKey" in ask(good, {"op": "launch", "key": "../up"})
            assert b"BadLaunch" in ask(good, {"op": "launch", "key": "k"})
        finally:
            os.kill(pid, signal.SIGTERM)


def test_idle_zygotes_beyond_the_memory_bound_end(tmp_path):
    async def main():
        async with bench(tmp_path, settings=LocalSettings(idle_bytes=0)) as b:
            pids = []
            for at, environment in enumerate(["one", "two"]):
                spec = b.task(SOURCE, "nothing", attempt_id(f"n{at}"), environment=environment)
                await b.run(spec)
                pids += b.zygote_pids()
                await b.executor.reap(spec.id)

            async def gone():
                return not alive(pids[0])

            await seen(gone)

    asyncio.run(main())


def test_who_comes_while_an_idle_zygote_is_ending_gets_another(tmp_path, monkeypatch):
    async def main():
        async with bench(tmp_path, settings=LocalSettings(idle_bytes=0)) as b:
            first = b.task(SOURCE, "nothing", attempt_id("first"), environment="one")
            await b.run(first)
            await b.executor.reap(first.id)
            (pid,) = b.zygote_pids()
            second = b.task(SOURCE, "nothing", attempt_id("second"), environment="one")
            real, launching = processes.end, []

            def end(*who):
                real(*who)
                launching.append(asyncio.create_task(b.executor.launch(second)))

            monkeypatch.setattr(processes, "end", end)
            other = b.task(SOURCE, "nothing", attempt_id("other"), environment="two")
            assert (await b.run(other)).code == 0
            assert launching
            monkeypatch.undo()
            assert (await b.ended(second.id)).code == 0
            eventually(lambda: not alive(pid), what="the first one's end")

    asyncio.run(main())


def test_a_long_path_has_its_socket_in_a_private_short_folder(tmp_path):
    folder = tmp_path / ("x" * 100) / "zygotes" / "abc"
    path = socket_path(folder, {"XDG_RUNTIME_DIR": str(tmp_path / "..")})
    assert path.name == "abc"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.parent.chmod(0o755)
    with pytest.raises(ZygoteFailed, match="not a private folder"):
        socket_path(folder, {"XDG_RUNTIME_DIR": str(tmp_path / "..")})
    path.parent.rmdir()
