"""The way to an API server: which proxy leads there, and as whom we come."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from datetime import timedelta

import pytest
from fake_api import kubeconfig, served
from fake_cluster import FakeCluster
from kubernetes_bench import QUICK, HandClock
from processes import eventually

from flyte_jupyter.engine.adapters.kubernetes.api import Api, Refused, Unreachable
from flyte_jupyter.engine.adapters.kubernetes.connection import connect
from flyte_jupyter.engine.adapters.kubernetes.credentials import NoCluster
from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings, KubernetesSettings
from flyte_jupyter.server.assembly import open_database
from flyte_jupyter.server.cluster_assembly import cluster_parts
from flyte_jupyter.server.settings import Settings

NOWHERE = "http://cluster.invalid"
VARIABLES = [name for word in ("http", "https", "all", "no") for name in (f"{word}_proxy", f"{word}_PROXY".upper())]  # fmt: skip


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


async def api_at(file, clock=None):
    return Api(await connect(ConnectionSettings(file), clock or HandClock()), QUICK.pace)


async def pods_at(folder, server):
    """The pods that this server lists."""
    api = await api_at(kubeconfig(folder, server))
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


def test_the_server_is_asked_for_by_the_name_that_its_certificate_has(tmp_path):
    """Also to run a program in a pod. This server has no certificate at all, and notes whom clients ask for."""
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _, name, __: asked.append(name)

    async def main():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
        host, port = server.sockets[0].getsockname()
        named = {"tls-server-name": "cluster.internal"}
        api = await api_at(kubeconfig(tmp_path, f"https://{host}:{port}", **named))
        with pytest.raises(Unreachable):
            await api.read(PODS)
        assert set(asked) == {"cluster.internal"}
        asked.clear()
        with pytest.raises(Unreachable):
            await api.execute(f"{PODS}/worker", "task", ["attend"])
        assert set(asked) == {"cluster.internal"}
        await api.close()
        server.close()

    asyncio.run(main())


def test_what_is_kept_for_other_servers_is_not_sent(tmp_path, monkeypatch):
    """A password in ~/.netrc would stand where the token belongs."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    async def main():
        async with served(FakeCluster()) as url:
            return await pods_at(tmp_path, url)

    assert asyncio.run(main()) == []


PODS = "/api/v1/pods"
LASTS = "2026-01-01T01:00:00Z"
"""An hour after a clock of the bench begins."""


def plugin(folder):
    """A user whose tokens a program gives, each of them good for an hour; and the file that it notes each run in.

    It hangs for as long as there is a file "hang".
    """
    runs, program, hang = folder / "runs", folder / "plugin.py", folder / "hang"
    version = "client.authentication.k8s.io/v1"
    said = {"apiVersion": version, "kind": "ExecCredential", "status": {"expirationTimestamp": LASTS}}  # fmt: skip
    program.write_text(
        f"import json, pathlib, time\n"
        f"runs, said = pathlib.Path({str(runs)!r}), {said!r}\n"
        f"runs.open('a').write('x')\n"
        f"while pathlib.Path({str(hang)!r}).exists():\n"
        f"    time.sleep(0.01)\n"
        f"said['status']['token'] = 'token-' + str(len(runs.read_text()))\n"
        f"print(json.dumps(said))\n"
    )
    command = {"apiVersion": version, "command": sys.executable, "args": [str(program)]}
    return {"exec": {**command, "interactiveMode": "Never"}}, runs


@pytest.mark.parametrize("as_stream", [False, True], ids=["request", "stream"])
def test_a_token_that_the_server_no_longer_takes_is_replaced_and_the_request_sent_again(
    tmp_path, as_stream
):
    async def main():
        user, runs = plugin(tmp_path)
        cluster, tokens = FakeCluster(), {"token-1"}
        async with served(cluster, tokens) as url:
            api = await api_at(kubeconfig(tmp_path, url, user))
            await api.read(PODS)
            tokens |= {"token-2"}
            tokens -= {"token-1"}
            if as_stream:
                cluster.add_namespace("news")
                query = {"watch": "1", "resourceVersion": "0"}
                async with aclosing(api.events("/api/v1/namespaces", query, 5.0)) as events:
                    assert (await anext(events))["type"] == "ADDED"
            else:
                await asyncio.gather(*(api.read(PODS) for _ in range(5)))
            assert runs.read_text() == "xx", "once for all who were refused together"
            await api.close()

    asyncio.run(main())


def test_a_token_is_replaced_before_it_expires(tmp_path):
    async def main():
        clock, (user, runs) = HandClock(), plugin(tmp_path)
        async with served(FakeCluster(), {"token-1", "token-2"}) as url, asyncio.timeout(20):
            api = await api_at(kubeconfig(tmp_path, url, user), clock)
            await api.read(PODS)
            assert runs.read_text() == "x"
            clock.move(timedelta(minutes=55))
            while runs.read_text() != "xx":
                await api.read(PODS)
            await api.close()

    asyncio.run(main())


def test_a_plugin_that_hangs_holds_up_nobody_while_the_token_is_good(tmp_path):
    async def main():
        clock, (user, runs), tokens = HandClock(), plugin(tmp_path), {"token-1", "token-2"}
        async with served(FakeCluster(), tokens) as url, asyncio.timeout(20):
            api = await api_at(kubeconfig(tmp_path, url, user), clock)
            (tmp_path / "hang").touch()
            clock.move(timedelta(minutes=55))
            while runs.read_text() != "xx":
                await asyncio.gather(*(api.read(PODS) for _ in range(5)))
            tokens -= {"token-1"}
            refused = [asyncio.create_task(api.read(PODS)) for _ in range(5)]
            (tmp_path / "hang").unlink()
            await asyncio.gather(*refused)
            assert runs.read_text() == "xx", "one for all, and one at a time"
            await api.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "content", ["just words", "[1]", "{", "a: b: c", "\x00", "", "contexts: 5"]
)
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path, content):
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(NoCluster, match=r"config cannot be used: ."):
        asyncio.run(api_at(file))


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(NoCluster, match=r"/nowhere cannot be used: there is no such file"):
        asyncio.run(api_at(tmp_path / "nowhere"))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a{os.pathsep}{tmp_path}/b")
    with pytest.raises(NoCluster, match=r"/a.*/b cannot be used: there is no such file"):
        asyncio.run(api_at(None))
    found = kubeconfig(tmp_path, NOWHERE)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a{os.pathsep}{found}")

    async def main():
        await (await api_at(None)).close()

    asyncio.run(main())


HANGS = "sleep 1000"


def shell_plugin(folder, lines):
    """A user whose tokens a program of the shell gives, which is there at once, however busy the machine is."""
    program = folder / "plugin.sh"
    program.write_text("#!/bin/sh\n" + lines)
    program.chmod(0o700)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}
    return {"exec": {**command, "args": ["--secret=hush"], "installHint": "make plugin", "interactiveMode": "Never"}}  # fmt: skip


@contextmanager
def end_of(pipe):
    """Whether all who write to this named pipe, which somebody has, have ended."""
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    heard = []

    def ended():
        with suppress(BlockingIOError):
            heard.append(os.read(reader, 100))
        return heard[-1:] == [b""] and any(heard)

    yield ended
    os.close(reader)


def test_a_plugin_that_does_not_end_is_ended_and_named_and_the_old_token_kept(tmp_path, caplog):
    """With what it has started, which may hold on to its output."""
    said = (
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        f'"status": {{"token": "token-1", "expirationTimestamp": "{LASTS}"}}}}'
    )
    user = shell_plugin(
        tmp_path,
        f"if [ -e {tmp_path}/hang ]; then (echo here; exec sleep 1000) > {tmp_path}/pipe & wait; fi\n"
        f"echo '{said}'\n",
    )

    async def main():
        clock = HandClock()
        async with served(FakeCluster(), {"token-1"}) as url, asyncio.timeout(30):
            file = kubeconfig(tmp_path, url, user)
            connected = await connect(ConnectionSettings(file, plugin_seconds=2.0), clock)
            api = Api(connected, QUICK.pace)
            (tmp_path / "hang").touch()
            clock.move(timedelta(minutes=55))
            while "did not end within 2 s" not in caplog.text:
                await api.read(PODS)
            await api.read(PODS)
            await api.close()

    with end_of(tmp_path / "pipe") as ended:
        asyncio.run(main())
        eventually(ended)
    assert f"the credential plugin {tmp_path}/plugin.sh did not end" in caplog.text
    assert "plugin_seconds" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo no key >&2; exit 3", r"plugin\.sh ended with status 3: no key"),
        ("echo hello", r"plugin\.sh printed no ExecCredential"),
        ("echo '{\"apiVersion\": \"v0\", \"status\": {\"token\": \"x\"}}'", r"plugin\.sh speaks v0"),
        (HANGS, r"plugin\.sh did not end within 0.5 s"),
        (None, r"plugin\.sh cannot be run: .*make plugin"),
    ],
)  # fmt: skip
def test_a_plugin_that_gives_nothing_is_named(tmp_path, lines, said):
    file = kubeconfig(tmp_path, NOWHERE, shell_plugin(tmp_path, lines or ""))
    if lines is None:
        (tmp_path / "plugin.sh").unlink()
    at = ConnectionSettings(file, plugin_seconds=0.5 if lines == HANGS else 30.0)
    with pytest.raises(NoCluster, match=said):
        asyncio.run(connect(at, HandClock()))


@pytest.mark.parametrize("command", ["./plugin.sh", "bin/plugin.sh", "../plugin.sh", "plugin.sh"])
def test_a_plugin_is_looked_for_from_the_folder_of_the_file_that_names_it(
    tmp_path, monkeypatch, command
):
    """As kubectl does; a command without a slash is looked for on the path. Of several files each has a folder of its own."""
    folder, elsewhere = tmp_path / "config" / "kube", tmp_path / "elsewhere"
    program = folder / command
    for each in (folder, elsewhere, program.parent, tmp_path / "path"):
        each.mkdir(parents=True, exist_ok=True)
    if "/" not in command:
        program = tmp_path / "path" / command
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    user = shell_plugin(program.parent, "echo it is this one >&2; exit 3")
    user["exec"]["command"] = command
    file = kubeconfig(folder, NOWHERE, user)
    (elsewhere / "config").write_text("current-context: null\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"{elsewhere}/config{os.pathsep}{file.relative_to(tmp_path)}")
    with pytest.raises(NoCluster, match="it is this one"):
        asyncio.run(connect(ConnectionSettings(), HandClock()))


def test_a_token_in_a_file_is_read_again(tmp_path):
    async def main():
        clock, file, tokens = HandClock(), tmp_path / "token", {"first"}
        file.write_text("first\n")
        async with served(FakeCluster(), tokens) as url:
            api = await api_at(kubeconfig(tmp_path, url, {"tokenFile": str(file)}), clock)
            await api.read(PODS)
            file.write_text("second\n")
            tokens |= {"second"}
            clock.move(timedelta(minutes=2))
            await api.read(PODS)
            tokens -= {"first"}
            await api.read(PODS)
            await api.close()

    asyncio.run(main())


def test_a_server_that_knows_nobody_is_not_asked_who_we_are_for_each_request(tmp_path):
    async def main():
        user, runs = plugin(tmp_path)
        async with served(FakeCluster(), ()) as url:
            api = await api_at(kubeconfig(tmp_path, url, user))
            for _ in range(5):
                with pytest.raises(Refused, match="401"):
                    await api.read(PODS)
            assert runs.read_text() == "xx"
            await api.close()

    asyncio.run(main())


def test_however_much_is_followed_requests_get_through(tmp_path):
    async def main():
        cluster = FakeCluster()
        metadata = {"name": "chatty", "namespace": "p-d"}
        pod = cluster._put("pods", {"metadata": metadata, "spec": {}, "status": {}}, "ADDED")
        cluster.say(pod, b"hello")
        query = {"follow": "true", "limitBytes": "100"}
        async with (
            served(cluster) as url,
            AsyncExitStack() as held,
            asyncio.timeout(20),
        ):
            api = await api_at(kubeconfig(tmp_path, url))
            held.push_async_callback(api.close)
            for _ in range(120):
                log = api.follow("/api/v1/namespaces/p-d/pods/chatty/log", query, 60.0)
                await held.enter_async_context(aclosing(log))
                assert await anext(log) == b"hello"
            assert len((await api.read(PODS))["items"]) == 1

    asyncio.run(main())


def test_a_request_may_take_as_long_as_the_settings_say(tmp_path):
    """This server takes connections and never says a word."""

    async def main():
        held = []
        server = await asyncio.start_server(lambda *line: held.append(line), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        file = kubeconfig(tmp_path, f"http://{host}:{port}")
        cluster = KubernetesSettings(connection=ConnectionSettings(file, request_seconds=0.05))
        settings = Settings(
            data_dir=str(tmp_path / "data"),
            run_dir=str(tmp_path / "run"),
            kubernetes=cluster,
            blobs=str(tmp_path / "blobs"),
            engine=False,
        )
        database = open_database(tmp_path / "data")
        try:
            async with asyncio.timeout(20), cluster_parts(settings, database, HandClock()) as parts:
                with pytest.raises(Unreachable):
                    await parts.ground.machine.executor.listing()
        finally:
            for _, writer in held:
                writer.close()
            server.close()
            await database.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("absent", "blobs"), [("kubernetes", "memory://there"), ("s3fs", "s3://bucket/prefix")]
)
def test_without_the_extra_a_process_that_only_serves_says_what_to_install(tmp_path, absent, blobs):
    """It reads logs of pods and writes inputs, though it decides about nothing."""
    (tmp_path / "flyte.toml").write_text(f'blobs = "{blobs}"\n[kubernetes]\n')
    program = (
        "import sys\n"
        f"sys.modules[{absent!r}] = None\n"
        "from flyte_jupyter.server.app import main\n"
        "raise SystemExit(main())\n"
    )
    words = ["--no-engine", "--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "flyte.toml")]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", program, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode != 0
    assert absent in ended.stderr
    assert "flyte-jupyter[kubernetes]" in ended.stderr
