"""Filters, sort keys and page tokens: what is known is answered, all else is refused, nothing becomes SQL."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_world import new_execution, run

from flyte_jupyter.idl import admin, core
from flyte_jupyter.store.database import Database
from flyte_jupyter.store.errors import InvalidQuery
from flyte_jupyter.store.executions import Executions
from flyte_jupyter.store.query import (
    MOST_CONDITIONS,
    MOST_PATTERN,
    MOST_VALUES,
    Condition,
    Field,
    Function,
    Kind,
    Query,
    conditions,
    offset,
)

FIELDS = {
    "name": Field("name"),
    "phase": Field("phase", Kind.INTEGER, {"RUNNING": 2, "FAILED": 6}),
    "created_at": Field("created_at", Kind.TIME),
    "duration": Field("duration", Kind.DURATION),
    "attempt": Field("attempt", Kind.INTEGER),
}

HOSTILE = [
    "eq(name,x');DROP TABLE executions;--)+eq(nope,1)",
    "eq(name;DROP TABLE,x)",
    "eq(password,x)",
    "eq(name.__class__,x)",
    "drop(name,x)",
    "EQ(name,x)",
    "eq(name)",
    "eq name x",
    "eq(phase,NO_SUCH_PHASE)",
    "gt(phase,RUNNING)",
    "contains(attempt,1)",
    "eq(attempt,one)",
    "eq(attempt,9999999999999999999999)",
    "eq(created_at,yesterday)",
    "eq(created_at,2024-01-01T00:00:00)",
    "eq(created_at,0001-01-01T00:00:00+99:99)",
    "eq(duration,-)",
    "eq(duration,inf)",
    "eq(duration,nan)",
    "eq(name,\ud800)",
    "+",
    "eq(name,x)+",
    "+".join(["eq(name,x)"] * (MOST_CONDITIONS + 1)),
    f"value_in(name,{';'.join(map(str, range(MOST_VALUES + 1)))})",
    "eq(name," + "x" * 200_000 + ")",
    f"contains(name,{'ü' * (MOST_PATTERN // 2)}x)",
    f"not_like(name,{'x' * (MOST_PATTERN + 1)})",
]


@pytest.mark.parametrize("filters", HOSTILE, ids=lambda text: ascii(text[:40]))
def test_what_is_not_known_is_refused(filters):
    with pytest.raises(InvalidQuery) as refused:
        conditions(filters, FIELDS)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("", ()),
        ("eq(name,x)", (Condition("name", Function.EQ, ("x",)),)),
        ("eq(name, x)", (Condition("name", Function.EQ, ("x",)),)),
        ("eq(name,a,b))", (Condition("name", Function.EQ, ("a,b)",)),)),
        (
            "value_in(phase,RUNNING;failed)+contains(name,tr)",
            (
                Condition("phase", Function.VALUE_IN, (2, 6)),
                Condition("name", Function.CONTAINS, ("tr",)),
            ),
        ),
        ("ne(phase,2)", (Condition("phase", Function.NE, (2,)),)),
        (
            "gte(created_at,1970-01-01T00:00:01.000002Z)",
            (Condition("created_at", Function.GTE, (1_000_002,)),),
        ),
        ("lt(duration,1h1m1.5s)", (Condition("duration", Function.LT, (3_661_500_000,)),)),
        ("lt(duration,90)", (Condition("duration", Function.LT, (90_000_000,)),)),
    ],
)
def test_what_is_known_is_read(filters, expected):
    assert conditions(filters, FIELDS) == expected


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for wrapped in (text, f"eq(name,{text})", f"eq(created_at,{text})", f"lt(duration,{text})"):
        try:
            conditions(wrapped, FIELDS)
        except InvalidQuery:
            continue


@pytest.mark.parametrize("token", ["-1", "x", "1e3", "٣", "1 OR 1=1", "9" * 13])
def test_bad_page_tokens_are_refused(token):
    with pytest.raises(InvalidQuery):
        offset(Query(token=token))


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_bad_limits_are_refused(limit):
    with pytest.raises(InvalidQuery):
        offset(Query(limit=limit))


NAMES = ["a", "ab", "abc", "x');drop table runs;--", "50%_off", "ünï🦋"]


def test_filters_sort_orders_and_pages_over_real_rows(path):
    async def story():
        db = Database.open(path)
        executions = Executions(db)
        for name in NAMES:
            await executions.create(new_execution(name, workflow=name[:2]))

        async def listed(filters="", **more):
            page = await executions.list(
                "flytesnacks", "development", Query(filters, **({"limit": 10} | more))
            )
            return [each.id.name for each in page.items], page.token

        assert await listed() == (NAMES[::-1], "")
        assert await listed("eq(name,x');drop table runs;--)") == ([NAMES[3]], "")
        assert await listed("contains(name,%_)") == (["50%_off"], "")
        assert await listed(f"contains(name,{'%' * MOST_PATTERN})") == ([], "")
        assert await listed(f"not_like(name,{'x' * MOST_PATTERN})") == (NAMES[::-1], "")
        assert await listed("contains(name,🦋)") == (["ünï🦋"], "")
        assert await listed("value_in(execution.name,a;abc)") == (["abc", "a"], "")
        assert await listed("value_not_in(name,a;abc)+eq(workflow.name,ab)") == (["ab"], "")
        assert await listed("not_like(name,a%)") == (NAMES[:2:-1], "")
        assert await listed("eq(phase,RUNNING)") == ([], "")
        assert await listed("eq(phase,UNDEFINED)", sort_by="name", descending=False, limit=2) == (
            ["50%_off", "a"],
            "2",
        )
        assert await listed(sort_by="name", descending=False, limit=2, token="2") == (
            ["ab", "abc"],
            "4",
        )
        assert await listed(limit=4, token="4") == (["ab", "a"], "")
        assert await listed(token="100") == ([], "")
        with pytest.raises(InvalidQuery):
            await listed(sort_by="body")
        with pytest.raises(InvalidQuery):
            await listed(sort_by="name; drop table runs")
        await executions.update_state(
            run("ab"),
            admin.ExecutionStateChangeDetails(state=admin.ExecutionState.EXECUTION_ARCHIVED),
        )
        assert "ab" not in (await listed())[0]
        assert await listed("eq(state,EXECUTION_ARCHIVED)") == (["ab"], "")
        assert await listed("eq(state,1)+eq(name,ab)") == (["ab"], "")
        assert (await executions.get(run("a"))).closure.phase == core.WorkflowExecution.UNDEFINED
        await db.close()

    asyncio.run(story())
