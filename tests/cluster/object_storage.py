"""A real S3 server for tests, in memory, on an address that pods reach too."""

from __future__ import annotations

import contextlib
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster_places import CACHE, NotBuilt, free_ports
from cluster_programs import Program

KEY = "test"


@dataclass
class S3Server:
    """A running S3 server. Whoever asks is let in; clients must still send some credentials."""

    url: str
    program: Program

    @classmethod
    def start(cls, folder: Path, *, host: str = "127.0.0.1", buckets: tuple[str, ...] = ("flyte",)) -> S3Server:  # fmt: skip
        """Start one that listens on `host`; its log goes to `folder`.

        Raises:
            NotBuilt: it was not installed.
        """
        command = CACHE / "moto" / "bin" / "moto_server"
        if not command.exists():
            raise NotBuilt("The tests' S3 server is not installed. Run: make cluster")
        (port,) = free_ports(1)
        url = f"http://{host}:{port}"
        options = ["-H", host, "-p", str(port)]
        server = cls(url, Program("s3", [str(command), *options], folder, ready=partial(answers, url)))  # fmt: skip
        server.program.start()
        for bucket in buckets:
            server.make_bucket(bucket)
        return server

    @property
    def environment(self) -> dict[str, str]:
        """What botocore, s3fs and flytekit read."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "FLYTE_AWS_ENDPOINT": self.url,
            "FLYTE_AWS_ACCESS_KEY_ID": KEY,
            "FLYTE_AWS_SECRET_ACCESS_KEY": KEY,
        }

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self._ask("PUT", f"/{name}")

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object."""
        self._ask("PUT", f"/{bucket}/{key}", content)

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object.

        Raises:
            urllib.error.HTTPError: there is none.
        """
        return self._ask("GET", f"/{bucket}/{key}")

    def stop(self) -> None:
        """End it; what it held is gone."""
        self.program.kill()  # it would wait for its clients

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        signed = f"AWS4-HMAC-SHA256 Credential={KEY}/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        headers = {"Authorization": signed, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


def answers(url: str) -> bool:
    """Whether the server does its work already."""
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"{url}/moto-api/", timeout=10) as answer,
    ):
        return answer.status == 200
    return False
