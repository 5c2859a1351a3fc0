"""Objects of an S3 store without s3fs, in the same places as with it; left to s3fs where the environment is not plain."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import s3fs

from flyte_jupyter.kernel.runtime.object_store import parts_of, store_of

KEYS = {"AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-test-1"}  # fmt: skip
BUCKET, KEY = "bucket", "a folder/äpfel+birnen=1,2/x~y_z.pb"
ODD = f"s3://{BUCKET}/{KEY}"


class Store(BaseHTTPRequestHandler):
    """Keeps objects in memory, for whoever signs with the right key's name."""

    protocol_version = "HTTP/1.1"  # else nobody is told to go on with a PUT

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.is_known():
            self.server.objects[self.path] = data
        self.tell(b"")

    def do_GET(self) -> None:
        self.tell(self.server.objects.get(self.path))

    def is_known(self) -> bool:
        return "Credential=who/" in self.headers["Authorization"]

    def do_HEAD(self) -> None:
        self.do_GET()

    def tell(self, found: bytes | None) -> None:
        known = self.is_known()
        content = found or b"" if known else b""
        self.send_response(403 if not known else 200 if found is not None else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@contextmanager
def serving() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        server.objects = {}
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def environment(server: ThreadingHTTPServer) -> dict[str, str]:
    return {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}


@pytest.mark.parametrize("token", ["", "a-session"])
@pytest.mark.parametrize("data", [b"", b"content \x00\xff" * 1000])
def test_an_object_comes_back_as_it_was_written(data, token):
    with serving() as server:
        store = store_of(BUCKET, environment(server) | {"AWS_SESSION_TOKEN": token})
        assert store is not None
        assert store.write(KEY, data)
        assert store.read(KEY) == data
        assert len(server.objects) == 1


def test_s3fs_finds_what_it_wrote_and_the_reverse():
    with serving() as server:
        endpoint = environment(server)["AWS_ENDPOINT_URL"]
        files = s3fs.S3FileSystem(
            key="who", secret="secret", endpoint_url=endpoint, skip_instance_cache=True
        )
        store = store_of(BUCKET, environment(server))
        assert store is not None
        assert store.write(KEY, b"one")
        assert files.cat_file(ODD) == b"one"
        files.pipe_file(ODD, b"two")
        assert store.read(KEY) == b"two"
        assert len(server.objects) == 1


def test_what_is_not_plainly_given_is_not_made_up():
    with serving() as server:
        store = store_of(BUCKET, environment(server))
        assert store is not None
        assert store.read(KEY) is None, "there is nothing"
        stranger = store_of(BUCKET, environment(server) | {"AWS_ACCESS_KEY_ID": "somebody"})
        assert stranger is not None
        assert not stranger.write(KEY, b"x")
        assert store.read(KEY) is None, "there is nothing still"
    nobody = store_of(BUCKET, {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert nobody is not None
    assert nobody.read(KEY) is None
    assert not nobody.write(KEY, b"x")


@pytest.mark.parametrize(
    "change",
    [
        {"AWS_ENDPOINT_URL": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_PROFILE": "work"},
        {"AWS_CONFIG_FILE": "/etc/aws"},
        {"AWS_ROLE_ARN": "arn:aws:iam::1:role/x"},
        {"FSSPEC_S3_KEY": "another"},
        {"HTTPS_PROXY": "http://proxy:3128"},
    ],
    ids="".join,
)
def test_another_way_to_say_where_or_who_is_left_to_s3fs(change):
    plain = {**KEYS, "AWS_ENDPOINT_URL": "http://store:9000"}
    assert store_of(BUCKET, plain) is not None
    assert store_of(BUCKET, plain | change) is None


@pytest.mark.parametrize("folder", [".aws", ".config/fsspec"])
def test_configuration_files_are_left_to_s3fs(tmp_path, folder):
    plain = {**KEYS, "AWS_ENDPOINT_URL": "http://store:9000", "HOME": str(tmp_path)}
    assert store_of(BUCKET, plain) is not None
    (tmp_path / folder).mkdir(parents=True)
    assert store_of(BUCKET, plain) is None


@pytest.mark.parametrize("uri", ["gs://bucket/x", "s3://bucket", "s3:///x", "memory://x/y"])
def test_other_places_are_left_to_fsspec(uri):
    assert parts_of(uri) is None
    assert parts_of(ODD) == (BUCKET, KEY)


def test_an_attempt_that_only_reads_and_writes_objects_does_not_pay_for_s3fs(tmp_path):
    program = (
        "import sys; from flyte_jupyter.kernel.runtime import storage;"
        f"storage.write({ODD!r}, b'content'); assert storage.read({ODD!r}) == b'content';"
        "print(sorted({'fsspec', 's3fs', 'botocore', 'asyncio'} & set(sys.modules)))"
    )
    with serving() as server:
        env = environment(server) | {"HOME": str(tmp_path), "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
        )
    assert (done.stdout, done.stderr) == ("[]\n", "")
