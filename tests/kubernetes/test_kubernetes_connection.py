"""The way to an API server: which proxy leads there."""

from __future__ import annotations

import asyncio

import pytest
from fake_api import kubeconfig, served
from fake_cluster import FakeCluster

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings

NOWHERE = "http://cluster.invalid"
VARIABLES = [name for word in ("http", "https", "all", "no") for name in (f"{word}_proxy", f"{word}_PROXY".upper())]  # fmt: skip


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


async def pods_at(folder, server):
    """The pods that this server lists."""
    api = Api(await connect(ConnectionSettings(kubeconfig(folder, server))))
    try:
        return (await api.read("/api/v1/pods"))["items"]
    finally:
        await api.close()


def test_the_proxy_that_the_environment_names_is_asked(tmp_path, monkeypatch):
    async def main():
        async with served(FakeCluster()) as url:
            with pytest.raises(Unreachable):
                await pods_at(tmp_path, NOWHERE)
            monkeypatch.setenv("http_proxy", url)
            return await pods_at(tmp_path, NOWHERE)

    assert asyncio.run(main()) == []


def test_a_server_that_needs_no_proxy_is_asked_itself(tmp_path, monkeypatch):
    async def main():
        async with served(FakeCluster()) as url:
            monkeypatch.setenv("http_proxy", NOWHERE)
            with pytest.raises(Unreachable):
                await pods_at(tmp_path, url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            return await pods_at(tmp_path, url)

    assert asyncio.run(main()) == []


def test_what_is_kept_for_other_servers_is_not_sent(tmp_path, monkeypatch):
    """A password in ~/.netrc would stand where the token belongs."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    async def main():
        async with served(FakeCluster()) as url:
            return await pods_at(tmp_path, url)

    assert asyncio.run(main()) == []
