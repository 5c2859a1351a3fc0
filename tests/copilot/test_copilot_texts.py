"""Single values as text: Go's way, both ways."""

import math
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from flyte_jupyter.kernel.runtime.copilot import texts


def duration(**parts):
    made = Duration()
    made.FromTimedelta(timedelta(**parts))
    return made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Duration(), "0s"),
        (duration(hours=1), "1h0m0s"),
        (duration(minutes=90, seconds=1.5), "1h30m1.5s"),
        (duration(minutes=2), "2m0s"),
        (duration(seconds=59), "59s"),
        (duration(milliseconds=250), "250ms"),
        (duration(microseconds=1500), "1.5ms"),
        (duration(microseconds=3), "3µs"),
        (Duration(nanos=7), "7ns"),
        (duration(days=100), "2400h0m0s"),
        (duration(seconds=-1.25), "-1.25s"),
        (Duration(seconds=10, nanos=1), "10.000000001s"),
    ],
)
def test_durations_are_written_as_go_writes_them_and_read_back(value, text):
    assert texts.span_text(value) == text
    assert texts.span(text) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5h", 5400),
        ("0", 0),
        ("+2s\n", 2),
        (".5s", 0.5),
        ("1h2m3s4ms5us", 3723.004005),
        ("0:01:02", 62),
        ("1 day, 2:03:04.5", 93784.5),
        ("-1 day, 23:59:59", -1),
    ],
)
def test_durations_are_read_in_gos_and_pythons_words(text, seconds):
    assert texts.span(text).ToTimedelta() == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "1x", "h", "1h 2m", "-", "s1", "1e3s", "99999999999999h"]
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError):
        texts.span(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e21, "1" + "0" * 21),
        (1.5e-7, "0.00000015"),
        (-2.5, "-2.5"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_numbers_are_written_without_exponents(value, text):
    assert texts.real_text(value) == text
    assert texts.real(text) == value


@given(st.floats(allow_nan=False))
def test_every_number_comes_back(value):
    assert texts.real(texts.real_text(value)) == value


@given(st.integers(-(10**16), 10**16))
def test_every_duration_comes_back(nanos):
    sign = -1 if nanos < 0 else 1
    value = Duration(seconds=sign * (abs(nanos) // 10**9), nanos=sign * (abs(nanos) % 10**9))
    assert texts.span(texts.span_text(value)) == value


def test_what_is_no_number_comes_back_as_none():
    assert texts.real_text(math.nan) == "NaN"
    assert math.isnan(texts.real("NaN"))


@pytest.mark.parametrize("text", ["", "x", "1_000", "0x10", "1,5"])
def test_what_is_no_number(text):
    with pytest.raises(ValueError):
        texts.real(text)


@pytest.mark.parametrize(
    "text", ["", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "1 2", "१२x"]
)
def test_what_is_no_whole_number(text):
    with pytest.raises(ValueError):
        texts.integer(text)


def test_whole_numbers_of_64_bits():
    assert texts.integer("9223372036854775807\n") == 2**63 - 1
    assert texts.integer("-9223372036854775808") == -(2**63)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True\n", " true"])
def test_true(text):
    assert texts.boolean(text) is True


@pytest.mark.parametrize("text", ["", "yes", "on", "tRUE", "2"])
def test_neither_true_nor_false(text):
    with pytest.raises(ValueError):
        texts.boolean(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
        ("2024-05-01T12:00:00.123456789Z", "2024-05-01T12:00:00.123456789Z"),
        ("2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00Z"),
        ("2024-05-01 12:00:00+00:00\n", "2024-05-01T12:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_times_are_read_with_their_zone(text, written):
    assert texts.moment(text).ToJsonString() == written


@pytest.mark.parametrize(
    "text",
    ["", "2024-05-01T12:00:00", "yesterday", "2024-13-01T00:00:00Z", "10000-01-01T00:00:00Z"],
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError):
        texts.moment(text)
