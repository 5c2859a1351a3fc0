"""Listing requests: Flyte's limit, token, sort and filters, as the store's query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from flyte_jupyter.idl import admin
from flyte_jupyter.idl.texts import LISTED_ERROR, both_ends
from flyte_jupyter.server.admin.errors import InvalidArgument
from flyte_jupyter.store.query import Query

_Run = TypeVar("_Run", admin.Execution, admin.NodeExecution, admin.TaskExecution)


def for_a_list(runs: Iterable[_Run]) -> list[_Run]:
    """The executions, nodes or attempts with the two ends of long error messages: a page of a thousand would have megabytes of them."""
    listed = list(runs)
    for each in listed:
        if each.closure.HasField("error"):
            error = each.closure.error
            error.message = both_ends(error.message, LISTED_ERROR)
    return listed


class ListRequest(Protocol):
    """What Flyte's listing requests have alike."""

    limit: int
    token: str

    @property
    def sort_by(self) -> admin.Sort:
        """The field to sort by, and which way."""
        ...


def query_of(request: ListRequest, most: int, *, default_limit: int = 0) -> Query:
    """The page asked for.

    Args:
        request: any of Flyte's listing requests.
        most: rows on a page at most; a larger limit is taken for this one.
        default_limit: what a missing limit means; 0 when the client must give one.

    Raises:
        InvalidArgument: there is no limit.
    """
    limit = request.limit or default_limit
    if limit <= 0:
        raise InvalidArgument("limit must be a number above 0")
    key = request.sort_by.key
    return Query(
        filters=getattr(request, "filters", ""),
        sort_by=key,
        descending=not key or request.sort_by.direction == admin.Sort.DESCENDING,
        limit=min(limit, most),
        token=request.token,
    )
