"""The Jupyter server's door: who may come in, what is passed on, and what happens when the control plane is gone."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import pytest
from processes import TOKEN, alive, eventually, run_jupyter
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from flyte_jupyter.server.gateway import action_of, resource_of, routes

READS = [
    "flyte-jupyter/x/v1/status",
    "flyte-jupyter/api/v1/projects",
    "flyte-jupyter/api/v1/executions/flytesnacks/development?limit=1",
    "flyte-jupyter/x/v1/logs/flytesnacks/development/x/n0/0",
    "flyte-jupyter/x/v1/decks/flytesnacks/development/x/n0",
    "flyte-jupyter/x/v1/blobs/x",
    "flyte-jupyter/x/v1/catalog/flytesnacks/development",
    "flyte-jupyter/x/v1/lineage/flytesnacks/development/x",
]

AUTHORIZER = """
from jupyter_server.auth.authorizer import Authorizer
from pathlib import Path

class Strict(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        with Path({log!r}).open("a") as out:
            out.write(action + " " + resource + "\\n")
        return not (resource.startswith("flyte_jupyter:") and action != "read")

c.ServerApp.authorizer_class = Strict
c.ServerApp.allow_unauthenticated_access = False
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("door")
    (home / "config").mkdir()
    (home / "config" / "jupyter_server_config.py").write_text(
        AUTHORIZER.format(log=str(home / "asked.log"))
    )
    saved = {
        k: os.environ.pop(k, None) for k in ("FLYTE_JUPYTER_DATA_DIR", "FLYTE_JUPYTER_ENDPOINT")
    }
    try:
        with run_jupyter(home) as running:
            running.extra["asked"] = home / "asked.log"
            yield running
    finally:
        os.environ.update({k: v for k, v in saved.items() if v is not None})


def control_plane(server) -> int:
    return eventually(
        lambda: (
            server.request("GET", READS[0]).status == 200
            and server.request("GET", READS[0]).json()["pid"]
        )
    )


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_nobody_comes_in_without_a_token(server, method, path):
    assert server.request(
        method, path, token=False, body=b"{}" if method != "GET" else None
    ).status in (401, 403)


def test_a_control_plane_is_there_without_asking(server):
    said = server.request("GET", READS[0]).json()
    assert said["api"] == 1
    assert said["engine"] == "active"


def test_reading_is_passed_on(server):
    answer = server.request("GET", READS[1])
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "flytesnacks" in {p["id"] for p in answer.json()["projects"]}


def test_binary_protobuf_is_passed_on(server):
    answer = server.request("GET", READS[1], headers={"Accept": "application/octet-stream"})
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert b"flytesnacks" in answer.body


def test_an_error_of_the_control_plane_keeps_its_status_and_words(server):
    answer = server.request("GET", "flyte-jupyter/api/v1/executions/flytesnacks/development/nosuch")
    assert answer.status == 404
    assert answer.json()["code"] == 5
    assert "nosuch" in answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        "x/v1/stop",
        "x/v1/../../x/v1/stop",
        "x/v1/status/../stop",
        "x/v1/logs/../stop",
        "x/v1/logs/%2e%2e/stop",
        "nothing",
        "x/v1/events/../stop",
    ],
)
def test_the_control_plane_cannot_be_stopped_through_jupyter(server, path):
    pid = control_plane(server)
    answer = server.request("POST", f"flyte-jupyter/{path}", body=b"")
    assert answer.status in (403, 404, 405)
    assert alive(pid)
    assert control_plane(server) == pid


def test_each_request_is_authorised_for_what_it_is(server):
    """One shared handler serves many resources; the answer to the first must not stand for the others."""
    assert server.request("GET", READS[2]).status == 200
    assert server.request("POST", "flyte-jupyter/api/v1/executions", body=b"{}").status == 403
    assert server.request("POST", "flyte-jupyter/api/v1/tasks", body=b"{}").status == 403
    assert server.request("GET", READS[1]).status == 200
    asked = server.extra["asked"].read_text().splitlines()
    for line in (
        "read flyte_jupyter:executions",
        "execute flyte_jupyter:executions",
        "write flyte_jupyter:tasks",
        "read flyte_jupyter:projects",
    ):
        assert line in asked


def test_a_cookie_without_its_xsrf_token_changes_nothing(server):
    """A page of another site can make a browser send its cookies, and no more."""
    login = server.request("GET", f"?token={TOKEN}", token=False)
    cookie = "; ".join(
        part.split(";")[0]
        for part in re.findall(r"(?:^|, )([\w.-]+=[^;,]+)", login.headers.get("Set-Cookie", ""))
    )
    assert cookie
    for path in ("api/v1/tasks", "api/v1/executions"):
        answer = server.request(
            "POST", f"flyte-jupyter/{path}", body=b"{}", headers={"Cookie": cookie}, token=False
        )
        assert answer.status == 403
    foreign = {"Cookie": cookie, "Origin": "http://evil.example"}
    assert server.request("GET", READS[1], headers=foreign, token=False).status in (403, 404)


def test_a_name_that_is_not_ours_is_refused(server):
    """DNS rebinding: a foreign name that resolves to this machine."""
    assert server.request("GET", READS[1], headers={"Host": "evil.example"}).status == 403


def connect(server, **headers):
    async def talk():
        url = server.url.replace("http", "ws", 1) + "flyte-jupyter/x/v1/events"
        line = await websocket_connect(HTTPRequest(url, headers=headers, connect_timeout=20))
        await line.write_message(
            json.dumps(
                {
                    "id": 1,
                    "op": "subscribe",
                    "topic": "executions",
                    "project": "flytesnacks",
                    "domain": "development",
                    "limit": 5,
                }
            )
        )
        said = json.loads(await asyncio.wait_for(line.read_message(), 20))
        line.close()
        return said

    return asyncio.run(talk())


def test_events_come_through_for_who_may_read(server):
    control_plane(server)
    said = connect(server, Authorization=f"token {TOKEN}")
    assert (said["id"], said["type"]) == (1, "snapshot")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"token {TOKEN}", "Origin": "http://evil.example"},
        {"Authorization": "token wrong"},
    ],
)
def test_events_are_closed_to_others(server, headers):
    with pytest.raises(HTTPClientError) as caught:
        connect(server, **headers)
    assert caught.value.code in (401, 403)


def test_a_killed_control_plane_comes_back_by_itself(server):
    pid = control_plane(server)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    assert server.request("GET", READS[1]).status == 200
    assert control_plane(server) != pid


def test_nothing_listens_but_jupyter_itself(server):
    """F47: the control plane and all that it starts use Unix sockets only."""
    pid = control_plane(server)
    family = {pid}
    for _ in range(4):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) in family:
                family.add(int(stat.parent.name))
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add(fields[9])
    for member in family:
        for handle in Path(f"/proc/{member}/fd").glob("*"):
            try:
                target = os.readlink(handle)
            except OSError:
                continue
            assert target.removeprefix("socket:[").rstrip("]") not in listening


def test_every_route_needs_a_login():
    for _, handler, _ in routes(None):
        for method in ("get", "post", "put", "delete", "patch"):
            function = getattr(handler, method, None)
            if function is not None and function.__qualname__.startswith(handler.__name__):
                assert not getattr(function, "__allow_unauthenticated", False)
                assert hasattr(function, "__wrapped__"), (
                    f"{handler.__name__}.{method} is not guarded"
                )


@pytest.mark.parametrize(
    ("method", "path", "action", "resource"),
    [
        ("GET", "api/v1/executions/p/d", "read", "executions"),
        ("POST", "api/v1/executions/relaunch", "execute", "executions"),
        ("DELETE", "api/v1/executions/p/d/n", "execute", "executions"),
        ("POST", "api/v1/tasks", "write", "tasks"),
        ("PUT", "x/v1/blobs/a/b", "write", "blobs"),
        ("GET", "x/v1/status", "read", "status"),
        ("POST", "api/v1/dataproxy/artifact_link", "read", "dataproxy"),
    ],
)
def test_a_request_says_what_it_does(method, path, action, resource):
    assert resource_of(path) == resource
    assert action_of(method, path) == action
