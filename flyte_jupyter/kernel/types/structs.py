"""Dataclasses, and dictionaries of plain values: MessagePack on the wire, as flytekit writes them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from functools import cached_property
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.idl.msgpack import packb, unpackb
from flyte_jupyter.kernel.types.errors import Unfit, UnsupportedType, shown
from flyte_jupyter.kernel.types.plain import Plain, json_schema, plain_of
from flyte_jupyter.kernel.types.primitives import literal_kind
from flyte_jupyter.kernel.types.registry import Converter, TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage

_TAG = "msgpack"


class Structs:
    """The family of dataclasses and of ``dict`` without type arguments."""

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter of a dataclass, or of a bare ``dict``."""
        if python_type is dict:
            return PlainDict()
        if not (inspect.isclass(python_type) and dataclasses.is_dataclass(python_type)):
            return None
        try:
            hints = typing.get_type_hints(python_type)
        except NameError as error:
            raise UnsupportedType(
                f"dataclass {python_type.__name__}: an annotation names {error.name!r}, which is not defined"
            ) from None
        slots = []
        for each in dataclasses.fields(python_type):
            if not each.init:
                continue
            try:
                converter = registry.of(hints[each.name])
                shape = plain_of(hints[each.name], registry)
            except UnsupportedType as error:
                raise UnsupportedType(
                    f"dataclass {python_type.__name__}, field {each.name}: {error}"
                ) from None
            required = each.default is MISSING and each.default_factory is MISSING
            slots.append(Slot(each.name, converter, shape, required=required))
        return DataclassConverter(python_type, tuple(slots))

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """A dictionary: without the class, the fields are all there is."""
        del registry
        if literal_type.WhichOneof("type") != "simple":
            return None
        return dict if literal_type.simple == core.SimpleType.STRUCT else None


@dataclass(frozen=True)
class Slot:
    """One field of a dataclass."""

    name: str
    converter: Converter
    shape: Plain
    required: bool


@dataclass(frozen=True)
class DataclassConverter:
    """Instances of one dataclass."""

    kind: type[Any]
    slots: tuple[Slot, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The class's name."""
        return self.kind.__name__

    @cached_property
    def literal_type(self) -> core.LiteralType:
        """A struct whose metadata is the JSON schema and whose structure holds each field's type."""
        literal_type = core.LiteralType(simple=core.SimpleType.STRUCT)
        literal_type.metadata.update(self.schema())
        for slot in self.slots:
            literal_type.structure.dataclass_type[slot.name].CopyFrom(slot.converter.literal_type)
        return literal_type

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the dataclass."""
        return {
            "type": "object",
            "title": self.kind.__name__,
            "properties": {
                slot.name: json_schema(slot.converter.literal_type) for slot in self.slots
            },
            "required": [slot.name for slot in self.slots if slot.required],
            "additionalProperties": False,
        }

    def check(self, value: Any) -> Any:
        """An instance whose fields are all of their types; a copy only if a field had to change."""
        self._require_instance(value)
        changes = {}
        for slot in self.slots:
            given = getattr(value, slot.name)
            try:
                checked = slot.converter.check(given)
            except Unfit as unfit:
                raise unfit.under(f".{slot.name}") from None
            if type(checked) is not type(given):
                changes[slot.name] = checked
        return dataclasses.replace(value, **changes) if changes else value

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """A binary literal: the fields as MessagePack."""
        return binary(self.dump(value, storage))

    def decode(self, literal: core.Literal, storage: Storage) -> Any:
        """An instance made from the fields."""
        return self.load(read_binary(literal, self.name), storage)

    def dump(self, value: Any, storage: Storage) -> dict[str, Any]:
        """The fields as plain values."""
        self._require_instance(value)
        dumped = {}
        for slot in self.slots:
            try:
                dumped[slot.name] = slot.shape.dump(getattr(value, slot.name), storage)
            except Unfit as unfit:
                raise unfit.under(f".{slot.name}") from None
        return dumped

    def load(self, value: Any, storage: Storage) -> Any:
        """An instance from plain values. Fields that the class does not know are left out."""
        if not isinstance(value, Mapping):
            raise Unfit(self.name, shown(value))
        loaded = {}
        for slot in self.slots:
            if slot.name not in value:
                if slot.required:
                    raise Unfit(f"{self.name} with field {slot.name}", "no such field")
                continue
            try:
                loaded[slot.name] = slot.shape.load(value[slot.name], storage)
            except Unfit as unfit:
                raise unfit.under(f".{slot.name}") from None
        return self.kind(**loaded)

    def _require_instance(self, value: Any) -> None:
        if isinstance(value, self.kind):
            return
        stale = type(value).__qualname__ == self.kind.__qualname__
        remedy = f"{self.name} was defined again since: make the value anew" if stale else ""
        raise Unfit(self.name, shown(value), remedy)


@dataclass(frozen=True)
class PlainDict:
    """A dictionary with text keys that holds plain values of any depth."""

    name: str = "dict"

    @cached_property
    def literal_type(self) -> core.LiteralType:
        """A struct that says nothing about its fields."""
        return core.LiteralType(simple=core.SimpleType.STRUCT)

    def check(self, value: Any) -> dict[str, Any]:
        """A copy of the dictionary."""
        checked = require_plain(value)
        if not isinstance(checked, dict):
            raise Unfit("dict", shown(value))
        return checked

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """A binary literal: the dictionary as MessagePack."""
        del storage
        return binary(self.check(value))

    def decode(self, literal: core.Literal, storage: Storage) -> dict[str, Any]:
        """The dictionary."""
        del storage
        value = read_binary(literal, "dict")
        if not isinstance(value, dict):
            raise Unfit("dict", shown(value))
        return value


def require_plain(value: Any) -> Any:
    """A deep copy of a value made of dict, list, str, int, float, bool, bytes and None only."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, list | tuple):
        copied = []
        for index, item in enumerate(value):
            try:
                copied.append(require_plain(item))
            except Unfit as unfit:
                raise unfit.under(f"[{index}]") from None
        return copied
    if isinstance(value, dict):
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise Unfit("str as key", shown(key)).under(f"[{key!r}]")
            try:
                result[key] = require_plain(item)
            except Unfit as unfit:
                raise unfit.under(f"[{key!r}]") from None
        return result
    raise Unfit("a plain value (dict, list, str, int, float, bool, None)", shown(value))


def binary(value: Any) -> core.Literal:
    """The literal of plain values, packed."""
    try:
        packed = packb(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unfit("values that MessagePack can hold", str(error)) from None
    return core.Literal(scalar=core.Scalar(binary=core.Binary(value=packed, tag=_TAG)))


def read_binary(literal: core.Literal, expected: str) -> Any:
    """The plain values of a packed literal, or of the older Struct form."""
    match literal.scalar.WhichOneof("value"):
        case "binary" if literal.scalar.binary.tag == _TAG:
            try:
                return unpackb(literal.scalar.binary.value)
            except (TypeError, ValueError) as error:
                raise Unfit(expected, f"damaged MessagePack ({error})") from None
        case "binary":
            raise Unfit(expected, f"binary data tagged {literal.scalar.binary.tag!r}")
        case "generic":
            return _from_struct(literal.scalar.generic)
    raise Unfit(expected, literal_kind(literal))


def _from_struct(struct: Any) -> Any:
    """Plain values of a protobuf Struct, whose numbers are all floats: whole ones become int again."""
    from google.protobuf.json_format import MessageToDict

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [whole(item) for item in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    return whole(MessageToDict(struct))
