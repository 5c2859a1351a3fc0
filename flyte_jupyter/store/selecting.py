"""Conditions and pages as SQL: columns from the allow-list, values as bound parameters, nothing else."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, select

from flyte_jupyter.store.query import (
    Condition,
    Field,
    Function,
    Page,
    Query,
    conditions,
    mentions,
    offset,
    sort_column,
)


@dataclass(frozen=True, slots=True)
class Beside:
    """A table with any number of rows for each row of a listing, which can be filtered by them and not sorted.

    All that is asked about it must hold of one and the same of these rows.
    """

    table: Table
    fields: Mapping[str, Field]
    by: str
    """The column, of the same name in both tables, that says what belongs together."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What can be listed of one table: the fields to ask about, and the order when none is asked for."""

    table: Table
    fields: Mapping[str, Field]
    order: tuple[ColumnElement[Any], ...]
    hidden_state: int | None = None
    """Rows in this state are left out unless a filter is about ``state``."""
    computed: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    """What can be asked about without being a column of the table."""
    beside: Beside | None = None

    def column(self, name: str) -> ColumnElement[Any]:
        """What a field's column stands for in SQL."""
        return self.computed[name] if name in self.computed else self.table.c[name]


def page(
    connection: Connection, statement: Select[Any], listing: Listing, query: Query
) -> Page[Row[Any]]:
    """One page of the statement's rows. Raises `InvalidQuery`."""
    asked, of_others = _asked(listing, query.filters)
    start = offset(query)
    statement = statement.where(*(_where(listing.column(each.column), each) for each in asked))
    if listing.beside is not None and of_others:
        statement = statement.where(_matched(listing, listing.beside, of_others))
    if listing.hidden_state is not None and not mentions(asked, "state"):
        statement = statement.where(listing.column("state") != listing.hidden_state)
    by = sort_column(query.sort_by, listing.fields)
    if by is not None:
        first = listing.column(by).desc() if query.descending else listing.column(by).asc()
        statement = statement.order_by(first)
    # One row more than asked for tells whether there is another page.
    statement = statement.order_by(*listing.order).limit(query.limit + 1).offset(start)
    rows = connection.execute(statement).all()
    more = len(rows) > query.limit
    return Page(rows[: query.limit], str(start + query.limit) if more else "")


def _asked(listing: Listing, filters: str) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """What is asked about the listing's own rows, and about those beside them."""
    others = {} if listing.beside is None else listing.beside.fields
    found = conditions(filters, {**listing.fields, **others})
    columns = {each.column for each in others.values()}
    return (
        tuple(each for each in found if each.column not in columns),
        tuple(each for each in found if each.column in columns),
    )


def _matched(listing: Listing, beside: Beside, asked: tuple[Condition, ...]) -> ColumnElement[bool]:
    matching = select(beside.table.c[beside.by]).where(
        *(_where(beside.table.c[each.column], each) for each in asked)
    )
    return listing.table.c[beside.by].in_(matching)


_COMPARISONS: Mapping[Function, Callable[[Any, Any], ColumnElement[bool]]] = {
    Function.EQ: operator.eq,
    Function.NE: operator.ne,
    Function.GT: operator.gt,
    Function.GTE: operator.ge,
    Function.LT: operator.lt,
    Function.LTE: operator.le,
}


def _where(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    value = condition.values[0]
    match condition.function:
        case Function.CONTAINS:
            return column.contains(value, autoescape=True)
        case Function.NOT_LIKE:
            return column.not_like(value)
        case Function.VALUE_IN:
            return column.in_(condition.values)
        case Function.VALUE_NOT_IN:
            return column.not_in(condition.values)
    return _COMPARISONS[condition.function](column, value)
