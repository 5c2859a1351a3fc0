"""From Python types to converters, and from literal types back to Python types."""

from __future__ import annotations

import inspect
import threading
import typing
from collections.abc import Callable
from functools import lru_cache
from types import NoneType
from typing import Any, Protocol

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import UnsupportedType
from flyte_jupyter.kernel.types.storage import Storage


class Converter(Protocol):
    """One Python type's way to a literal and back. All methods raise `Unfit` for a value they refuse."""

    @property
    def name(self) -> str:
        """The type as an author writes it: ``list[int]``."""
        ...

    @property
    def literal_type(self) -> core.LiteralType:
        """The type on the wire."""
        ...

    def check(self, value: Any) -> Any:
        """The value as the other side would receive it (``True`` is no int, 1 becomes 1.0 for a float)."""
        ...

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """The literal of a value; large data is put into storage."""
        ...

    def decode(self, literal: core.Literal, storage: Storage) -> Any:
        """The value of a literal; large data is fetched when it is first needed."""
        ...


class Family(Protocol):
    """A group of Python types that are converted alike."""

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter for a type of this family, or None for any other type."""
        ...

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """The type to read such a literal as when nobody says, or None if it is not of this family."""
        ...


class TypeRegistry:
    """Knows the converter of each Python type. Immutable but for its memory of answers."""

    def __init__(self, families: tuple[Family, ...]) -> None:
        self._families = families
        self._known: dict[Any, Converter] = {}
        self._underway: list[Any] = []
        self._lock = threading.RLock()

    def of(self, python_type: Any) -> Converter:
        """The converter of a Python type.

        Raises:
            UnsupportedType: no family understands it; the message says what to write instead.
        """
        wanted = plain(python_type)
        try:
            return self._known[wanted]
        except KeyError:
            pass
        except TypeError:
            raise UnsupportedType(f"{type_name(wanted)} is not a type") from None
        with self._lock:
            if wanted in self._underway:
                raise UnsupportedType(
                    f"{type_name(wanted)} holds itself, which no literal type can say"
                )
            self._underway.append(wanted)
            try:
                return self._known.setdefault(wanted, self._find(wanted))
            finally:
                self._underway.pop()

    def _find(self, wanted: Any) -> Converter:
        for family in self._families:
            converter = family.converter(wanted, self)
            if converter is not None:
                return converter
        raise UnsupportedType(
            f"{type_name(wanted)} cannot travel between tasks. Use int, float, str, bool, datetime, timedelta, "
            "an Enum, a dataclass, list[T], dict[str, T], FlyteFile or pandas.DataFrame"
        )

    def guess(self, literal_type: core.LiteralType) -> Any:
        """The Python type to read a literal as when there is no annotation.

        Raises:
            UnsupportedType: no family reads such literals.
        """
        for family in self._families:
            found = family.python_type(literal_type, self)
            if found is not None:
                return found
        raise UnsupportedType(
            f"no Python type is known for the literal type {str(literal_type).strip()!r}"
        )


def plain(python_type: Any) -> Any:
    """The type without ``Annotated``, and ``None`` as the type of None."""
    if typing.get_origin(python_type) is typing.Annotated:
        return plain(typing.get_args(python_type)[0])
    return NoneType if python_type is None else python_type


def type_name(python_type: Any) -> str:
    """A type as an author writes it: ``int``, ``list[int]``."""
    if python_type is NoneType:
        return "None"
    if inspect.isclass(python_type) and not typing.get_args(python_type):
        return python_type.__name__
    return str(python_type).replace("typing.", "")


@lru_cache(maxsize=1)
def default_registry() -> TypeRegistry:
    """The registry of all types that this package brings."""
    from flyte_jupyter.kernel.types import (
        collections,
        dataframes,
        enums,
        files,
        primitives,
        structs,
        unions,
    )

    makers: tuple[Callable[[], Family], ...] = (
        primitives.Primitives,
        enums.Enums,
        files.Files,
        unions.Unions,
        collections.Collections,
        structs.Structs,
        dataframes.DataFrames,
    )
    return TypeRegistry(tuple(make() for make in makers))
