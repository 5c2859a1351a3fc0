"""Single values as text, as Go writes and reads them, which is how Flyte's copilot does it. Pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_NANOS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>ns|us|µs|μs|ms|s|m|h)")
_CLOCK = re.compile(
    r"(?:(?P<days>-?\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d+)?)"
)
_SECOND = 1_000_000_000
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?\d+")
_INTEGERS = range(-(2**63), 2**63)


def integer(text: str) -> int:
    """A whole number of 64 bits. Raises `ValueError`."""
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError(f"{shown(text)} is no whole number")
    return bounded(int(text))


def bounded(number: int) -> int:
    """The number, if a literal can hold it. Raises `ValueError`."""
    if number not in _INTEGERS:
        raise ValueError(f"{number} needs more than 64 bits")
    return number


def real(text: str) -> float:
    """A number. Raises `ValueError`."""
    word = text.strip()
    try:
        found = float("" if "_" in word else word)
    except ValueError:
        raise ValueError(f"{shown(text)} is no number") from None
    if math.isinf(found) and "inf" not in word.lower():
        raise ValueError(f"{shown(text)} is too large a number")
    return found


def boolean(text: str) -> bool:
    """True or false, in Go's ways to write them. Raises `ValueError`."""
    word = text.strip()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{shown(text)} is neither true nor false")
    return word in _TRUE


def moment(text: str) -> Timestamp:
    """A time with its zone (RFC 3339 or ISO 8601). Raises `ValueError`."""
    word = text.strip()
    found = Timestamp()
    try:
        found.FromJsonString(word)
    except ValueError:
        parsed = _iso(word)
        found.FromDatetime(parsed.astimezone(UTC))
    return found


def _iso(word: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(f"{shown(word)} is no time like 2024-05-01T12:00:00Z") from None
    if parsed.tzinfo is None:
        raise ValueError(f"{shown(word)} has no time zone; write it like 2024-05-01T12:00:00Z")
    return parsed


def span(text: str) -> Duration:
    """A duration as Go writes it (``1h2m3.5s``) or as Python does (``1 day, 2:03:04``). Raises `ValueError`."""
    word = text.strip()
    clock = _CLOCK.fullmatch(word)
    if clock:
        return _spanned(clock)
    sign, body = (-1, word[1:]) if word.startswith("-") else (1, word.removeprefix("+"))
    nanos, end = Decimal(0), 0
    for part in _PART.finditer(body):
        if part.start() != end:
            break
        nanos += Decimal(part["number"]) * _NANOS[part["unit"]]
        end = part.end()
    if body == "0":
        end = 1
    if end != len(body) or not body:
        raise ValueError(f"{shown(text)} is no duration like 1h30m or 2.5s")
    return _duration(sign * int(nanos))


def _spanned(clock: re.Match[str]) -> Duration:
    found = timedelta(
        days=int(clock["days"] or 0),
        hours=int(clock["hours"]),
        minutes=int(clock["minutes"]),
        seconds=float(clock["seconds"]),
    )
    made = Duration()
    made.FromTimedelta(found)
    return made


def _duration(nanos: int) -> Duration:
    whole, rest = divmod(abs(nanos), _SECOND)
    sign = -1 if nanos < 0 else 1
    made = Duration(seconds=sign * whole, nanos=sign * rest)
    made.ToJsonString()  # raises ValueError beyond what the message allows
    return made


def span_text(duration: Duration) -> str:
    """A duration as Go's ``Duration.String`` writes it: ``1h0m0s``, ``250ms``, ``0s``."""
    nanos = duration.seconds * _SECOND + duration.nanos
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if nanos == 0:
        return "0s"
    if nanos < _SECOND:
        unit = next(u for u in ("ms", "us", "ns") if nanos >= _NANOS[u])
        return f"{sign}{_plain(Decimal(nanos) / _NANOS[unit])}{'µs' if unit == 'us' else unit}"
    hours, rest = divmod(nanos, _NANOS["h"])
    minutes, rest = divmod(rest, _NANOS["m"])
    seconds = _plain(Decimal(rest) / _SECOND)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def real_text(number: float) -> str:
    """A number as Go's ``FormatFloat(x, 'f', -1, 64)`` writes it: never with an exponent."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    text = f"{Decimal(repr(number)):f}"
    return text.removesuffix(".0")


def _plain(number: Decimal) -> str:
    text = f"{number.normalize():f}"
    return text or "0"


def shown(text: str) -> str:
    """A value in a message: quoted and not too long."""
    most = 60
    return repr(text if len(text) <= most else f"{text[:most]}…")
