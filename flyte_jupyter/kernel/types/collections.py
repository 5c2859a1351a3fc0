"""list[T] and dict[str, T]."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import Unfit, UnsupportedType, shown
from flyte_jupyter.kernel.types.primitives import check_str, literal_kind
from flyte_jupyter.kernel.types.registry import Converter, TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage


class Collections:
    """The family of typed lists and of dictionaries with text keys."""

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter of ``list[T]`` or ``dict[str, T]``."""
        origin = typing.get_origin(python_type)
        arguments = typing.get_args(python_type)
        if python_type in (list, typing.List):  # noqa: UP006 - the old spelling is recognised, not used
            raise UnsupportedType("list says too little: write what it holds, such as list[int]")
        if origin is list:
            return ListConverter(registry.of(arguments[0]))
        if origin is dict:
            if arguments[0] is not str:
                raise UnsupportedType(
                    f"{python_type} cannot travel between tasks: the keys of a dict must be str"
                )
            return DictConverter(registry.of(arguments[1]))
        return None

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """``list[T]`` for a collection, ``dict[str, T]`` for a map."""
        match literal_type.WhichOneof("type"):
            case "collection_type":
                return list[registry.guess(literal_type.collection_type)]  # type: ignore[misc]
            case "map_value_type":
                return dict[str, registry.guess(literal_type.map_value_type)]  # type: ignore[misc]
        return None


@dataclass(frozen=True)
class ListConverter:
    """A list whose items are all of one type."""

    item: Converter

    @property
    def name(self) -> str:
        """``list[int]``."""
        return f"list[{self.item.name}]"

    @cached_property
    def literal_type(self) -> core.LiteralType:
        """A collection."""
        return core.LiteralType(collection_type=self.item.literal_type)

    def check(self, value: Any) -> list[Any]:
        """A list of checked items."""
        if not isinstance(value, list):
            raise Unfit(self.name, shown(value), _list_remedy(value))
        check = self.item.check
        checked: list[Any] = []
        try:
            for item in value:
                checked.append(check(item))  # noqa: PERF401 - its length tells where it stopped
        except Unfit as unfit:
            raise unfit.under(f"[{len(checked)}]") from None
        return checked

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """A collection literal."""
        if not isinstance(value, list):
            raise Unfit(self.name, shown(value), _list_remedy(value))
        literal = core.Literal(collection=core.LiteralCollection())
        literals = literal.collection.literals
        for index, item in enumerate(value):
            try:
                literals.append(self.item.encode(item, storage))
            except Unfit as unfit:
                raise unfit.under(f"[{index}]") from None
        return literal

    def decode(self, literal: core.Literal, storage: Storage) -> list[Any]:
        """A list of decoded items."""
        if literal.WhichOneof("value") != "collection":
            raise Unfit(self.name, literal_kind(literal))
        values = []
        for index, item in enumerate(literal.collection.literals):
            try:
                values.append(self.item.decode(item, storage))
            except Unfit as unfit:
                raise unfit.under(f"[{index}]") from None
        return values


@dataclass(frozen=True)
class DictConverter:
    """A dictionary with text keys whose values are all of one type."""

    item: Converter

    @property
    def name(self) -> str:
        """``dict[str, int]``."""
        return f"dict[str, {self.item.name}]"

    @cached_property
    def literal_type(self) -> core.LiteralType:
        """A map."""
        return core.LiteralType(map_value_type=self.item.literal_type)

    def check(self, value: Any) -> dict[str, Any]:
        """A dictionary of checked values."""
        self._require_dict(value)
        checked = {}
        for key, item in value.items():
            try:
                checked[check_str(key)] = self.item.check(item)
            except Unfit as unfit:
                raise unfit.under(f"[{key!r}]") from None
        return checked

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """A map literal."""
        self._require_dict(value)
        literal = core.Literal(map=core.LiteralMap())
        literals = literal.map.literals
        for key, item in value.items():
            try:
                literals[check_str(key)].CopyFrom(self.item.encode(item, storage))
            except Unfit as unfit:
                raise unfit.under(f"[{key!r}]") from None
        return literal

    def decode(self, literal: core.Literal, storage: Storage) -> dict[str, Any]:
        """A dictionary of decoded values, its keys in order: a map on the wire has no order of its own."""
        if literal.WhichOneof("value") != "map":
            raise Unfit(self.name, literal_kind(literal))
        values = {}
        for key in sorted(literal.map.literals):
            try:
                values[key] = self.item.decode(literal.map.literals[key], storage)
            except Unfit as unfit:
                raise unfit.under(f"[{key!r}]") from None
        return values

    def _require_dict(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise Unfit(self.name, shown(value))
        for key in value:
            if not isinstance(key, str):
                raise Unfit("str as key", shown(key)).under(f"[{key!r}]")


def _list_remedy(value: Any) -> str:
    if isinstance(value, tuple | set | frozenset) or hasattr(value, "tolist"):
        return "Turn it into a list: list(...) or array.tolist()"
    return ""
