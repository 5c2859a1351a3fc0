"""The Jupyter server extension: it finds, starts and guards the user's control plane and passes requests on to it."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Unicode

from flyte_jupyter._version import __version__
from flyte_jupyter.server.gateway import routes
from flyte_jupyter.server.upstream import Upstream
from flyte_jupyter.supervisor import SupervisorError

ACTIVITY_SECONDS = 60.0
"""How often it is looked whether runs are active; Jupyter itself looks for idleness as often."""


class FlyteJupyter(ExtensionApp):
    """Workflows from notebook cells: the control plane's door in a Jupyter server."""

    name = "flyte_jupyter"
    app_name = "Flyte Jupyter"
    description = "Register, run and watch workflows from notebooks."
    version = __version__
    load_other_extensions = True

    autostart = Bool(
        True,
        help="Start a control plane with the Jupyter server. When off, the first request starts one.",
    ).tag(config=True)
    endpoint = Unicode(
        "",
        help="A control plane to use instead of this user's own: unix:///path/to/socket or http://host:port. "
        "Kernels started by this server use it too.",
    ).tag(config=True)
    token = Unicode("", help="The token for an http endpoint.").tag(config=True)
    data_dir = Unicode(
        "",
        help="Where the embedded control plane keeps its data. Default: flyte-jupyter in Jupyter's data folder.",
    ).tag(config=True)

    def initialize_settings(self) -> None:
        """Make what is configured here known to kernels too: they find the control plane by the same variables."""
        folder = self.data_dir or os.environ.get("FLYTE_JUPYTER_DATA_DIR", "")
        for variable, value in (
            ("FLYTE_JUPYTER_ENDPOINT", self.endpoint),
            ("FLYTE_JUPYTER_TOKEN", self.token),
            # Kernels have folders of their own: what is relative here would be another place there.
            ("FLYTE_JUPYTER_DATA_DIR", folder and str(Path(folder).expanduser().absolute())),
        ):
            if value:
                os.environ[variable] = value
        self._upstream = Upstream(self.log, autostart=self.autostart)
        self._watching: asyncio.Task[None] | None = None
        self._runs_active = False

    def initialize_handlers(self) -> None:
        """Add the routes."""
        self.handlers.extend(routes(self._upstream))

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Called on the server's loop when it runs."""
        del serverapp
        self._upstream.start()
        self._watching = asyncio.create_task(self._watch_runs())

    def current_activity(self) -> bool:
        """Whether runs are active: a server that is told to stop when idle stays for them."""
        return self._runs_active

    async def stop_extension(self) -> None:
        """Called when the Jupyter server shuts down."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._upstream.stop()

    async def _watch_runs(self) -> None:
        """A run in progress keeps this server from being culled as idle."""
        while True:
            self._runs_active = await self._active_runs() > 0
            if self._runs_active:
                # The application's own settings: this extension's were copied into them at the start.
                now = datetime.now(UTC)  # noqa: TID251  Jupyter's own clock
                assert self.serverapp is not None
                self.serverapp.web_app.settings["flyte_jupyter_last_activity"] = now
            await asyncio.sleep(ACTIVITY_SECONDS)

    async def _active_runs(self) -> int:
        if not self._upstream.known:
            return 0
        try:
            async with asyncio.timeout(ACTIVITY_SECONDS):
                said = await self._upstream.ask("/x/v1/status")
            return int(json.loads(said.body).get("active_runs", 0))
        except (SupervisorError, TimeoutError, ValueError, AttributeError):
            return 0
