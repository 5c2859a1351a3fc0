"""Control planes over `tmp_path`."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from server_under_test import Attempts, Server, start, stop, two_cores

from flyte_jupyter.engine.adapters.blobs import FolderBlobs
from flyte_jupyter.engine.adapters.clock import SystemClock
from flyte_jupyter.server import ownership
from flyte_jupyter.server.assembly import make_control_plane, open_database
from flyte_jupyter.server.settings import LimitSettings, Settings
from flyte_jupyter.server.wiring import Machine


@pytest.fixture
def make_server(tmp_path):
    """Start control planes over `tmp_path`; all are stopped at the end."""
    started: list[Server] = []

    def make(**changes: Any) -> Server:
        limits = changes.pop("limits", LimitSettings())
        run_dir = tempfile.mkdtemp(prefix="fj-")  # a socket's path must be short
        settings = replace(
            Settings(
                data_dir=str(tmp_path / "data"),
                run_dir=run_dir,
                frame_interval=timedelta(milliseconds=10),
                log_poll=timedelta(milliseconds=10),
                limits=limits,
            ),
            **changes,
        )
        ownership.private_folder(tmp_path / "data")

        async def build():
            clock = SystemClock()
            attempts = Attempts(FolderBlobs(tmp_path / "data" / "blobs"))
            attempts.follow(clock.now)
            slots = {"cpu": 2.0, "memory": 4e9, "gpu": 0.0}
            machine = Machine(attempts, slots, two_cores())
            database = open_database(tmp_path / "data", shared=not settings.engine)
            plane = make_control_plane(settings, database, machine, clock)
            return Server(settings, attempts, asyncio.get_running_loop(), plane), database

        server = start(build)
        started.append(server)
        return server

    yield make
    for server in started:
        stop(server)
        shutil.rmtree(server.settings.run_dir)


@pytest.fixture
def server(make_server):
    return make_server()
