"""The command line and wrong addresses: what is wrong, and what to do about it, in our own words."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flyte_jupyter.cli.doctor import examine
from flyte_jupyter.cli.main import main
from flyte_jupyter.supervisor import Endpoint, WrongEndpoint, find, find_or_start, status

pytestmark = pytest.mark.usefixtures("data_home")

NOBODY = 65534


@pytest.mark.parametrize(
    "url", ["bogus", "unix://relative.sock", "unix://", "http://", "http://host:port", "ftp://host"]
)
def test_a_wrong_address_is_said_with_the_way_to_write_it(monkeypatch, capsys, url):
    monkeypatch.setenv("FLYTE_JUPYTER_ENDPOINT", url)
    for look in (find, find_or_start):
        with pytest.raises(WrongEndpoint, match="write unix:///path or http://host:port") as caught:
            look()
        assert url in str(caught.value)
    assert main(["status"]) == 1
    assert capsys.readouterr().err.startswith("flyte-jupyter: FLYTE_JUPYTER_ENDPOINT=")


@pytest.mark.parametrize("url", ["http://ada:secret@host:80", "http://secret@host", "secret@host"])
def test_a_password_in_an_address_is_not_repeated(monkeypatch, capsys, url):
    monkeypatch.setenv("FLYTE_JUPYTER_ENDPOINT", url)
    assert main(["status"]) == 1
    said = capsys.readouterr().err
    assert "FLYTE_JUPYTER_TOKEN" in said
    assert "secret" not in said


@pytest.fixture
def stranger(monkeypatch):
    """Something else that answers at the address: to everything, what a test puts into `answer`."""
    answer = {"status": 200, "body": b"{}"}

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(answer["body"])))
            self.end_headers()
            self.wfile.write(answer["body"])

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("FLYTE_JUPYTER_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield answer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("body", [b"[1]", b'"hello"', b"null", b"<html>", b"\xff"])
@pytest.mark.parametrize("command", ["status", "start"])
def test_what_answers_and_is_no_control_plane_is_told(stranger, capsys, command, body):
    stranger["body"] = body
    assert main([command]) == 1
    assert "is not a flyte-jupyter control plane" in capsys.readouterr().err


@pytest.mark.parametrize(("answered", "ended"), [(200, 0), (401, 1), (404, 1), (409, 3), (500, 1)])
def test_a_stop_that_was_refused_is_no_success(stranger, capsys, answered, ended):
    stranger["status"] = answered
    assert main(["stop"]) == ended
    assert bool(capsys.readouterr().err) == bool(ended)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tcp", "127.0.0.1:0"], "--tcp needs --token"),
        (["--tcp", "here", "--token", "t"], "HOST:PORT"),
        (["--tcp", ":65536", "--token", "t"], "HOST:PORT"),
        (["--tcp", "127.0.0.1:99999999999999", "--token", "t"], "HOST:PORT"),
        (["--tcp", "127.0.0.1:²", "--token", "t"], "HOST:PORT"),
    ],
)
def test_serve_says_itself_what_it_wants(monkeypatch, capsys, words, said):
    monkeypatch.delenv("FLYTE_JUPYTER_TOKEN", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["serve", *words])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("usage: flyte-jupyter serve")


def test_serve_tells_the_free_port_that_it_took():
    process = subprocess.Popen(
        [sys.executable, "-m", "flyte_jupyter.cli.main", "serve", "--tcp", "127.0.0.1:0", "--token", "t"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        process.stdout.readline()
        told = process.stdout.readline()
        assert told.startswith("listening on http://127.0.0.1:")
        url = told.split()[-1]
        assert status(Endpoint(url, "t"))["pid"] == process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


@contextlib.contextmanager
def somebody_without_rights():
    """Root may write everywhere: be somebody else meanwhile."""
    root = os.getuid() == 0
    if root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


@pytest.fixture
def place():
    """A folder of somebody without rights."""
    folder = Path(tempfile.mkdtemp())
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def bad(data, monkeypatch) -> list[str]:
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(data))
    with somebody_without_rights():
        return [f"{found.what}: {found.remedy}" for found in examine() if not found.good]


@pytest.mark.parametrize("inside", ["", "data"])
def test_a_data_folder_that_cannot_be_written_to_is_bad(monkeypatch, place, inside):
    place.chmod(0o500)
    (said,) = bad(place / inside if inside else place, monkeypatch)
    assert str(place) in said
    assert "cannot be written to" in said
    assert "set FLYTE_JUPYTER_DATA_DIR" in said


def test_a_data_folder_that_cannot_be_reached_is_bad(monkeypatch, place):
    place.chmod(0)
    (said,) = bad(place / "deep" / "data", monkeypatch)
    assert "Permission denied" in said
    assert "set FLYTE_JUPYTER_DATA_DIR" in said


def test_a_file_in_the_way_is_bad(monkeypatch, place):
    (place / "data").write_text("a file")
    for data in (place / "data", place / "data" / "deeper"):
        (said,) = bad(data, monkeypatch)
        assert str(data) in said


def test_free_space_is_that_of_the_disk_the_data_will_be_on(monkeypatch, place):
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(place / "not" / "yet"))
    (space,) = [found for found in examine() if found.what.endswith("free there")]
    amount, unit = space.what.split()[:2]
    free = shutil.disk_usage(place).free
    assert float(amount) * {"GiB": 1 << 30, "MiB": 1 << 20}[unit] == pytest.approx(free, rel=0.2)
    assert space.good or "make room" in space.remedy
