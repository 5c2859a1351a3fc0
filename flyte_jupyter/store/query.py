"""Flyte's filter language, sort keys and page tokens. Pure: text in, conditions on known fields out.

A filter is ``function(field,value)``; several are joined by ``+`` and all must hold; lists of values are separated by ``;``.
What a listing can be asked about is said by its `Field`s and nothing else; a value never becomes part of a statement's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flyte_jupyter.store.errors import InvalidQuery

MOST_ROWS = 10_000
MOST_VALUES = 500
MOST_CONDITIONS = 50
MOST_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Query:
    """One page of a listing, as a client asks for it."""

    filters: str = ""
    """For example ``eq(name,x)+value_in(phase,RUNNING;FAILED)``."""
    sort_by: str = ""
    """A field's name; empty for the listing's own order (newest first)."""
    descending: bool = True
    limit: int = 100
    """How many rows, 1 to 10,000."""
    token: str = ""
    """Where the page begins: a decimal offset from an earlier `Page`; empty for the first page."""


@dataclass(frozen=True, slots=True)
class Page[T]:
    """Rows of a listing; `token` asks for the next page and is empty when this was the last."""

    items: Sequence[T]
    token: str = ""


class Kind(StrEnum):
    """What a field holds, and so how a filter's value is read."""

    TEXT = "text"
    INTEGER = "integer"
    TIME = "time"
    """RFC 3339 in filters; microseconds since 1970 in the store."""
    DURATION = "duration"
    """Seconds, or ``1h2m3.5s``, in filters; microseconds in the store."""


class Function(StrEnum):
    """What a condition compares with."""

    CONTAINS = "contains"
    NOT_LIKE = "not_like"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EQ = "eq"
    NE = "ne"
    VALUE_IN = "value_in"
    VALUE_NOT_IN = "value_not_in"


@dataclass(frozen=True, slots=True)
class Field:
    """A column that may be filtered and sorted by; `values` are all that an enumeration may be compared with."""

    column: str
    kind: Kind = Kind.TEXT
    values: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: `values` has one element unless the function takes a list."""

    column: str
    function: Function
    values: tuple[str | int, ...]
