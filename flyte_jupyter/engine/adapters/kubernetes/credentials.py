"""Who we are to an API server, as the configuration says; read from it again before it expires, or when the server refuses it.

When a token expires is known beforehand, and of a client certificate if a plugin says so; another one is read again when it is refused.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flyte_jupyter.engine.adapters.kubernetes.settings import ConnectionSettings
from flyte_jupyter.engine.ports import Clock

log = logging.getLogger(__name__)

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_DEFAULT = "~/.kube/config"
_TOKEN_FILE_LASTS = timedelta(minutes=1)
"""A file's token is replaced long before it expires: as often do the official clients read it."""
_LIFE = 0.8
"""The part of a token's life after which another one is asked for."""
_PAUSE = 5.0
"""Seconds from the end of an attempt to get others to the next one: neither a server that refuses all of us nor a plugin that fails
is a reason to run one for each request."""
_PATIENCE = 60.0
"""Seconds that requests wait for others before they go on with those they have."""
_GIVEN_UP = 300.0
"""Seconds after which reading others (a plugin has a limit of its own) is thought never to end."""
_BEARER = "BearerToken"
_FOREVER = datetime.max.replace(tzinfo=UTC)


class NoCluster(Exception):
    """There is no cluster to talk to: what is missing and what to do, in one line."""


async def read_credentials(settings: ConnectionSettings, clock: Clock) -> Credentials:
    """Server and credentials that the settings name. Raises `NoCluster`."""
    try:
        from kubernetes.aio import client
    except ImportError as error:
        raise NoCluster(
            f"Kubernetes needs the package kubernetes ({error}): pip install 'flyte-jupyter[kubernetes]'"
        ) from error
    made = Credentials(settings, clock, client.Configuration())
    await made.load(made.configuration)
    try:
        made.certificate = _certificate_of(made.configuration)
    except OSError as error:
        named = f"{made.configuration.cert_file} with the key {made.configuration.key_file}"
        raise NoCluster(f"The client certificate {named} cannot be used: {error}") from error
    return made


class Credentials:
    """A client configuration whose token and certificate stay good."""

    def __init__(self, settings: ConnectionSettings, clock: Clock, configuration: Any) -> None:
        self.configuration = configuration
        self.certificate = b""
        """The client certificate and its key as they were last read; connections that were made with others are known by those."""
        self._clock = clock
        self._settings = settings
        self._loader: Any = None
        self._renewal: asyncio.Task[None] | None = None
        self._patient_until = 0.0
        self._version = 0
        self._stale_at = _FOREVER
        self._expires_at = _FOREVER
        self._not_before = 0.0

    async def current(self) -> int:
        """See to it that they have not expired, as far as that is known. Which ones they are, for `replaced`."""
        now = self._clock.now()
        if now >= self._stale_at:
            self._begin_renewal()
        if now >= self._expires_at:
            await self._renewed()
        return self._version

    async def replaced(self, version: int) -> bool:
        """The server has refused those of this version: whether there are others now."""
        if version == self._version:
            self._begin_renewal()
            await self._renewed()
        return version != self._version

    async def close(self) -> None:
        """Look for no others any more."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def load(self, into: Any) -> None:
        """Read server and credentials into a client configuration. Raises `NoCluster`."""
        from kubernetes.aio import config

        from flyte_jupyter.engine.adapters.kubernetes.plugins import load_kubeconfig

        files = _files(self._settings)
        if not files and not os.environ.get(_IN_CLUSTER):
            raise NoCluster(
                "There is no Kubernetes configuration: name a file with --kubeconfig or KUBECONFIG"
            )
        try:
            if self._loader is not None and self._loader.provider:
                # This loader alone has the refresh token, which may be good only once.
                await self._loader.load_and_set(into)
            elif files:
                self._loader = await load_kubeconfig(
                    files, self._settings.context, into, seconds=self._settings.plugin_seconds
                )
            else:
                config.load_incluster_config(client_configuration=into)  # type: ignore[no-untyped-call]
        except Exception as error:
            # A file may have anything in it, and its library raises what that leads to.
            what = str(error) or type(error).__name__
            raise NoCluster(
                f"{files or 'The cluster configuration'} cannot be used: {what}"
            ) from error
        self._stale_at = _stale_at(self._loader, self._clock.now())
        self._expires_at = getattr(self._loader, "exec_plugin_expiry", _FOREVER)

    def _begin_renewal(self) -> None:
        """Look for others, once for all who want them: a token that is still good is used meanwhile."""
        now = asyncio.get_running_loop().time()
        if self._renewal is None and now >= self._not_before:
            self._patient_until = now + _PATIENCE
            self._renewal = asyncio.create_task(self._renew())

    async def _renewed(self) -> None:
        if self._renewal is not None:
            rest = self._patient_until - asyncio.get_running_loop().time()
            await asyncio.wait([self._renewal], timeout=max(0.0, rest))

    async def _renew(self) -> None:
        try:
            await self._replace()
        finally:
            self._not_before = asyncio.get_running_loop().time() + _PAUSE
            self._renewal = None

    async def _replace(self) -> None:
        from kubernetes.aio import client

        own, found = self.configuration, client.Configuration()
        try:
            async with asyncio.timeout(_GIVEN_UP):
                await self.load(found)
            certificate = _certificate_of(found)
        except Exception as error:  # noqa: BLE001 - a plugin's library raises what it likes, and the old ones may still do
            log.warning(
                "the credentials for %s cannot be read again, going on with the old ones: %s",
                own.host,
                str(error) or type(error).__name__,
            )
            self._stale_at = self._clock.now() + timedelta(seconds=_PAUSE)
            return
        own.refresh_api_key_hook = found.refresh_api_key_hook
        token = found.api_key.get(_BEARER)
        if token and token != own.api_key.get(_BEARER):
            own.api_key[_BEARER] = token
            self._note_new()
        if certificate and certificate != self.certificate:
            own.cert_file, own.key_file = found.cert_file, found.key_file
            self.certificate = certificate
            self._note_new()

    def _note_new(self) -> None:
        log.info("there are new credentials for %s", self.configuration.host)
        self._version += 1


def _files(settings: ConnectionSettings) -> str:
    """The configuration files to read; empty when there is none. Raises `NoCluster` when all that are named are absent."""
    default = Path(_DEFAULT).expanduser()
    named = str(settings.kubeconfig or os.environ.get("KUBECONFIG") or "")
    given = [Path(file).expanduser() for file in named.split(os.pathsep) if file]
    if given and not any(file.exists() for file in given):
        raise NoCluster(
            f"{named} cannot be used: there is no such file. Name one with --kubeconfig or KUBECONFIG"
        )
    return named or (str(default) if default.exists() else "")


def _certificate_of(configuration: Any) -> bytes:
    """Certificate and key; empty when there are none. Raises `OSError`, also where one is not the other's."""
    files = [configuration.cert_file, configuration.key_file]
    if not configuration.cert_file:
        return b""
    ssl.create_default_context().load_cert_chain(*files)
    return b"".join(Path(file).read_bytes() for file in files if file)


def _stale_at(loader: Any, now: datetime) -> datetime:
    """When what was loaded is to be read again. The service account of a pod is seen to by the client itself."""
    expiry: datetime | None = getattr(loader, "exec_plugin_expiry", None)
    if expiry is not None:
        return now + (expiry - now) * _LIFE
    user = None if loader is None else loader._user  # noqa: SLF001 - as the client's own refresh_token does
    return now + _TOKEN_FILE_LASTS if user is not None and "tokenFile" in user else _FOREVER
