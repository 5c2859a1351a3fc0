"""A client certificate is replaced while the engine runs: by a plugin, or in its file."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web
from cluster_certificates import Authority
from fake_api import kubeconfig
from kubernetes_bench import QUICK, HandClock

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.credentials import NoCluster
from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings

PODS = "/api/v1/pods"
VERSION = "client.authentication.k8s.io/v1"


@asynccontextmanager
async def asked_by(known, authority):
    """A server that knows whoever comes with one of these names in a certificate of the authority's; its address."""

    async def handle(request):
        subject = request.transport.get_extra_info("peercert")["subject"]
        if dict(pair[0] for pair in subject)["commonName"] not in known:
            return web.Response(status=401, body=b"{}")
        if "watch" not in request.query:
            return web.json_response({"items": []})
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(2):
            await response.write(json.dumps({"number": number}).encode() + b"\n")
            await known_again.wait()
        return response

    known_again = known["again"] = asyncio.Event()
    mine = authority.issue("server", "/CN=server", hosts=("127.0.0.1",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.pair.certificate))  # fmt: skip
    context.load_cert_chain(mine.certificate, mine.key)
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def from_files(folder):
    """A user whose certificate stands in a file."""
    return {"client-certificate": str(folder / "me.crt"), "client-key": str(folder / "me.key")}


def from_plugin(folder):
    """A user whose certificate a program gives."""
    program = folder / "plugin.py"
    program.write_text(
        f"import json, pathlib\n"
        f"crt, key = (pathlib.Path({str(folder)!r}, f'me.{{end}}').read_text() for end in ('crt', 'key'))\n"
        f"status = {{'clientCertificateData': crt, 'clientKeyData': key}}\n"
        f"print(json.dumps({{'apiVersion': {VERSION!r}, 'kind': 'ExecCredential', 'status': status}}))\n"
    )
    command = {"apiVersion": VERSION, "command": sys.executable, "args": [str(program)]}
    return {"exec": {**command, "interactiveMode": "Never"}}


def become(folder, pair):
    (folder / "me.crt").write_bytes(pair.certificate.read_bytes())
    (folder / "me.key").write_bytes(pair.key.read_bytes())


@asynccontextmanager
async def met(folder, user, *names):
    """As `user`, whose certificate is first that of "one", at a server that knows these names: its API, those names, "two"'s pair."""
    authority = Authority.make(folder / "authority")
    one, two = (authority.issue(name, f"/CN={name}") for name in ("one", "two"))
    become(folder, one)
    known = dict.fromkeys(names, True)
    async with asked_by(known, authority) as url, asyncio.timeout(60):
        api = await api_of(folder, url, user(folder), authority)
        yield api, known, two
        await api.close()


async def api_of(folder, url, user, authority):
    """As whom the kubeconfig names: this user, at the server that this authority vouches for."""
    vouches = {"certificate-authority": str(authority.pair.certificate)}
    file = kubeconfig(folder, url, user, **vouches)
    return Api(await connect(ConnectionSettings(file), HandClock()), QUICK.pace)


@pytest.mark.parametrize("user", [from_files, from_plugin])
def test_a_certificate_that_the_server_no_longer_takes_is_read_again(tmp_path, user):
    async def main():
        async with met(tmp_path, user, "one") as (api, known, two):
            await api.read(PODS)
            async with aclosing(api.events(PODS, {"watch": "1"}, 30.0)) as events:
                assert await anext(events) == {"number": 0}
                become(tmp_path, two)
                del known["one"]
                known["two"] = True
                assert await api.read(PODS) == {"items": []}
                known["again"].set()
                assert await anext(events) == {"number": 1}, "what was followed goes on"

    asyncio.run(main())


def test_a_certificate_that_cannot_be_used_is_named(tmp_path):
    authority = Authority.make(tmp_path / "authority")
    become(tmp_path, authority.pair)
    (tmp_path / "me.key").write_text("no key")
    with pytest.raises(NoCluster, match=r"me\.crt with the key .*me\.key cannot be used"):
        asyncio.run(api_of(tmp_path, "https://localhost", from_files(tmp_path), authority))


def test_a_key_that_is_another_certificates_is_not_used(tmp_path):
    """A file is looked at while somebody replaces the pair."""

    async def main():
        async with met(tmp_path, from_files, "two") as (api, known, two):
            (tmp_path / "me.crt").write_bytes(two.certificate.read_bytes())
            with pytest.raises(Refused, match="401"):
                await api.read(PODS)
            known["one"] = True
            assert await api.read(PODS) == {"items": []}

    asyncio.run(main())
