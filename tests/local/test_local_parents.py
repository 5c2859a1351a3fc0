"""A parent of attempts is spoken to over its socket, as a control plane does: what goes wrong in it or in a worker costs nobody else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from local_attempts import alive, bundle
from processes import eventually

from flyte_jupyter.kernel.runtime import frames
from flyte_jupyter.kernel.runtime.births import Process
from flyte_jupyter.kernel.runtime.capture import Capture
from flyte_jupyter.kernel.runtime.idling import Idle
from flyte_jupyter.kernel.runtime.job import Environments, Job
from flyte_jupyter.kernel.runtime.peers import Peer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and /proc")


class Parent:
    """A zygote in `folder`, and one connection to it."""

    def __init__(self, folder: Path, *options: str, log: str, **environ: str) -> None:
        self.folder = folder
        path = folder / "socket"
        words = ["--socket", str(path), "--records", str(folder / "records"), *options]
        module = "flyte_jupyter.kernel.runtime.zygote"
        with open(log, "ab") as to:
            subprocess.run(
                [sys.executable, "-P", "-u", "-m", module, *words],
                check=True, timeout=60, stderr=to, env={"PATH": os.environ["PATH"], **environ},
            )  # fmt: skip
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(60)
        self.connection.connect(str(path))
        self._decoder = frames.Decoder()
        self._heard: list[frames.Message] = []
        self.send(op="hello", protocol=1)
        self.pid: int = self.hear("hello")["pid"]

    def send(self, **message: Any) -> None:
        self.connection.sendall(frames.encode(message))

    def hear(self, op: str, key: str | None = None) -> frames.Message:
        """The next message of this kind; what came before it is kept."""
        while True:
            for message in self._heard:
                if message["op"] == op and key in (None, message.get("key")):
                    self._heard.remove(message)
                    return message
            data = self.connection.recv(65536)
            assert data, "the parent is gone"
            self._heard += self._decoder.feed(data)

    def launch(self, key: str, argv: list[str], **given: Any) -> None:
        fields = {"env": {}, "cwd": str(self.folder), "log": str(self.folder / f"{key}.log")}
        self.send(op="launch", key=key, argv=argv, log_limit=1 << 20, **{**fields, **given})

    def run(self, key: str, argv: list[str], **given: Any) -> frames.Message:
        self.launch(key, argv, **given)
        return self.hear("ended", key)


@contextlib.contextmanager
def parent(
    folder: Path, *options: str, log: str = os.devnull, environ: Mapping[str, str] | None = None
) -> Iterator[Parent]:
    made = Parent(folder, *options, log=log, **(environ or {}))
    try:
        yield made
    finally:
        made.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.pid, signal.SIGKILL)


def test_a_parent_that_can_note_nothing_loses_no_attempt(tmp_path):
    """Its own log stands on the same full disk as those of its attempts."""
    with parent(tmp_path, log="/dev/full") as p:
        p.launch("quiet", ["sleep", "600"])
        quiet = p.hear("started", "quiet")["pid"]
        no_log = f"{os.devnull}/no.log"
        assert p.run("says", ["echo", "something"], log=no_log)["code"] == 0
        assert p.run("imports", ["true"], preload=["there_is_no_such_module"])["code"] == 0
        assert alive(quiet)


def test_a_preload_that_fails_only_in_the_parent_costs_it_nothing(tmp_path):
    """The trial went well, so the parent imports it itself."""
    (tmp_path / "fickle.py").write_text(
        "import pathlib\n"
        f"mark = pathlib.Path({str(tmp_path / 'tried')!r})\n"
        "if mark.exists():\n"
        "    raise SystemExit('only one may import me')\n"
        "mark.touch()\n"
    )
    log = tmp_path / "zygote.log"
    with parent(tmp_path, log=str(log), environ={"PYTHONPATH": str(tmp_path)}) as p:
        p.launch("neighbour", ["sleep", "600"])
        neighbour = p.hear("started", "neighbour")["pid"]
        assert p.run("fickle", ["true"], preload=["fickle"])["code"] == 0
        assert alive(neighbour)
    assert "SystemExit: only one may import me" in log.read_text()


WAITS = """
import os, time

def do_nothing(inputs):
    pass

def do_wait(inputs):
    while not os.path.exists("go"):
        time.sleep(0.01)
"""


@pytest.fixture
def task(tmp_path):
    code = bundle(tmp_path / "code", WAITS)

    def command(name: str) -> list[str]:
        options = {"inputs": "", "output-prefix": str(tmp_path), "entity": f"steps:{name}"}
        words = [f"--{option}={value}" for option, value in {**options, "bundle": code}.items()]
        return ["flyte-jupyter-execute", *words]

    return command


def test_an_end_is_on_disk_before_it_is_told(tmp_path, task):
    def codes() -> dict[str, int | None]:
        """Those of which there is a record, each with its exit status."""
        found: dict[str, int | None] = {}
        for line in (tmp_path / "records" / "journal").read_text().splitlines():
            said = json.loads(line)
            found[said["key"]] = (said.get("exit") or {}).get("code")
            if said.get("gone"):
                del found[said["key"]]
        return found

    with parent(tmp_path, environ={"HOME": str(tmp_path)}) as p:
        assert p.run("first", task("nothing"), reuse=True)["code"] == 0
        assert codes() == {"first": 0}
        p.launch("works", task("wait"), reuse=True)
        p.launch("next", task("nothing"), reuse=True, ahead=True)
        assert p.hear("started", "works")["mode"] == "reused"
        assert codes() == {"first": 0, "works": None}
        (tmp_path / "go").touch()
        assert p.hear("ended", "works")["next"] == "next"
        assert codes().keys() == {"first", "works", "next"}
        assert codes()["works"] == 0
        p.hear("ended", "next")
        assert codes() == {"first": 0, "works": 0, "next": 0}
        for key in ("first", "works"):
            p.send(op="reap", key=key)
        eventually(lambda: codes() == {"next": 0})


def test_a_worker_without_work_goes_after_a_while_and_no_other(tmp_path, task):
    with parent(tmp_path, "--idle", "0.2", environ={"HOME": str(tmp_path)}) as p:
        assert p.run("first", task("nothing"), reuse=True)["code"] == 0
        p.launch("works", task("wait"), reuse=True)
        works = p.hear("started", "works")["pid"]
        idle = p.run("idle", task("nothing"), reuse=True)["pid"]
        assert idle != works
        eventually(lambda: not alive(idle), what="the end of the idle worker")
        assert alive(works)
        (tmp_path / "go").touch()
        assert p.hear("ended", "works")["code"] == 0


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_worker_that_was_just_given_work_is_not_idle(tmp_path, sleeper):
    fields = {"key": "k", "argv": ["flyte-jupyter-execute"], "env": {}, "cwd": str(tmp_path)}
    job = Job.read({**fields, "log": "", "log_limit": 1, "reuse": True}, Environments())
    here, there = socket.socketpair()
    reader, writer = os.pipe()
    worker = Process(sleeper.pid, Capture(reader), channel=Peer(here), serves=job.worker)
    idle = Idle(seconds=0.0)
    with here, there:
        idle.add(worker)
        assert idle.take(job) is worker
        worker.give(job)
        idle.end_due()
        assert (sleeper.poll(), worker.retired) == (None, False)
        idle.add(worker)
        idle.end_due()
        assert sleeper.wait(60) == -signal.SIGKILL
        assert idle.next_at is None
        assert idle.take(job) is None
    os.close(reader)
    os.close(writer)
