"""Which version this is."""

from __future__ import annotations

from flyte_jupyter._version import __version__
from flyte_jupyter.idl import admin
from flyte_jupyter.server.admin.calls import Caller


async def get_version(_: admin.GetVersionRequest, __: Caller) -> admin.GetVersionResponse:
    """The control plane's version."""
    return admin.GetVersionResponse(
        control_plane_version=admin.Version(Version=__version__, Build="", BuildTime="")
    )
