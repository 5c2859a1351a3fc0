"""Enumerations whose values are text."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import Unfit, UnsupportedType, shown
from flyte_jupyter.kernel.types.primitives import literal_kind
from flyte_jupyter.kernel.types.registry import Converter, TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage


class Enums:
    """The family of `enum.Enum` classes."""

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter of an enumeration with text values."""
        del registry
        if not (inspect.isclass(python_type) and issubclass(python_type, Enum)):
            return None
        values = [member.value for member in python_type]
        if not values or not all(isinstance(value, str) for value in values):
            raise UnsupportedType(
                f"{python_type.__name__} cannot travel between tasks: "
                "give each member of the Enum a text value"
            )
        return EnumConverter(python_type, core.LiteralType(enum_type=core.EnumType(values=values)))

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """Text: without the class, the value is all there is."""
        del registry
        return str if literal_type.WhichOneof("type") == "enum_type" else None


@dataclass(frozen=True)
class EnumConverter:
    """Members of one Enum; on the wire their text values."""

    kind: type[Enum]
    literal_type: core.LiteralType = field(repr=False)

    @property
    def name(self) -> str:
        """The class's name."""
        return self.kind.__name__

    def check(self, value: Any) -> Enum:
        """A member, or the text value of one."""
        if isinstance(value, self.kind):
            return value
        if isinstance(value, str):
            return self._member(value)
        raise Unfit(self._expected(), shown(value))

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """The member's value as text."""
        del storage
        text = self.check(value).value
        return core.Literal(scalar=core.Scalar(primitive=core.Primitive(string_value=text)))

    def decode(self, literal: core.Literal, storage: Storage) -> Enum:
        """The member of that value."""
        del storage
        if literal.scalar.primitive.WhichOneof("value") != "string_value":
            raise Unfit(self.name, literal_kind(literal))
        return self._member(literal.scalar.primitive.string_value)

    def _member(self, text: str) -> Enum:
        try:
            return self.kind(text)
        except ValueError:
            raise Unfit(self._expected(), shown(text)) from None

    def _expected(self) -> str:
        return f"{self.name} (one of {', '.join(repr(member.value) for member in self.kind)})"
