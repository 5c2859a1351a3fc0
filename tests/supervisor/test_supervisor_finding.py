"""One control plane a user, found or started, by real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import eventually

from flyte_jupyter.cli.main import main
from flyte_jupyter.supervisor import (
    ControlPlaneUnreachable,
    Endpoint,
    IncompatibleControlPlane,
    StartFailed,
    UnusualPlace,
    find,
    find_or_start,
    places,
    request,
    status,
    stop,
)
from flyte_jupyter.supervisor.finding import check


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("FLYTE_JUPYTER_ENDPOINT", raising=False)
    yield tmp_path / "data"
    endpoint = find()
    if endpoint is not None:
        pid = status(endpoint)["pid"]
        stop(endpoint, force=True)
        gone(pid)


def gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except (ProcessLookupError, FileNotFoundError):
            return
        pause.wait(0.02)
    raise AssertionError(f"process {pid} did not end")


def test_nothing_is_found_where_nothing_runs(home):
    assert find() is None


def test_many_clients_that_start_at_once_share_one(home):
    with ThreadPoolExecutor(4) as pool:
        endpoints = list(pool.map(lambda _: find_or_start(), range(4)))
    assert len({e.url for e in endpoints}) == 1
    said = status(endpoints[0])
    assert said["data_dir"] == str(home)
    assert said["api"] == 1


def test_only_its_owner_can_open_it(home):
    find_or_start()
    where = places()
    assert where.run.stat().st_mode & 0o077 == 0
    assert where.socket.stat().st_mode & 0o077 == 0


def test_it_has_a_session_of_its_own(home):
    pid = status(find_or_start())["pid"]
    assert os.getsid(pid) != os.getsid(0)


def test_a_killed_one_is_replaced(home):
    first = status(find_or_start())["pid"]
    os.kill(first, signal.SIGKILL)
    gone(first)
    assert find() is None
    second = status(find_or_start())["pid"]
    assert second != first


@pytest.mark.parametrize("taken", ["control.sock", "control.json", "."])
def test_one_whose_socket_somebody_cleared_away_is_found_again(home, taken):
    pid = status(find_or_start())["pid"]
    gone_with = home / "run" / taken
    shutil.rmtree(gone_with) if gone_with.is_dir() else gone_with.unlink()
    assert status(eventually(find, what="the control plane"))["pid"] == pid


def test_stopping_it_leaves_nothing_behind(home):
    endpoint = find_or_start()
    pid = status(endpoint)["pid"]
    assert stop(endpoint)
    gone(pid)
    assert find() is None
    assert not places().runtime_file.exists()


def test_a_second_one_on_the_same_data_is_refused_with_one_line(home):
    find_or_start()
    done = subprocess.run(
        [sys.executable, "-m", "flyte_jupyter.server", "--data-dir", str(home), "--run-dir", str(places().run)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    assert "another" in done.stderr.lower()
    assert status(find_or_start())["api"] == 1


def test_a_damaged_database_is_named_with_the_remedy(home):
    endpoint = find_or_start()
    pid = status(endpoint)["pid"]
    stop(endpoint)
    gone(pid)
    files = [p for p in (home / "db").iterdir() if p.suffix in (".db", ".sqlite", ".sqlite3")]
    assert len(files) == 1
    data = bytearray(files[0].read_bytes())
    data[: len(data) // 2] = b"\x5a" * (len(data) // 2)
    files[0].write_bytes(bytes(data))
    with pytest.raises(StartFailed) as caught:
        find_or_start()
    assert files[0].name in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_python_without_a_control_plane_says_what_to_install(home, monkeypatch, tmp_path):
    # An interpreter that sees the SDK and nothing else: no site-packages at all.
    bare = tmp_path / "bare"
    bare.mkdir()
    script = bare / "python"
    import flyte_jupyter

    source = os.path.dirname(os.path.dirname(flyte_jupyter.__file__))
    script.write_text(f'#!/bin/sh\nPYTHONPATH={source} exec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(StartFailed, match=r"flyte-jupyter\[lab\]"):
        find_or_start()


def test_an_endpoint_by_name_is_used_as_it_is(home, monkeypatch):
    real = find_or_start()
    monkeypatch.setenv("FLYTE_JUPYTER_ENDPOINT", real.url)
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(home / "elsewhere"))
    assert find_or_start().url == real.url
    monkeypatch.setenv("FLYTE_JUPYTER_ENDPOINT", f"unix://{home}/nothing.sock")
    with pytest.raises(ControlPlaneUnreachable, match="no control plane answers"):
        find_or_start()
    monkeypatch.delenv("FLYTE_JUPYTER_ENDPOINT")
    monkeypatch.setenv("FLYTE_JUPYTER_DATA_DIR", str(home))


@pytest.mark.parametrize(("api", "word"), [(2, "upgrade"), (0, "stop"), (None, "stop")])
def test_versions_that_do_not_match_say_which_side_to_upgrade(api, word):
    with pytest.raises(IncompatibleControlPlane, match=word):
        check({"api": api, "version": "9"})


def test_the_token_stays_out_of_what_is_printed():
    assert "secret" not in repr(Endpoint("http://127.0.0.1:1", "secret"))


def test_an_unknown_path_is_not_found(home):
    endpoint = find_or_start()
    assert request(endpoint, "GET", "/nothing").status == 404


@pytest.mark.parametrize("content", ["null", "[]", "{}", "\x00", '{"socket": "/nothing/there"}'])
def test_a_runtime_file_that_says_nothing_is_no_control_plane(home, content):
    (home / "run").mkdir(parents=True)
    places().runtime_file.write_text(content)
    assert find() is None


def test_a_data_folder_that_cannot_be_is_named_with_the_remedy(home):
    home.write_text("a file in the way")
    with pytest.raises(StartFailed, match=r"data.*FLYTE_JUPYTER_DATA_DIR"):
        find_or_start()


@pytest.mark.parametrize("file", ["run/start.lock", "run/start.err"])
def test_a_data_folder_that_takes_no_more_files_is_named_with_the_remedy(home, file):
    (home / file).parent.mkdir(parents=True)
    (home / file).symlink_to(home / "nowhere" / "to be found")
    with pytest.raises(StartFailed, match="FLYTE_JUPYTER_DATA_DIR"):
        find_or_start()


def test_a_home_on_the_network_is_told_to_the_first_client_and_in_the_status(tmp_path, monkeypatch):
    home, local = tmp_path / "home", tmp_path / "local"
    table = f"/dev/a / ext4 rw 0 0\nserver:/export {home} nfs4 rw 0 0\n"
    module = sys.modules["flyte_jupyter.supervisor.places"]
    monkeypatch.setattr(module, "mount_table", lambda: table)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home))
    monkeypatch.setenv("FLYTE_JUPYTER_LOCAL_DIR", str(local))
    for name in ("FLYTE_JUPYTER_DATA_DIR", "FLYTE_JUPYTER_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.warns(UnusualPlace, match="kept per host"):
        endpoint = find_or_start()
    said = status(endpoint)
    try:
        assert said["data_dir"] == str(local)
        assert "nfs4" in said["notices"][0]
        assert find_or_start().url == endpoint.url
    finally:
        stop(endpoint)
        gone(said["pid"])


def test_a_served_control_plane_stays_without_clients(home):
    process = subprocess.Popen(
        [sys.executable, "-m", "flyte_jupyter.cli.main", "serve"], stdout=subprocess.PIPE, text=True
    )
    assert str(home) in process.stdout.readline()
    try:
        eventually(find)
        assert status(find())["pid"] == process.pid
        assert "nobody was here" not in places().log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_command_line_tells_what_is_going_on(home, capsys):
    assert main(["status"]) == 1
    assert main(["start"]) == 0
    assert main(["status", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert said["engine"] == "active"
    assert main(["doctor"]) == 0
    assert main(["stop"]) == 0
    gone(said["pid"])
    assert main(["stop"]) == 0
