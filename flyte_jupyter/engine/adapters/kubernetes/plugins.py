"""Credential plugins: programs that a kubeconfig names (``exec``) and that say who we are, each within a limit.

The client's own runner has no limit, gives no handle on the process, and goes on without credentials when it fails. Everything
else about a kubeconfig is the client's. Needs the ``kubernetes`` extra.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kubernetes.aio.config import kube_config
from kubernetes.aio.config.exec_provider import ExecProvider

_MOST_SAID = 500
_CERTIFICATE = {
    "client-certificate-data": "clientCertificateData",
    "client-key-data": "clientKeyData",
}


class PluginFailed(Exception):
    """A credential plugin gave nothing that can be used: which one, why, and what to do."""


async def load_kubeconfig(files: str, context: str, into: Any, *, seconds: float) -> Any:
    """Read server and credentials into a client configuration; the client's loader. Raises `PluginFailed` and what that raises."""
    client: Any = kube_config  # of which nothing is typed
    loader = client.KubeConfigLoader(
        config_dict=client.KubeConfigMerger(files).config,
        config_base_path=None,
        active_context=context or None,
    )
    user, expires = loader._user, ""  # noqa: SLF001 - the client has no other word for it
    if user is not None and "exec" in user:
        status = await _asked(user["exec"], seconds)
        expires = str(status.get("expirationTimestamp") or "")
        for name in ("exec", "tokenFile"):
            user.value.pop(name, None)
        user.value |= _as_user(status)
    await loader.load_and_set(into)
    if expires:
        loader.exec_plugin_expiry = client.parse_rfc3339(expires)
    return loader


def _as_user(status: Mapping[str, str]) -> dict[str, str]:
    """What the plugin said, in a kubeconfig's words."""
    if "token" in status:
        return {"token": status["token"]}
    return {
        name: base64.b64encode(status[said].encode()).decode()
        for name, said in _CERTIFICATE.items()
    }


async def _asked(said: Any, seconds: float) -> Mapping[str, str]:
    """The status of the credential that the plugin gives."""
    provider: Any = ExecProvider(said)  # type: ignore[no-untyped-call]
    provider.args[0] = _command(provider.args[0], Path(said.path))
    what = f"the credential plugin {provider.args[0]}"
    hint = said.safe_get("installHint")
    terminal = sys.stdin is not None and sys.stdin.isatty()
    asks = {
        "apiVersion": provider.api_version,
        "kind": "ExecCredential",
        "spec": {"interactive": terminal},
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *provider.args,
            env=provider.env | {"KUBERNETES_EXEC_INFO": json.dumps(asks)},
            stdin=None if terminal else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Where nobody can be asked for a password, all that it starts can be ended with it.
            start_new_session=not terminal,
        )
    except OSError as error:
        raise PluginFailed(f"{what} cannot be run: {error}{f': {hint}' if hint else ''}") from error
    try:
        async with asyncio.timeout(seconds):
            output, errors = await process.communicate()
    except TimeoutError as error:
        remedy = (
            "run it by hand to see what it waits for, or raise kubernetes.connection.plugin_seconds"
        )
        raise PluginFailed(f"{what} did not end within {seconds:g} s: {remedy}") from error
    finally:
        await _end(process, alone=terminal)
    if process.returncode:
        words = errors.decode(errors="replace").strip()[-_MOST_SAID:]
        raise PluginFailed(f"{what} ended with status {process.returncode}: {words}")
    return _status_in(output, provider.api_version, what)


def _command(word: str, file: Path) -> str:
    """As kubectl finds it: a command with a slash from the folder of the file that names it, another one on the path."""
    return str(file.absolute().parent / word) if os.sep in word else word


def _status_in(output: bytes, version: str, what: str) -> Mapping[str, str]:
    try:
        credential = json.loads(output)
        status, given = credential["status"], credential["apiVersion"]
        complete = "token" in status or all(name in status for name in _CERTIFICATE.values())
    except (ValueError, KeyError, TypeError) as error:
        raise PluginFailed(f"{what} printed no ExecCredential with a status") from error
    if given != version:
        raise PluginFailed(f"{what} speaks {given}, and the kubeconfig says {version}")
    if not complete:
        raise PluginFailed(f"{what} gave neither a token nor a certificate with its key")
    return {name: str(value) for name, value in status.items()}


async def _end(process: asyncio.subprocess.Process, *, alone: bool) -> None:
    """End what has not ended: itself `alone`, or its whole session."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        if alone:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
