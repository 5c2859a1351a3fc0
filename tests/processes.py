"""Real processes for tests: control planes and Jupyter servers, and the certainty that they are gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = "a-token-for-tests"


def eventually(look: Callable[[], object], *, within: float = 60.0, what: str = "") -> object:
    """Look until there is something to see. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {within:.0f} s: {what or look}")
        pause.wait(0.02)


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class JupyterServer:
    """A running Jupyter server with the extension in it."""

    port: int
    process: subprocess.Popen
    log: Path
    token: str = TOKEN
    base: str = "/"
    extra: dict = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict | None = None,
        token: bool = True,
    ) -> Answer:
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"token {self.token}"
        request = urllib.request.Request(
            self.url + path.lstrip("/"), data=body, headers=sent, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())


def stop_control_plane(data: Path) -> None:
    """End the control plane of a data folder and all that it started."""
    from flyte_jupyter.supervisor import find, status, stop
    from flyte_jupyter.supervisor.places import places

    where = places({**os.environ, "FLYTE_JUPYTER_DATA_DIR": str(data)})
    saved = os.environ.pop("FLYTE_JUPYTER_ENDPOINT", None)
    try:
        endpoint = find(where)
        if endpoint is not None:
            pid = status(endpoint)["pid"]
            stop(endpoint, force=True)
            eventually(lambda: not alive(pid), what=f"the end of control plane {pid}")
    finally:
        if saved is not None:
            os.environ["FLYTE_JUPYTER_ENDPOINT"] = saved
    kill_all_in(data)


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return not Path("/proc").exists()


def kill_all_in(data: Path) -> None:
    """Kill every process whose command line names this data folder: parents of workers outlive their control plane by design."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            words = (entry / "cmdline").read_bytes()
            if str(data).encode() in words and int(entry.name) != os.getpid():
                os.kill(int(entry.name), 9)


@contextlib.contextmanager
def run_jupyter(
    home: Path, *, lab: bool = False, options: tuple[str, ...] = (), environ: dict | None = None
) -> Iterator[JupyterServer]:
    """Start a real Jupyter server (or JupyterLab) in a home of its own."""
    for name in ("home", "config", "runtime", "jdata", "notebooks", "settings"):
        (home / name).mkdir(parents=True, exist_ok=True)
    env = {
        **os.environ,
        "HOME": str(home / "home"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(home / "home" / ".ipython"),
        "FLYTE_JUPYTER_DATA_DIR": os.environ.get("FLYTE_JUPYTER_DATA_DIR", str(home / "data")),
        **(environ or {}),
    }
    if not any("jpserver_extensions" in option for option in options):
        options = (*options, "--ServerApp.jpserver_extensions={'flyte_jupyter': True}")
    command = [
        sys.executable, "-m", "jupyterlab" if lab else "jupyter_server", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={home / 'notebooks'}", *options,
    ]  # fmt: skip
    log = home / "jupyter.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=env, stdout=out, stderr=out, cwd=home, start_new_session=True
        )
    try:

        def port() -> int | None:
            assert process.poll() is None, log.read_text()
            for file in (home / "runtime").glob("jpserver-*.json"):
                with contextlib.suppress(ValueError, KeyError, OSError):
                    told = int(json.loads(file.read_text())["port"])
                    socket.create_connection(
                        ("127.0.0.1", told), 5
                    ).close()  # told before it listens
                    return told
            return None

        yield JupyterServer(int(eventually(port, what="the Jupyter server's port")), process, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        stop_control_plane(Path(env["FLYTE_JUPYTER_DATA_DIR"]))
