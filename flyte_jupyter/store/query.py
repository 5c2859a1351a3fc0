"""Flyte's filter language, sort keys and page tokens. Pure: text in, conditions on known fields out.

A filter is ``function(field,value)``; several are joined by ``+`` and all must hold; lists of values are separated by ``;``.
What a listing can be asked about is said by its `Field`s and nothing else; a value never becomes part of a statement's text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from flyte_jupyter.store.errors import InvalidQuery

MOST_ROWS = 10_000
MOST_VALUES = 500
MOST_CONDITIONS = 50
MOST_CHARACTERS = 100_000
MOST_PATTERN = 20_000
"""Bytes of a text that is looked for inside another: SQLite takes patterns of 50,000, in which each byte may be escaped."""

T = TypeVar("T")


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
class Page(Generic[T]):
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


_FILTER = re.compile(r"(?P<function>[a-z_]+)\((?P<field>[A-Za-z_.]+), ?(?P<value>.*)\)", re.DOTALL)
_GO_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_DECIMAL = re.compile(r"[0-9]{1,12}")
_MOST_NUMBER = 2**63 - 1
_MICROSECONDS = 1_000_000
_LISTS = (Function.VALUE_IN, Function.VALUE_NOT_IN)
_PATTERNS = (Function.CONTAINS, Function.NOT_LIKE)
_EQUALITY = (Function.EQ, Function.NE, *_LISTS)


def conditions(filters: str, fields: Mapping[str, Field]) -> tuple[Condition, ...]:
    """What the filters ask for, all of which must hold. Raises `InvalidQuery` for anything the listing does not know."""
    if len(filters) > MOST_CHARACTERS:
        raise InvalidQuery(
            f"Filters of {len(filters)} characters: at most {MOST_CHARACTERS} are read"
        )
    if not filters:
        return ()
    parts = filters.split("+")
    if len(parts) > MOST_CONDITIONS:
        raise InvalidQuery(f"{len(parts)} filters: at most {MOST_CONDITIONS} may be joined by +")
    return tuple(_condition(part.strip(), fields) for part in parts)


def sort_column(sort_by: str, fields: Mapping[str, Field]) -> str | None:
    """The column to sort by; None for the listing's own order. Raises `InvalidQuery`."""
    return _field(sort_by, fields).column if sort_by else None


def offset(query: Query) -> int:
    """Where the page begins, with limit and token checked. Raises `InvalidQuery`."""
    if not 1 <= query.limit <= MOST_ROWS:
        raise InvalidQuery(f"Limit {query.limit}: ask for 1 to {MOST_ROWS} rows")
    if not query.token:
        return 0
    if _DECIMAL.fullmatch(query.token) is None:
        raise InvalidQuery(f"Page token {query.token[:40]!r}: use the token of an earlier page")
    return int(query.token)


def mentions(filters: tuple[Condition, ...], column: str) -> bool:
    """Whether any condition is about the column."""
    return any(condition.column == column for condition in filters)


def _condition(text: str, fields: Mapping[str, Field]) -> Condition:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise InvalidQuery(f"Filter {text[:80]!r} is not of the form function(field,value)")
    try:
        function = Function(match["function"])
    except ValueError as error:
        known = ", ".join(Function)
        raise InvalidQuery(f"Filter function {match['function']!r}: use one of {known}") from error
    field = _field(match["field"], fields)
    texts = match["value"].split(";") if function in _LISTS else [match["value"]]
    if len(texts) > MOST_VALUES:
        raise InvalidQuery(f"{len(texts)} values for {match['field']}: at most {MOST_VALUES}")
    if field.kind is not Kind.TEXT and function in _PATTERNS:
        raise InvalidQuery(
            f"{function} compares text, and {match['field']} is none: use eq or value_in"
        )
    if field.values is not None and function not in _EQUALITY:
        raise InvalidQuery(f"{match['field']} has no order: use eq, ne, value_in or value_not_in")
    values = tuple(_value(match["field"], field, text) for text in texts)
    if function in _PATTERNS and len(match["value"].encode()) > MOST_PATTERN:
        raise InvalidQuery(
            f"{function} looks for at most {MOST_PATTERN} bytes: give a part of the text"
        )
    return Condition(field.column, function, values)


def _field(name: str, fields: Mapping[str, Field]) -> Field:
    found = fields.get(name)
    if found is None:
        raise InvalidQuery(f"Unknown field {name[:80]!r}: use one of {', '.join(sorted(fields))}")
    return found


def _value(name: str, field: Field, text: str) -> str | int:
    if field.values is not None and text.upper() in field.values:
        return field.values[text.upper()]
    try:
        match field.kind:
            case Kind.TEXT:
                text.encode()
                return text
            case Kind.INTEGER:
                value = int(text)
            case Kind.TIME:
                value = _micros(text)
            case Kind.DURATION:
                value = _duration(text)
    except (ValueError, OverflowError) as error:
        raise InvalidQuery(f"{text[:80]!r} is no value for {name} ({_wanted(field)})") from error
    if abs(value) > _MOST_NUMBER:
        raise InvalidQuery(f"{text[:80]!r} is too large for {name}")
    return value


def _wanted(field: Field) -> str:
    if field.values is not None:
        return f"one of {', '.join(field.values)}"
    return {
        Kind.TEXT: "text in UTF-8",
        Kind.INTEGER: "a whole number",
        Kind.TIME: "a time as 2024-05-01T12:00:00Z",
        Kind.DURATION: "a duration as 1h30m or 90s",
    }[field.kind]


def _micros(text: str) -> int:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(text)
    return round(at.timestamp() * _MICROSECONDS)


def _duration(text: str) -> int:
    match = _GO_DURATION.fullmatch(text)
    if match is None or not text:
        return round(float(text) * _MICROSECONDS)
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return round((hours * 3600 + minutes * 60 + seconds) * _MICROSECONDS)
