"""Find the control plane of this user, or start it.

The order: ``FLYTE_JUPYTER_ENDPOINT``, the runtime file of the data folder, a new process. A lock makes two clients
that start at the same moment share one. The process gets a session of its own, so that an interrupted kernel or a
closed terminal does not take it along.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyte_jupyter.supervisor.endpoint import Endpoint, is_address, request
from flyte_jupyter.supervisor.errors import (
    ControlPlaneUnreachable,
    IncompatibleControlPlane,
    StartFailed,
    SupervisorError,
    UnsupportedPlatform,
    UnusualPlace,
    WrongEndpoint,
)
from flyte_jupyter.supervisor.places import Places, make_private, owned_by_another, places

API = 1
"""The version of ``docs/protocol.md`` that this client speaks."""

HTTP_OK = 200
HTTP_CONFLICT = 409
LONGEST_WAIT = 0.25
_LITTLE_SPACE = 16 * 1024 * 1024
STOP_SECONDS = 20.0


def find(where: Places | None = None) -> Endpoint | None:
    """The endpoint of a control plane that answers, or None. Starts nothing.

    Raises:
        WrongEndpoint: the environment names something that is no address.
    """
    named = _named()
    if named is not None:
        return named
    where = where or places()
    if owned_by_another(where.run) is not None:
        return None  # what it says of a control plane may lead to anybody's
    try:
        socket = json.loads(where.runtime_file.read_text(encoding="utf-8"))["socket"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    endpoint = Endpoint(f"unix://{socket}")
    try:
        status(endpoint, timeout=10)
    except ControlPlaneUnreachable:
        return None
    return endpoint


def find_or_start(*, timeout: float = 60.0, linger: float | None = None) -> Endpoint:
    """The endpoint of this user's control plane, started if there is none.

    Args:
        timeout: seconds to wait for a new one to answer.
        linger: seconds that a newly started one stays without clients; its own default when None.

    Raises:
        SupervisorError: with what to do about it.
    """
    endpoint = _named()
    if endpoint is not None:
        check(status(endpoint))
        return endpoint
    if sys.platform == "win32":
        raise UnsupportedPlatform(
            "flyte-jupyter runs on Linux and macOS. On Windows, use it inside WSL."
        )
    where = places()
    endpoint = find(where)
    if endpoint is not None and _usable(endpoint):
        return endpoint
    with _locked(where):
        endpoint = find(where)
        if endpoint is not None and _usable(endpoint, replace=True):
            return endpoint
        return _start(where, timeout, linger)


def status(endpoint: Endpoint, *, timeout: float = 10.0) -> dict[str, Any]:
    """What the control plane says about itself (docs/protocol.md, section 1).

    Raises:
        ControlPlaneUnreachable: it does not answer, or with something else.
    """
    answer = request(endpoint, "GET", "/x/v1/status", timeout=timeout)
    if answer.status != HTTP_OK:
        raise ControlPlaneUnreachable(
            f"{endpoint.url} answers {answer.status} to a status request: is its token right?"
        )
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ControlPlaneUnreachable(f"{endpoint.url} is not a flyte-jupyter control plane")
    return said


def stop(endpoint: Endpoint, *, force: bool = False) -> bool:
    """Ask the control plane to stop; False when it refuses because runs are active.

    Raises:
        ControlPlaneUnreachable: it does not answer, or refuses for another reason.
    """
    answer = request(endpoint, "POST", "/x/v1/stop" + ("?force=1" if force else ""))
    if answer.status not in (HTTP_OK, HTTP_CONFLICT):
        raise ControlPlaneUnreachable(
            f"{endpoint.url} answers {answer.status} to a request to stop, and goes on: is its token right?"
        )
    return answer.status == HTTP_OK


def check(said: Mapping[str, Any]) -> None:
    """Compare versions.

    Raises:
        IncompatibleControlPlane: naming the side to upgrade.
    """
    theirs = said.get("api")
    if theirs == API:
        return
    from flyte_jupyter._version import __version__

    newer = isinstance(theirs, int) and theirs > API
    what = (
        "upgrade flyte-jupyter here"
        if newer
        else "stop it when its runs are over (`flyte-jupyter stop`): a new one then starts by itself"
    )
    raise IncompatibleControlPlane(
        f"the control plane (version {said.get('version')}, API {theirs}) and this flyte-jupyter "
        f"({__version__}, API {API}) do not match: {what}"
    )


def _named() -> Endpoint | None:
    url = os.environ.get("FLYTE_JUPYTER_ENDPOINT")
    if not url:
        return None
    if "@" in url.rpartition("://")[2].partition("/")[0]:
        raise WrongEndpoint(  # without the address: it would stand in notebooks and logs
            "FLYTE_JUPYTER_ENDPOINT names a user or a password: write http://host:port, and give the control plane's token in "
            "FLYTE_JUPYTER_TOKEN"
        )
    if not is_address(url):
        raise WrongEndpoint(
            f"FLYTE_JUPYTER_ENDPOINT={url!r} is no address of a control plane: write unix:///path or http://host:port, "
            "or unset it to have one of your own"
        )
    return Endpoint(url, os.environ.get("FLYTE_JUPYTER_TOKEN", ""))


def _usable(endpoint: Endpoint, *, replace: bool = False) -> bool:
    """Whether to use a running one; an idle one of an older API is stopped when `replace` is set."""
    said = status(endpoint)
    try:
        check(said)
    except IncompatibleControlPlane:
        older = isinstance(said.get("api"), int) and said["api"] < API
        if not older or said.get("active_runs"):
            raise
        if replace:
            stop(endpoint)
            _wait_for_the_end_of(endpoint)
        return False
    return True


def _wait_for_the_end_of(endpoint: Endpoint) -> None:
    """Its successor could not have the data before."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            status(endpoint, timeout=LONGEST_WAIT)
        except ControlPlaneUnreachable:
            return
        time.sleep(LONGEST_WAIT)


@contextmanager
def _writing(where: Places) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StartFailed(
            f"the control plane has no place for its data in {where.data}: {error}. "
            "Mend that, or set FLYTE_JUPYTER_DATA_DIR to a folder that you can write to"
        ) from error


@contextmanager
def _locked(where: Places) -> Iterator[None]:
    with _writing(where):
        make_private(where.data)
        make_private(where.run)
        handle = os.open(where.start_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def command_for(where: Places) -> list[str]:
    """The command line of a control plane that lives in these places."""
    module = [sys.executable, "-m", "flyte_jupyter.server"]
    folders = ["--data-dir", str(where.data), "--run-dir", str(where.run)]
    notice = [f"--notice={where.notice}"] if where.notice else []
    return [*module, *folders, "--log-file", str(where.log), *notice]


def _start(where: Places, timeout: float, linger: float | None) -> Endpoint:
    words = where.run / "start.err"
    command = command_for(where)
    if linger is not None:
        command += ["--linger", str(linger)]
    with _writing(where):
        where.log.parent.mkdir(parents=True, exist_ok=True)
        words.touch()
    with words.open("wb") as err:
        process = subprocess.Popen(  # noqa: S603  our own module, by this interpreter
            command,
            stdin=subprocess.DEVNULL,
            stdout=err,
            stderr=err,
            cwd="/",
            start_new_session=True,
            env=_environment(),
        )
    deadline = time.monotonic() + timeout
    wait = 0.02
    while time.monotonic() < deadline:
        if process.poll() is not None:
            endpoint = find(where)  # somebody else's, started by other means
            if endpoint is not None:
                return endpoint
            raise StartFailed(_last_words(words, process.returncode, where))
        if where.runtime_file.exists():
            endpoint = find(where)
            if endpoint is not None:
                _outlived_by(process)
                if where.notice:
                    warnings.warn(where.notice, UnusualPlace, stacklevel=3)
                return endpoint
        time.sleep(wait)
        wait = min(wait * 1.5, LONGEST_WAIT)
    process.terminate()
    raise StartFailed(
        f"the control plane did not answer within {timeout:.0f} s; its log is {where.log}"
    )


def _outlived_by(process: subprocess.Popen[bytes]) -> None:
    """Let go of a process that goes on without us, and reap it if it ends first: a zombie would look alive."""
    threading.Thread(target=process.wait, name="flyte-jupyter-reaper", daemon=True).start()


def _environment() -> dict[str, str]:
    """The control plane's: without what belongs to one kernel, and without the secrets of the Jupyter server and its hub."""
    mine = ("JPY_", "JUPYTERHUB_", "JUPYTER_TOKEN", "CONFIGPROXY_AUTH_TOKEN", "PYDEVD_")
    also = {"PYTHONSTARTUP", "MPLBACKEND", "CLICOLOR"}
    return {k: v for k, v in os.environ.items() if k not in also and not k.startswith(mine)}


def _last_words(file: Path, code: int | None, where: Places) -> str:
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    last = text.splitlines()[-1] if text else f"it ended with status {code}"
    free = shutil.disk_usage(where.data).free
    if not text and free < _LITTLE_SPACE:  # its own words did not fit either
        last += f"; only {free // 1024} KiB are free in {where.data}: make room there, or set FLYTE_JUPYTER_DATA_DIR"
    if "ModuleNotFoundError" in last:
        return (
            f"this Python ({sys.executable}) has no control plane in it ({last.split(': ', 1)[-1]}): "
            "pip install 'flyte-jupyter[lab]', or name a running one by FLYTE_JUPYTER_ENDPOINT"
        )
    return f"the control plane could not start: {last} (log: {where.log})"


__all__ = ["API", "SupervisorError", "check", "find", "find_or_start", "status", "stop"]
