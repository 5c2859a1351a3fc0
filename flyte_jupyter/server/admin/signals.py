"""Signals: what people answer to the gates of an execution."""

from __future__ import annotations

from flyte_jupyter.idl import admin, core
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.calls import Caller
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.admin.listing import query_of
from flyte_jupyter.server.admin.names import required, run_id
from flyte_jupyter.server.admin.platform import Platform


class SignalCases:
    """List the signals of an execution, and answer them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def list(self, request: admin.SignalListRequest, _: Caller) -> admin.SignalList:
        """What gates wait for, or have waited for, with the answers."""
        page = await self._platform.signals.list(
            run_id(request.workflow_execution_id), query_of(request, self._platform.max_listing)
        )
        return admin.SignalList(signals=page.items, token=page.token)

    async def set(self, request: admin.SignalSetRequest, _: Caller) -> admin.SignalSetResponse:
        """Answer a signal that exists, with a value of its type."""
        if request.value.WhichOneof("value") is None:
            raise InvalidArgument("value is missing")
        await self._platform.signals.set_signal(*_of(request.id), request.value)
        return admin.SignalSetResponse()


def _of(name: core.SignalIdentifier) -> tuple[RunId, str]:
    return run_id(name.execution_id), required(name.signal_id, "id.signal_id")
