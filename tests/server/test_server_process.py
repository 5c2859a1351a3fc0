"""The process itself: one owner, one socket, orderly ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from server_specs import as_json, integer, launch, register, run_to_end
from server_under_test import DEADLINE, follow

from flyte_jupyter.supervisor.endpoint import Endpoint, request


class Process:
    """``python -m flyte_jupyter.server`` on a data folder."""

    def __init__(self, data: Path, run: Path, *more: str) -> None:
        self.run = run
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flyte_jupyter.server", "--data-dir", str(data), "--run-dir", str(run), *more],
            stderr=subprocess.PIPE,
        )  # fmt: skip

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"unix://{self.run / 'control.sock'}")

    def wait(self) -> Process:
        until = time.monotonic() + DEADLINE
        file = self.run / "control.json"
        while not file.exists():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < until, "it does not listen"
            os.sched_yield()
        return self

    def status(self) -> dict:
        return json.loads(request(self.endpoint, "GET", "/x/v1/status").body)

    def end(self) -> tuple[int, str]:
        _, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, err.decode()


@pytest.fixture
def run_dir():
    with tempfile.TemporaryDirectory(prefix="fj-") as folder:  # a socket's path must be short
        yield Path(folder)


@pytest.fixture
def launch_process(tmp_path, run_dir):
    started = []

    def make(*more: str, data: Path | None = None, run: Path | None = None) -> Process:
        process = Process(data or tmp_path / "data", run or run_dir, *more)
        started.append(process.process)
        return process

    yield make
    for process in started:
        process.kill()
        process.wait(DEADLINE)
        process.stderr.close()


def test_it_listens_says_so_and_takes_it_back(launch_process, run_dir, tmp_path):
    process = launch_process().wait()
    facts = json.loads((run_dir / "control.json").read_text())
    assert facts["pid"] == process.process.pid
    assert facts["api"] == 1
    assert facts["socket"] == str(run_dir / "control.sock")
    assert facts["data_dir"] == str(tmp_path / "data")
    assert run_dir.stat().st_mode & 0o777 == 0o700
    assert (run_dir / "control.sock").stat().st_mode & 0o777 == 0o600
    status = process.status()
    assert status["engine"] == "active"
    assert status["writable"] is True
    assert status["active_runs"] == 0
    assert status["slots"]["cpu"] >= 1
    process.process.send_signal(signal.SIGTERM)
    assert process.end() == (0, "")
    assert not (run_dir / "control.json").exists()
    assert not (run_dir / "control.sock").exists()
    assert (tmp_path / "data" / "logs" / "control-plane.log").read_text()


def test_nothing_listens_on_tcp(launch_process):
    """F47."""
    process = launch_process().wait()
    inodes = {
        os.readlink(fd)
        for fd in Path(f"/proc/{process.process.pid}/fd").iterdir()
        if fd.is_symlink() and os.path.lexists(fd)
    }
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = Path("/proc/net", table)
        if rows.exists():
            for row in rows.read_text().splitlines()[1:]:
                assert f"socket:[{row.split()[9]}]" not in inodes


def test_a_second_one_is_refused_in_one_line(launch_process, tmp_path):
    launch_process().wait()
    code, said = launch_process().end()
    assert code == 3
    assert len(said.splitlines()) == 1
    assert "Another control plane owns" in said
    code, said = launch_process(run=tmp_path / "run").end()
    assert code == 3, "the same data by another run folder"
    assert len(said.splitlines()) == 1


def test_what_a_killed_one_left_is_replaced(launch_process, run_dir):
    first = launch_process().wait()
    first.process.kill()
    first.process.wait(DEADLINE)
    assert (run_dir / "control.sock").exists()
    (run_dir / "control.json").unlink()
    second = launch_process().wait()
    assert second.status()["pid"] == second.process.pid


def test_a_damaged_database_is_one_line_and_a_remedy(launch_process, tmp_path):
    folder = tmp_path / "data" / "db"
    folder.mkdir(parents=True)
    (folder / "flyte.db").write_bytes(b"not a database at all" * 500)
    code, said = launch_process().end()
    assert code == 4
    assert len(said.splitlines()) == 1
    assert "flyte.db" in said


def test_stop_by_request(launch_process):
    process = launch_process().wait()
    assert request(process.endpoint, "POST", "/x/v1/stop").status == 200
    assert process.end() == (0, "")


def test_it_ends_itself_when_nobody_is_there(launch_process):
    assert launch_process("--linger", "0.2").end() == (0, "")


def test_tcp_wants_a_token(launch_process, run_dir):
    code, said = launch_process("--tcp", "127.0.0.1:0").end()
    assert code == 2
    assert "--token" in said


def test_a_port_in_use_is_one_line(launch_process):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = launch_process("--tcp", str(port), "--token", "t").end()
    assert code == 5
    assert len(said.splitlines()) == 1
    assert str(port) in said


def test_a_tcp_listener_checks_the_token(make_server):
    from flyte_jupyter.server.settings import TcpSettings

    server = make_server(tcp=TcpSettings("127.0.0.1", 0, "right"))
    url = f"http://127.0.0.1:{server.plane.tcp_port}"
    for token, status in (("", 401), ("wrong", 401), ("right", 200)):
        for path in ("/api/v1/version", "/x/v1/status"):
            assert request(Endpoint(url, token), "GET", path).status == status
    assert request(Endpoint(url), "GET", "/x/v1/events").status == 401
    assert request(Endpoint(url), "POST", "/x/v1/stop").status == 401
    assert request(Endpoint(url), "GET", "/nowhere").status == 401


def test_stop_is_refused_while_runs_are_active(make_server):
    server = make_server()
    register(server)
    server.on_loop(server.attempts.go.clear)
    server.ok("POST", "/api/v1/executions", as_json(launch("busy", x=integer(1))))
    status, value = server.call("POST", "/x/v1/stop")
    assert status == 409
    assert "1 runs are active" in value["message"]
    server.ok("POST", "/x/v1/stop?force=1")
    server.thread.join(DEADLINE)
    assert not server.thread.is_alive()


def test_a_run_goes_on_in_the_next_process(make_server):
    server = make_server()
    register(server)
    server.on_loop(server.attempts.go.clear)
    server.ok("POST", "/api/v1/executions", as_json(launch("kept", x=integer(2))))
    server.ok("POST", "/x/v1/stop?force=1")
    server.thread.join(DEADLINE)
    again = make_server()
    from server_specs import wait_for_end

    assert wait_for_end(again, "kept")["closure"]["phase"] == "SUCCEEDED"


def test_an_open_websocket_keeps_it_alive(make_server):
    from datetime import timedelta

    server = make_server(linger=timedelta(milliseconds=300))

    async def talk(line):
        import asyncio

        register_ = asyncio.to_thread(register, server)
        await register_
        for number in range(6):
            await asyncio.to_thread(run_to_end, server, f"r{number}")
        assert server.thread.is_alive()

    follow(server, talk)
    server.thread.join(DEADLINE)
    assert not server.thread.is_alive()


def test_active_runs_keep_it_alive(make_server):
    from datetime import timedelta

    server = make_server(linger=timedelta(milliseconds=300))

    async def begin(_):
        import asyncio

        await asyncio.to_thread(register, server)
        await asyncio.to_thread(server.on_loop, server.attempts.go.clear)
        request_ = as_json(launch("alive", x=integer(2)))
        await asyncio.to_thread(server.ok, "POST", "/api/v1/executions", request_)

    follow(server, begin)
    server.thread.join(1)
    assert server.thread.is_alive()
    server.loop.call_soon_threadsafe(server.attempts.go.set)
    server.thread.join(DEADLINE)
    assert not server.thread.is_alive()
