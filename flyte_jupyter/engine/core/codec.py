"""States, observations and actions as versioned JSON bytes: read back exactly, or refused by name.

A record is ``{"v": 1, "t": "<class>", "f": {<field>: <value>}}``. Datetimes are ISO 8601, durations whole microseconds, paths lists.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from json import encoder as json_encoder
from math import isfinite
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from flyte_jupyter.engine.core.actions import Action
from flyte_jupyter.engine.core.errors import UnreadableRecord
from flyte_jupyter.engine.core.observations import Observation
from flyte_jupyter.engine.core.state import Kept, Ready, RunSummary
from flyte_jupyter.idl.ids import Path, path_json

VERSION = 1
_MICROSECOND = timedelta(microseconds=1)
_BOOLEANS: Mapping[bool, str] = {False: "false", True: "true"}
T = TypeVar("T")
_Convert = Callable[[Any], Any]
_Write = Callable[[Any], str]


_quoted = json_encoder.encode_basestring


def _writer() -> _Write:
    """Compact JSON by one encoder for all records: the library's own door makes a new one each time."""
    plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
    make: Any = getattr(json_encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without the accelerator
        return plain.encode
    chunks = make(None, plain.default, _quoted, None, ":", ",", False, False, True)
    return lambda record: "".join(chunks(record, 0))


_text = _writer()


def encode_node(state: Kept) -> bytes:
    """One node's state, or a scope."""
    return _encode(state)


def decode_node(data: bytes) -> Kept:
    """One node's state, or a scope. Raises `UnreadableRecord`."""
    return cast("Kept", _decode(data, "node state", get_args(Kept)))


class NodeReader:
    """Decodes the states of a large run, which has the same ones many times over: each is made once.

    Nodes that wait for their turn differ only in its number, which stands last in their record.
    """

    def __init__(self) -> None:
        self._made: dict[bytes, Kept] = {}
        self._waiting: dict[bytes, Ready] = {}

    def read(self, data: bytes) -> Kept:
        """As `decode_node`."""
        made = self._made.get(data)
        if made is not None:
            return made
        head, _, last = data.rpartition(b":")
        like, turn = self._waiting.get(head), last.removesuffix(b"}}")
        if like is not None and turn.isdigit():
            return Ready(like.tries, like.digest, int(turn))
        made = decode_node(data)
        if isinstance(made, Ready) and head.endswith(b'"turn"'):
            self._waiting[head] = made
        else:
            self._made[data] = made
        return made


def encode_summary(summary: RunSummary) -> bytes:
    """A run's own row."""
    return _encode(summary)


def decode_summary(data: bytes) -> RunSummary:
    """A run's own row. Raises `UnreadableRecord`."""
    return cast("RunSummary", _decode(data, "run summary", (RunSummary,)))


def encode_observation(seen: Observation) -> bytes:
    """Something heard."""
    return _encode(seen)


def encode_observations(seen: Sequence[Observation]) -> bytes:
    """What was heard at one moment: a JSON list of its records."""
    return _bytes(f"[{','.join(map(_written, seen))}]")


def decode_observation(data: bytes) -> Observation:
    """Something heard. Raises `UnreadableRecord`."""
    return cast("Observation", _decode(data, "observation", get_args(Observation)))


def encode_action(action: Action) -> bytes:
    """Something owed."""
    return _encode(action)


def decode_action(data: bytes) -> Action:
    """Something owed. Raises `UnreadableRecord`."""
    return cast("Action", _decode(data, "action", get_args(Action)))


def _encode(value: Any) -> bytes:
    return _bytes(_written(value))


def _written(value: Any) -> str:
    of: Any = type(value)
    return _record_writer(of)(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decode(data: bytes, what: str, classes: tuple[type, ...]) -> object:
    try:
        record = json.loads(data.decode("utf-8", "surrogatepass"))
        version, name, fields = record["v"], record["t"], record["f"]
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableRecord(
            f"{what}: {len(data)} stored bytes are not a record ({error}). The database is damaged: restore a copy."
        ) from error
    if version != VERSION:
        raise UnreadableRecord(
            f"{what}: stored record has version {version!r}, this program reads version {VERSION}. "
            "Use the version of flyte-jupyter that wrote it, or a newer one."
        )
    of = _named(classes).get(name)
    if of is None:
        raise UnreadableRecord(
            f"{what}: stored record is a {name!r}, which this program does not know. "
            "Use the version of flyte-jupyter that wrote it, or a newer one."
        )
    try:
        return _fields_in(of, fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreadableRecord(
            f"{what}: the fields of a stored {name} do not fit it ({error!r}). The database is damaged: restore a copy."
        ) from error


@cache
def _named(classes: tuple[type, ...]) -> Mapping[str, type]:
    return {each.__name__: each for each in classes}


@cache
def _record_writer(of: Any) -> _Write:
    form, writers = _form(of, "it")
    return _filler(f'{{{{"v":{VERSION},"t":"{of.__name__}","f":{form}}}}}', writers)


@cache
def _fields_writer(of: Any) -> _Write:
    return _filler(*_form(of, "it"))


def _form(of: Any, at: str) -> tuple[str, dict[str, _Write]]:
    """The fields of the value that is found `at` as a form with gaps, in the words of an f-string, and what writes into the gaps."""
    hints, parts = get_type_hints(of), []
    writers: dict[str, _Write] = {}
    for field in dataclasses.fields(of):
        hint, place = hints[field.name], f"{at}.{field.name}"
        if dataclasses.is_dataclass(hint):
            part, its_writers = _form(hint, place)
            writers |= its_writers
        else:
            name = place.replace(".", "_")
            writers[name] = _converters(hint)[0]
            part = f"{{{name}({place})}}"
        parts.append(f'"{field.name}":{part}')
    return "{{" + ",".join(parts) + "}}", writers


def _filler(form: str, writers: Mapping[str, _Write]) -> _Write:
    """Fills in the form. Made from text, as `dataclasses` makes its methods: a loop would take thrice as long."""
    made = eval(f"lambda it: f'{form}'", dict(writers))  # noqa: S307 - names of fields are all it is made of
    return cast("_Write", made)


def _fields_in(of: type[T], fields: Mapping[str, Any]) -> T:
    return of(
        **{name: into(fields[name]) for name, into in _shape(cast("Any", of)) if name in fields}
    )


@cache
def _shape(of: Any) -> tuple[tuple[str, _Convert], ...]:
    hints = get_type_hints(of)
    return tuple((f.name, _converters(hints[f.name])[1]) for f in dataclasses.fields(of))


def _same(value: Any) -> Any:
    return value


def _converters(hint: Any) -> tuple[_Write, _Convert]:
    """How values of this type are written as JSON, and how they come back."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType) and type(None) in get_args(hint):
        inner = [each for each in get_args(hint) if each is not type(None)]
        out, into = _converters(inner[0])
        return (
            lambda v: "null" if v is None else out(v),
            lambda v: None if v is None else into(v),
        )
    if origin is tuple:
        return _path_out, tuple
    if origin is frozenset:
        return _attempts_out, _attempts_in
    if dataclasses.is_dataclass(hint):
        of = cast("type", hint)
        return _fields_writer(cast("Any", of)), lambda v: _fields_in(of, v)
    if hint is datetime:
        return _Moments().write, datetime.fromisoformat
    if hint is timedelta:
        return lambda v: str(v // _MICROSECOND), lambda v: timedelta(microseconds=v)
    if isinstance(hint, type) and issubclass(hint, str):
        return _quoted, hint if issubclass(hint, StrEnum) else _same
    if hint is bool:
        return _BOOLEANS.__getitem__, _same
    if hint is float:
        return _number_out, _same
    return int.__repr__ if hint is int else _text, _same


class _Moments:
    """Writes moments. A commit has the same one many times over."""

    def __init__(self) -> None:
        self._last: tuple[datetime | None, str] = None, ""

    def write(self, at: datetime) -> str:
        last, text = self._last
        if at is not last:
            text = f'"{at.isoformat()}"'
            self._last = at, text
        return text


def _path_out(path: Path) -> str:
    return path_json(path, _quoted)


def _number_out(value: float) -> str:
    return repr(value) if isfinite(value) else _text(value)


def _attempts_out(value: frozenset[tuple[Any, int]]) -> str:
    return _text(sorted([list(path), attempt] for path, attempt in value))


def _attempts_in(value: list[list[Any]]) -> frozenset[tuple[Any, int]]:
    return frozenset((tuple(path), attempt) for path, attempt in value)
