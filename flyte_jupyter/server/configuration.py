"""A TOML file into the frozen settings of its parts: every key is a field, and what is no field is refused by name."""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class BadConfiguration(Exception):
    """A configuration file that cannot be used: says where and why."""


def read_configuration(path: Path) -> Mapping[str, Any]:
    """The file's tables. Raises `BadConfiguration`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path} is not TOML: {error}") from error


def settings_from(of: type[T], table: Mapping[str, Any], where: str = "") -> T:
    """Settings of this class; what the table does not say keeps its default. Durations are in seconds.

    Raises:
        BadConfiguration: a key is unknown or missing, or a value is not of its field's type.
    """
    hints = get_type_hints(of)
    fields = {f.name: f for f in dataclasses.fields(of)}  # type: ignore[arg-type]  # settings are dataclasses
    if unknown := sorted(set(table) - set(fields)):
        known = ", ".join(sorted(fields))
        raise BadConfiguration(
            f"{_at(where, unknown[0])}: there is no such setting; known: {known}"
        )
    given = {name: _value(hints[name], value, _at(where, name)) for name, value in table.items()}
    try:
        return of(**given)
    except (TypeError, ValueError) as error:
        raise BadConfiguration(f"{where or of.__name__}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:  # noqa: C901 - one arm for each kind of field
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [a for a in arguments if a is not types.NoneType]
        if value == "" and types.NoneType in arguments and str not in inner:
            return None
        return _value(inner[0], value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        _expect(value, dict, "a table", where)
        return settings_from(hint, value, where)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        _expect(value, dict, "a table", where)
        return {key: _value(arguments[1], each, _at(where, key)) for key, each in value.items()}
    if origin is not None and isinstance(origin, type) and issubclass(origin, Sequence | frozenset):
        _expect(value, list, "a list", where)
        items = [_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value)]
        return frozenset(items) if origin is frozenset else tuple(items)
    if hint is timedelta:
        _expect(value, int | float, "a number of seconds", where)
        return timedelta(seconds=value)
    if hint is Path:
        _expect(value, str, "text", where)
        return Path(value).expanduser()
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            known = ", ".join(str(each.value) for each in hint)
            raise BadConfiguration(f"{where}: {value!r} is none of {known}") from None
    if hint is float:
        _expect(value, int | float, "a number", where)
        return float(value)
    for kind, said in ((bool, "true or false"), (int, "a whole number"), (str, "text")):
        if hint is kind:
            _expect(value, kind, said, where)
    return value


def _expect(value: Any, kind: Any, said: str, where: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadConfiguration(f"{where}: expected {said}, got {value!r}")


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
