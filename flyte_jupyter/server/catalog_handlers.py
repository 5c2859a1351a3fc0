"""Our own paths about the catalog and lineage."""

from __future__ import annotations

import json
from typing import Any

from flyte_jupyter.idl import admin
from flyte_jupyter.idl.ids import RunId
from flyte_jupyter.server.admin.catalog import CatalogCases, to_json
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.server.admin.lineage import LineageCases
from flyte_jupyter.server.handlers import ControlHandler, Listener, whole_number
from flyte_jupyter.server.messages import from_json
from flyte_jupyter.store.query import Query

_LISTED = 100


class CatalogHandler(ControlHandler):
    """``GET /x/v1/catalog/{project}/{domain}``: what is remembered."""

    def initialize(self, listener: Listener, catalog: CatalogCases) -> None:  # type: ignore[override]
        """Take the catalog."""
        super().initialize(listener)
        self.catalog = catalog

    async def get(self, project: str, domain: str) -> None:
        """One page, newest first."""
        asked = self.get_query_argument("limit", str(_LISTED))
        limit = whole_number(asked, "limit", 10 * _LISTED)
        if not limit:
            raise InvalidArgument(f"limit={asked!r} is not a number from 1 to {10 * _LISTED}")
        query = Query(
            limit=limit,
            token=self.get_query_argument("token", ""),
            filters=self.get_query_argument("filters", ""),
        )
        page = await self.catalog.list(project, domain, query)
        self.answer({"artifacts": [to_json(each) for each in page.items], "token": page.token})


class EvictHandler(CatalogHandler):
    """``POST /x/v1/catalog/evict``."""

    async def post(self) -> None:
        """Forget, and say how many were remembered. Raises `InvalidArgument`."""
        self.answer({"evicted": await self.catalog.evict(_object(self.request.body))})


class PreviewHandler(CatalogHandler):
    """``POST /x/v1/catalog/preview``: what would hit if the execution in the body were created now."""

    async def post(self) -> None:
        """Node by node. Raises `InvalidArgument`."""
        request = admin.ExecutionCreateRequest()
        from_json(self.request.body, request)
        foreseen = await self.catalog.preview(request)
        self.answer(
            {
                "nodes": [
                    {
                        "node": each.node,
                        "task": each.task,
                        "verdict": each.verdict.value,
                        "source": each.source,
                    }
                    for each in foreseen
                ]
            }
        )


class LineageHandler(ControlHandler):
    """``GET /x/v1/lineage/{project}/{domain}/{execution}``."""

    def initialize(self, listener: Listener, lineage: LineageCases) -> None:  # type: ignore[override]
        """Take the lineage."""
        super().initialize(listener)
        self.lineage = lineage

    async def get(self, project: str, domain: str, name: str) -> None:
        """What an execution made, from what, and who used it. Raises `NotFound`."""
        self.answer(await self.lineage.of(RunId(project, domain, name)))


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument("The body is a JSON object")
    return value
