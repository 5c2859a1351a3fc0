"""Every class that is stored comes back as it was, and what cannot be read is refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyte_jupyter.engine.core import codec
from flyte_jupyter.engine.core.actions import Action, Kill
from flyte_jupyter.engine.core.errors import CoreError, UnreadableRecord
from flyte_jupyter.engine.core.observations import AbortRequested, Live, Observation, Tick
from flyte_jupyter.engine.core.state import (
    Blocked,
    Failure,
    Kept,
    Ready,
    Running,
    RunSummary,
    Tries,
)

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))
st.register_type_strategy(timedelta, st.timedeltas())
paths = st.lists(st.text(max_size=4) | st.integers(0, 9), min_size=1, max_size=3).map(tuple)
lives = st.builds(Live, attempts=st.frozensets(st.tuples(st.just(("n0",)), st.integers(0, 3))))


def values(of: type) -> st.SearchStrategy:
    if of is Live:
        return lives
    if "path" in of.__dataclass_fields__:
        return st.builds(of, path=paths)
    return st.builds(of)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.one_of(*(values(each) for each in get_args(Kept)))
        | st.builds(
            Ready,
            st.sampled_from([Tries(), Tries(2)]),
            st.sampled_from(["", "a:b"]),
            st.integers(-1, 99),
        ),
        max_size=12,
    )
)
def test_many_states_are_read_as_each_alone(states):
    records = [codec.encode_node(state) for state in states]
    reader = codec.NodeReader()
    assert [reader.read(data) for data in records] == [codec.decode_node(data) for data in records]


@pytest.mark.parametrize("turn", ["", "x", "1,", "1.5.5"])
def test_a_damaged_turn_is_refused_however_many_were_read_before(turn):
    reader, whole = codec.NodeReader(), codec.encode_node(Ready(Tries(), "", 5))
    for _ in range(2):
        assert reader.read(whole) == Ready(Tries(), "", 5)
    with pytest.raises(UnreadableRecord):
        reader.read(whole.replace(b":5}}", f":{turn}}}}}".encode()))


@pytest.mark.parametrize(
    ("of", "encode", "decode"),
    [
        (of, encode, decode)
        for union, encode, decode in [
            (Kept, codec.encode_node, codec.decode_node),
            (Observation, codec.encode_observation, codec.decode_observation),
            (Action, codec.encode_action, codec.decode_action),
        ]
        for of in get_args(union)
    ]
    + [(RunSummary, codec.encode_summary, codec.decode_summary)],
    ids=lambda each: each.__name__ if isinstance(each, type) else "",
)
def test_round_trip(of, encode, decode):
    @settings(
        max_examples=25, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @given(values(of))
    def comes_back(value):
        data = encode(value)
        assert json.loads(data.decode("utf-8", "surrogatepass"))["v"] == codec.VERSION
        back = decode(data)
        assert back == value
        assert type(back) is type(value)

    comes_back()


def test_a_record_is_as_documented():
    state = Running(Tries(1, 1, Failure("Lost", "gone")), "d", MOMENT, None)
    record = json.loads(codec.encode_node(state))
    assert record["t"] == "Running"
    assert record["f"]["since"] == "2026-01-02T03:04:05.000006+00:00"
    assert record["f"]["tries"]["last"]["blame"] == "user"
    assert json.loads(codec.encode_observation(Tick(timedelta(seconds=2))))["f"] == {
        "gap": 2_000_000
    }


def test_what_is_heard_together_is_a_list_of_what_is_heard_alone():
    heard = [Tick(timedelta(seconds=2)), AbortRequested('"\n', "\ud800")]
    said = codec.encode_observations(heard)
    assert json.loads(said.decode("utf-8", "surrogatepass")) == [
        json.loads(codec.encode_observation(seen).decode("utf-8", "surrogatepass"))
        for seen in heard
    ]


def test_equal_listings_are_equal_bytes():
    names = [((f"n{i}",), 0) for i in range(50)]
    assert codec.encode_observation(Live(frozenset(names), MOMENT)) == codec.encode_observation(
        Live(frozenset(reversed(names)), MOMENT)
    )


def test_a_field_that_is_younger_than_the_record_takes_its_default():
    assert codec.decode_summary(b'{"v":1,"t":"RunSummary","f":{"open":3}}') == RunSummary(open=3)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (codec.encode_node(Blocked(1)).replace(b'"v":1', b'"v":2'), "version 2"),
        (codec.encode_action(Kill(("n0",), 1)), "'Kill'"),
        (b"nonsense", "restore"),
        (b"\xff\xfe", "restore"),
        (b"[]", "restore"),
        (b"{}", "restore"),
        (b'{"v":1,"t":"Blocked","f":{}}', "Blocked"),
        (b'{"v":1,"t":"Launching","f":{"tries":3,"digest":"","since":"x"}}', "Launching"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(data, word):
    with pytest.raises(UnreadableRecord, match=word) as raised:
        codec.decode_node(data)
    assert isinstance(raised.value, CoreError)
