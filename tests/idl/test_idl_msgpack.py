"""MessagePack: what goes in comes out, and nothing else is taken."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_jupyter.idl.msgpack import MOST_DEEP, MsgpackError, packb, unpackb

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 99), inner),
    max_leaves=30,
)


@given(PLAIN)
@settings(max_examples=200, deadline=None)
def test_what_is_packed_is_unpacked(value):
    back = unpackb(packb(value))
    assert back == value
    assert repr(back) == repr(value), "1 is not True, and -0.0 is not 0.0"


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65535, 65536])
def test_every_width(size):
    for value in ("x" * size, b"x" * size, [None] * size, {str(i): i for i in range(size)}):
        assert unpackb(packb(value)) == value


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, b"\xc0"),
        (True, b"\xc3"),
        (127, b"\x7f"),
        (128, b"\xcc\x80"),
        (-32, b"\xe0"),
        (-33, b"\xd0\xdf"),
        (65536, b"\xce\x00\x01\x00\x00"),
        (1.5, b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"),
        ("ab", b"\xa2ab"),
        (b"ab", b"\xc4\x02ab"),
        ([1], b"\x91\x01"),
        ({"a": 1}, b"\x81\xa1a\x01"),
    ],
)
def test_the_bytes_are_the_formats_own(value, data):
    assert packb(value) == data
    assert unpackb(data) == value


def test_a_single_precision_number_is_read():
    assert unpackb(b"\xca\x3f\xc0\x00\x00") == 1.5


@given(st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(MsgpackError):
        unpackb(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x02",
        b"\xa5ab",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\x7f\xff\xff\xff\x00",
        b"\xc1",
        b"\xc7\x01\x01\x00",
        b"\xa1\xff",
        b"\x81\x90\x01",
        b"\x91" * (MOST_DEEP + 2) + b"\x01",
    ],
)
def test_what_is_wrong_is_refused(data):
    with pytest.raises(MsgpackError):
        unpackb(data)


def test_what_has_no_encoding_is_refused():
    deep = []
    for _ in range(MOST_DEEP + 2):
        deep = [deep]
    for value in (object(), 2**64, -(2**63) - 1, {1, 2}, deep):
        with pytest.raises(MsgpackError):
            packb(value)
