"""Signed uploads and downloads, decks and logs."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from server_specs import AT, DOMAIN, PROJECT, register, run_to_end

from flyte_jupyter.server.settings import LimitSettings

CONTENT = b"some code" * 1000


def location(server, content=CONTENT, filename="bundle.tar.gz", **more):
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    request = {
        "project": PROJECT,
        "domain": DOMAIN,
        "filename": filename,
        "content_md5": md5,
        **more,
    }
    return server.ok("POST", "/api/v1/dataproxy/artifact_urn", request)


def path_of(url):
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def put(server, where, content=CONTENT, **headers):
    return server.raw("PUT", path_of(where["signed_url"]), content, **headers)


def test_what_is_put_is_there_under_its_native_url(server):
    where = location(server)
    assert urlsplit(where["signed_url"]).netloc == "flyte-jupyter"
    assert where["headers"]["Content-Md5"]
    got = put(server, where, Content_Md5=where["headers"]["Content-Md5"])
    assert got.status == 200, got.body
    key = urlsplit(where["signed_url"]).path.removeprefix("/x/v1/blobs/")
    assert where["native_url"].endswith(key)
    assert (server.data / "blobs" / key).read_bytes() == CONTENT
    assert [p.name for p in (server.data / "blobs" / key).parent.iterdir()] == ["bundle.tar.gz"]
    again = location(server)
    assert again["native_url"] == where["native_url"]


def test_other_content_than_promised_leaves_nothing(server):
    where = location(server)
    got = put(server, where, b"other")
    assert got.status == 400
    assert b"Content-MD5" in got.body
    assert [p for p in (server.data / "blobs").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.replace("signature=", "signature=0"),
        lambda path: path.replace("bundle", "bungle"),
        lambda path: path.replace("expires=", "expires=9"),
        lambda path: path.replace("md5=", "md5=x"),
        lambda path: path.partition("?")[0],
    ],
)
def test_a_url_that_was_altered_is_refused(server, spoil):
    path = spoil(path_of(location(server)["signed_url"]))
    got = server.raw("PUT", path, CONTENT)
    assert (got.status, json.loads(got.body)["code"]) == (403, 7)


def test_a_url_is_for_one_method(server):
    where = location(server)
    put(server, where)
    assert server.raw("GET", path_of(where["signed_url"])).status == 403


def test_an_expired_url_is_refused(server):
    from datetime import UTC, datetime

    signer = server.plane._platform.signer
    url = signer.url("http://x", "PUT", "a/b", datetime(2020, 1, 1, tzinfo=UTC))
    got = server.raw("PUT", path_of(url), b"late")
    assert got.status == 403
    assert b"expired" in got.body


CLIMBERS = [
    "../x",
    "a/../../x",
    "%2e%2e/x",
    "a/%2e%2e/%2e%2e/%2e%2e/x",
    "..%2fx",
    "/etc/passwd",
    "//host/x",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc/passwd",
    "file:///etc/passwd",
    "s3://other/x",
    "a//b",
    "a/./b",
    "a%00b",
    "a%5c..%5cb",
    "",
]


@pytest.mark.parametrize("key", CLIMBERS)
def test_a_key_that_leads_out_is_refused_even_with_a_signature(server, key):
    """F39. The signature is right for the decoded key, as a hole elsewhere might make it."""
    from urllib.parse import unquote

    platform = server.plane._platform
    for method in ("PUT", "GET"):
        url = platform.signer.url(
            "http://x", method, unquote(key), platform.now().replace(year=2999)
        )
        got = server.raw(method, f"/x/v1/blobs/{key}?{urlsplit(url).query}", b"x")
        assert 400 <= got.status < 500, (method, got.body)
    assert not (server.data / "x").exists()
    assert not (server.data.parent / "x").exists()


@pytest.mark.parametrize(
    "part",
    ["..", "../..", "a/../../b", "/etc", "a/", ".", "x\x00y", "\\..\\x", "a//b"],
)
def test_a_location_that_leads_out_is_never_signed(server, part):
    for field in ("filename", "filename_root"):
        request = {"project": PROJECT, "domain": DOMAIN, "filename_root": "r", field: part}
        status, value = server.call("POST", "/api/v1/dataproxy/artifact_urn", request)
        assert (status, value["code"]) == (400, 3), value


@pytest.mark.parametrize("name", ["a" * 256, "ä" * 128, "folder/" + "b" * 300])
def test_a_name_that_no_file_can_have_is_refused_before_anything_is_sent(server, name):
    request = {"project": PROJECT, "domain": DOMAIN, "filename": name, "filename_root": "root"}
    status, said = server.call("POST", "/api/v1/dataproxy/artifact_urn", request)
    assert (status, said["code"]) == (400, 3)
    assert "255" in said["message"]


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127])
def test_a_name_as_long_as_a_file_can_have_is_taken(server, name):
    assert put(server, location(server, filename=name, filename_root="root")).status == 200


def test_other_content_never_takes_the_place_of_an_upload(server):
    named = {"filename": "f", "filename_root": "r"}
    where = location(server, **named)
    assert location(server, b"other", **named)["native_url"] == where["native_url"], "not there yet"
    assert put(server, where).status == 200
    for content_md5 in ("", base64.b64encode(hashlib.md5(b"other").digest()).decode()):
        request = {"project": PROJECT, "domain": DOMAIN, "content_md5": content_md5, **named}
        status, said = server.call("POST", "/api/v1/dataproxy/artifact_urn", request)
        assert (status, said["code"]) == (409, 6)
        assert "choose another filename" in said["message"]
    assert put(server, location(server, **named)).status == 200, "the same again"
    beside = location(server, b"other", filename="", filename_root="r")
    assert put(server, beside, b"other").status == 200
    key = urlsplit(where["signed_url"]).path.removeprefix("/x/v1/blobs/")
    assert (server.data / "blobs" / key).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("first", "then"),
    [(("r", "f"), ("r/f", "g")), (("r/f", "g"), ("r", "f")), (("r", "f"), ("r/f/g", "h"))],
)
def test_an_upload_in_the_way_of_another_is_refused_by_name(server, first, then):
    for (root, name), wanted in ((first, 200), (then, 400)):
        got = put(server, location(server, b"x", filename=name, filename_root=root), b"x")
        assert got.status == wanted, got.body
    assert "choose another filename" in json.loads(got.body)["message"]


def test_a_place_deeper_than_the_file_system_goes_is_refused_by_name(server):
    where = location(server, b"x", filename_root="/".join(["d" * 200] * 25))
    got = put(server, where, b"x")
    assert (got.status, json.loads(got.body)["code"]) == (400, 3)


def test_a_link_out_of_the_folder_is_not_followed(server):
    (server.data / "blobs").mkdir(exist_ok=True)
    (server.data / "outside").write_text("secret")
    (server.data / "blobs" / "link").symlink_to(server.data)
    platform = server.plane._platform
    soon = platform.now().replace(year=2999)
    for method in ("GET", "PUT"):
        url = platform.signer.url("http://x", method, "link/outside", soon)
        assert server.raw(method, path_of(url), b"x").status == 400
    assert (server.data / "outside").read_text() == "secret"


def test_uploads_have_a_limit(make_server):
    server = make_server(limits=LimitSettings(upload=50_000))
    content = b"x" * 60_000
    try:
        got = put(server, location(server, content), content)
    except Exception:  # the answer may be lost when the connection is cut while we still send
        got = None
    assert got is None or got.status in (400, 413)
    assert [p for p in (server.data / "blobs").rglob("*") if p.is_file()] == []


def test_an_upload_larger_than_a_message_is_fine(make_server):
    server = make_server(limits=LimitSettings(request_body=10_000))
    content = b"y" * 3_000_000
    assert put(server, location(server, content), content).status == 200


def test_an_upload_cut_off_leaves_nothing(server):
    where = location(server)
    line = http.client.HTTPConnection("flyte-jupyter")
    line.sock = socket.socket(socket.AF_UNIX)
    line.sock.connect(server.socket)
    line.putrequest("PUT", path_of(where["signed_url"]))
    line.putheader("Content-Length", str(len(CONTENT)))
    line.endheaders()
    line.send(CONTENT[:100])
    line.sock.close()
    line.close()
    assert put(server, location(server, b"other", "b"), b"other").status == 200
    until = 200
    while until and list((server.data / "blobs").rglob("*.part")):
        server.ok("GET", "/x/v1/status")
        until -= 1
    assert until, "a part of an upload was left"


def test_the_secret_is_the_owners_alone(server):
    assert (server.data / "secret").stat().st_mode & 0o777 == 0o600


def test_a_deck_is_html_that_can_do_nothing_but_draw(server):
    register(server)
    run_to_end(server, "decks")
    got = server.raw("GET", f"/x/v1/decks/{AT}/decks/n0")
    assert (got.status, got.body) == (200, b"<h1>deck</h1>")
    assert got.headers["Content-Type"].startswith("text/html")
    policy = got.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policy
    assert server.raw("GET", f"/x/v1/decks/{AT}/decks/n0?attempt=0").status == 200
    for path in (f"{AT}/decks/start-node", f"{AT}/decks/no", f"{AT}/no/n0"):
        assert server.raw("GET", f"/x/v1/decks/{path}").status == 404
    assert server.raw("GET", f"/x/v1/decks/{AT}/decks/n0?attempt=9").status == 404
    for attempt in ("9" * 5000, "one", "-1"):
        assert server.raw("GET", f"/x/v1/decks/{AT}/decks/n0?attempt={attempt}").status == 400

    request = {
        "artifact_type": "ARTIFACT_TYPE_DECK",
        "node_execution_id": {
            "node_id": "n0",
            "execution_id": {"project": PROJECT, "domain": DOMAIN, "name": "decks"},
        },
    }
    link = server.ok("POST", "/api/v1/dataproxy/artifact_link", request)["signed_url"][0]
    got = server.raw("GET", path_of(link))
    assert (got.status, got.body) == (200, b"<h1>deck</h1>")
    assert got.headers["Content-Security-Policy"] == policy


def test_large_outputs_are_named_by_url(make_server):
    server = make_server(limits=LimitSettings(inline_data=4))
    register(server)
    run_to_end(server, "large")
    data = server.ok("GET", f"/api/v1/data/executions/{AT}/large")
    assert data["full_outputs"]["literals"] == {}
    got = server.raw("GET", path_of(data["outputs"]["url"]))
    assert (got.status, len(got.body)) == (200, int(data["outputs"]["bytes"]))


def test_logs_are_cut_at_characters(server):
    register(server)
    run_to_end(server, "logs")
    text = "añb€c😀d" * 3
    data = text.encode()
    server.attempts.logs["n0"] = data
    read, offset = "", 0
    while True:
        part = server.ok("GET", f"/x/v1/logs/{AT}/logs/n0/0?offset={offset}&limit=5")
        assert part["offset"] == offset
        read, offset = read + part["text"], part["next"]
        if part["complete"]:
            break
    assert (read, offset) == (text, len(data))
    for path in (f"{AT}/logs/n0/one", f"{AT}/logs/n0/0?offset=-1"):
        assert server.raw("GET", f"/x/v1/logs/{path}").status == 400, path


@pytest.mark.parametrize("path", ["no/n0/0", "one/n9/0", "one/n0/1", "one/n0/0?item=3"])
def test_a_log_that_nobody_will_ever_write_is_not_found(server, path):
    register(server)
    run_to_end(server, "one")
    status, said = server.call("GET", f"/x/v1/logs/{AT}/{path}")
    assert (status, said["code"]) == (404, 5)
    assert "list" in said["message"]
