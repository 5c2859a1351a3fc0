"""What passes through the door: as it came, at the slower side's pace, and told plainly when the other side is gone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from processes import TOKEN, alive, eventually, run_jupyter, stop_control_plane
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from flyte_jupyter.server.admin.signing import Signer
from flyte_jupyter.server.gateway import action_of, plain
from flyte_jupyter.server.gateway import routes as gateway_routes
from flyte_jupyter.server.ownership import load_secret
from flyte_jupyter.server.routes import OWN_ROUTES, routes

BASE = "/user/ada/"
STATUS = "flyte-jupyter/x/v1/status"
API = "flyte-jupyter/api/v1"
SIZE = 96 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Below a path, as a hub starts it, and with nothing open to who is not logged in."""
    home = tmp_path_factory.mktemp("traffic")
    options = (f"--ServerApp.base_url={BASE}", "--ServerApp.allow_unauthenticated_access=False")
    environ = {"FLYTE_JUPYTER_DATA_DIR": str(home / "data"), "JUPYTERHUB_API_TOKEN": "a-secret"}
    with run_jupyter(home, options=options, environ=environ) as running:
        running.base = BASE
        running.extra["data"] = home / "data"
        yield running


def control_plane(server) -> int:
    return int(server.request("GET", STATUS).json()["pid"])


@pytest.mark.parametrize("name", ["a/b", "a b", "a?b=c", "a#b", "a%2Fb", "ä", "a;b", "a+b"])
def test_a_name_arrives_as_it_was_sent(server, name):
    answer = server.request("GET", f"{API}/executions/flytesnacks/development/{quote(name, '')}")
    assert answer.status in (400, 404)
    assert name in answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        "x/v1/blobs/../stop",
        "x/v1/blobs/%2e%2e/stop",
        "x/v1/blobs/%2E%2e%2Fstop",
        "x/v1/blobs/x/%2e%2e/%2e%2e/stop",
        "x/v1/blobs//stop",
        "x/v1/logs/./stop",
        "api/v1/%2e%2e/%2e%2e/x/v1/stop",
        "api/v1//executions",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_path_leads_elsewhere(server, method, path):
    before = control_plane(server)
    body = b"" if method == "POST" else None
    assert server.request(method, f"flyte-jupyter/{path}", body=body).status == 404
    assert control_plane(server) == before


@pytest.mark.parametrize("path", ["x/v1/blobs/a%0d%0aX-Evil:%20yes", "api/v1/tasks%00/p/d"])
def test_a_path_stays_one_line(server, path):
    assert server.request("GET", f"flyte-jupyter/{path}").status in (400, 403, 404)


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "TRACE"])
def test_other_methods_lead_nowhere(server, method):
    assert server.request(method, STATUS, token=False).status in (302, 401, 403, 404, 405)
    assert server.request(method, STATUS).status in (404, 405)


def test_a_preflight_reveals_nothing(server):
    answer = server.request("OPTIONS", f"{API}/projects", token=False)
    assert answer.body == b""
    assert answer.headers.get("Access-Control-Allow-Origin") in (None, "")


def test_the_gateway_and_the_table_agree_on_what_a_request_does():
    for row in routes():
        assert action_of(row.method, row.template.removeprefix("/")) == row.action or (
            row.resource == "events"
        ), row.rpc


def test_the_gateway_passes_on_what_the_table_says_and_nothing_else():
    offered = [pattern for pattern, *_ in gateway_routes(None)]
    for row in OWN_ROUTES:
        path = re.sub(r"{\w+}", "name", row.template)
        passed = any(re.fullmatch(pattern, f"/flyte-jupyter{path}") for pattern in offered)
        assert passed == row.passed_on, row.name
        if passed:
            assert action_of(row.method, path.removeprefix("/")) == row.action, row.name


def test_the_catalog_and_lineage_are_there_through_jupyter(server):
    place = "flytesnacks/development"
    assert server.request("GET", f"flyte-jupyter/x/v1/catalog/{place}").json()["artifacts"] == []
    nobody = server.request("GET", f"flyte-jupyter/x/v1/lineage/{place}/nobody")
    assert (nobody.status, nobody.json()["code"]) == (404, 5)
    forget = {"task": {"project": "flytesnacks", "domain": "development", "task": "none"}}
    body, headers = json.dumps(forget).encode(), {"Content-Type": "application/json"}
    evict = "flyte-jupyter/x/v1/catalog/evict"
    assert server.request("POST", evict, body=body, headers=headers).json() == {"evicted": 0}
    assert server.request("POST", evict, body=body, token=False).status in (401, 403)


def test_plain_paths():
    assert plain("api/v1/tasks/p/d/a.b..c/%2F")
    assert not plain("api/v1/tasks/")
    assert not plain("a/%2e./b")


def test_the_secrets_of_the_hub_stay_with_jupyter(server):
    environ = Path(f"/proc/{control_plane(server)}/environ").read_bytes()
    assert b"a-secret" not in environ


def test_large_bodies_stream_both_ways(server):
    """Jupyter's server holds a part of them at a time, and never the whole."""
    content = os.urandom(1024 * 1024) * (SIZE // (1024 * 1024))
    digest = base64.b64encode(hashlib.md5(content).digest()).decode()
    wish = {"project": "flytesnacks", "domain": "development", "filename": "large.bin", "content_md5": digest}  # fmt: skip
    answer = server.request(
        "POST", f"{API}/dataproxy/artifact_urn", body=json.dumps(wish).encode(),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status == 200, answer.body
    said = answer.json()
    before = peak(server.process.pid)
    headers = {"Content-MD5": digest, "Content-Type": "application/octet-stream"}
    sent = server.request("PUT", through(said["signed_url"]), body=content, headers=headers)
    assert sent.status == 200, sent.body
    key = urlsplit(said["signed_url"]).path.removeprefix("/x/v1/blobs/")
    signer = Signer(load_secret(server.extra["data"]))
    link = signer.url("", "GET", key, datetime.fromtimestamp(2**32, UTC))
    got = server.request("GET", through(link))
    assert got.body == content
    assert got.headers["Content-Length"] == str(SIZE)
    assert peak(server.process.pid) - before < SIZE // 2


def through(signed: str) -> str:
    parts = urlsplit(signed)
    return f"flyte-jupyter{parts.path}?{parts.query}"


def peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize(("method", "statuses"), [("POST", {503}), ("GET", {200})])
def test_a_control_plane_that_dies_in_the_middle_of_a_request(server, method, statuses):
    """What may have taken effect is told, and not done twice; what only reads is asked of the next one."""
    pid = control_plane(server)
    os.kill(pid, signal.SIGSTOP)
    answers = []
    path = f"{API}/projects"

    def ask() -> None:
        body = b"{}" if method == "POST" else None
        answers.append(
            server.request(method, path, body=body, headers={"Content-Type": "application/json"})
        )

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        eventually(lambda: waiting(server) > 0, what="the request at the control plane")
    finally:
        os.kill(pid, signal.SIGKILL)
        asking.join(60)
    assert answers[0].status in statuses, answers[0].body
    if answers[0].status == 503:
        assert answers[0].json()["code"] == 14
        assert "went away" in answers[0].json()["message"]
    eventually(lambda: server.request("GET", STATUS).status == 200)
    assert not alive(pid)


def waiting(server) -> int:
    """Connections that the stopped control plane has not accepted (the state of a socket without a process)."""
    socket = str(server.extra["data"] / "run" / "control.sock")
    rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()]
    return sum(1 for row in rows if row[-1] == socket and row[5] in ("02", "03") and row[6] == "0")


def test_who_leaves_in_the_middle_leaves_nothing_behind(server):
    """Consoles that vanish and clients that hang up: no connection to the control plane is kept for them."""
    pid = control_plane(server)
    before = handles(server.process.pid) + handles(pid)
    url = urlsplit(server.url)

    async def vanish(request: bytes) -> None:
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(request)
        await writer.drain()
        writer.transport.abort()

    async def many() -> None:
        head = f"Host: {url.netloc}\r\nAuthorization: token {TOKEN}\r\n"
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        requests = (
            f"GET {BASE}flyte-jupyter/x/v1/events HTTP/1.1\r\n{head}{upgrade}\r\n",
            f"GET {BASE}{API}/projects HTTP/1.1\r\n{head}\r\n",
            f"POST {BASE}{API}/tasks HTTP/1.1\r\n{head}Content-Length: 1000\r\n\r\nhalf",
        )
        for _ in range(10):
            await asyncio.gather(*(vanish(one.encode()) for one in requests * 4))

    asyncio.run(many())
    assert server.request("GET", STATUS).status == 200
    eventually(
        lambda: handles(server.process.pid) + handles(pid) <= before + 3,
        what="the end of all connections",
    )


def handles(pid: int) -> int:
    """Open sockets of a process."""
    found = 0
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += os.readlink(handle).startswith("socket:")
    return found


def test_a_page_of_another_site_hears_nothing(server):
    login = server.request("GET", f"?token={TOKEN}", token=False)
    cookie = "; ".join(
        part.split(";")[0]
        for part in re.findall(r"(?:^|, )([\w.-]+=[^;,]+)", login.headers.get("Set-Cookie", ""))
    )

    async def connect(origin: str) -> None:
        url = server.url.replace("http", "ws", 1) + "flyte-jupyter/x/v1/events"
        headers = {"Cookie": cookie, "Origin": origin}
        (await websocket_connect(HTTPRequest(url, headers=headers))).close()

    with pytest.raises(HTTPClientError) as caught:
        asyncio.run(connect("http://evil.example"))
    assert caught.value.code == 403


def test_two_servers_of_one_user_share_a_control_plane(tmp_path):
    """The first may leave; the second goes on with the same."""
    environ = {"FLYTE_JUPYTER_DATA_DIR": str(tmp_path / "data")}
    with (
        run_jupyter(tmp_path / "first", environ=environ) as first,
        run_jupyter(tmp_path / "second", environ=environ) as second,
    ):
        pid = eventually(lambda: control_plane(first))
        assert eventually(lambda: control_plane(second)) == pid
        first.process.terminate()
        assert first.process.wait(30) == 0
        assert control_plane(second) == pid


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        (("--FlyteJupyter.data_dir=elsewhere",), {}),
        ((), {"FLYTE_JUPYTER_DATA_DIR": "elsewhere"}),
    ],
)
def test_kernels_meet_at_the_same_control_plane(tmp_path, options, environ):
    """What the extension is told, its kernels hear, also where it was told relative to the server's folder."""
    with run_jupyter(tmp_path, options=options, environ=environ) as running:
        try:
            said = eventually(lambda: running.request("GET", STATUS)).json()
            assert said["data_dir"] == str(tmp_path / "elsewhere")
            kernel = running.request("POST", "api/kernels", body=b"{}")
            assert kernel.status == 201
            name = f"kernel-{kernel.json()['id']}"
            [found] = eventually(lambda: processes_named(name), what="the kernel's process")
            wanted = f"FLYTE_JUPYTER_DATA_DIR={tmp_path / 'elsewhere'}".encode()
            assert wanted in (found / "environ").read_bytes().split(b"\0")
        finally:
            stop_control_plane(tmp_path / "elsewhere")


def processes_named(word: str) -> list[Path]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (entry / "cmdline").read_bytes():
                found.append(entry)
    return found


def test_jupyter_ends_without_loose_ends(tmp_path):
    """Its log tells of no task that was left, with a console still listening."""
    with run_jupyter(tmp_path) as running:
        eventually(lambda: running.request("GET", STATUS).status == 200)

        async def listen() -> None:
            url = running.url.replace("http", "ws", 1) + "flyte-jupyter/x/v1/events"
            line = await websocket_connect(
                HTTPRequest(url, headers={"Authorization": f"token {TOKEN}"})
            )
            running.process.terminate()
            while await line.read_message() is not None:
                pass
            line.close()

        asyncio.run(asyncio.wait_for(listen(), 60))
        assert running.process.wait(30) == 0
    said = running.log.read_text()
    for word in ("Traceback", "destroyed", "never retrieved", "never awaited", "Exception"):
        assert word not in said, said
