"""``T | None`` and other unions."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.types.errors import Unfit, shown
from flyte_jupyter.kernel.types.primitives import literal_kind
from flyte_jupyter.kernel.types.registry import Converter, TypeRegistry
from flyte_jupyter.kernel.types.storage import Storage


class Unions:
    """The family of unions, ``Optional`` among them."""

    def converter(self, python_type: Any, registry: TypeRegistry) -> Converter | None:
        """The converter of a union: its variants in the order they are written."""
        if typing.get_origin(python_type) not in (typing.Union, types.UnionType):
            return None
        return UnionConverter(
            tuple(registry.of(variant) for variant in typing.get_args(python_type))
        )

    def python_type(self, literal_type: core.LiteralType, registry: TypeRegistry) -> Any | None:
        """The union of what each variant is read as."""
        if literal_type.WhichOneof("type") != "union_type":
            return None
        variants = tuple(registry.guess(variant) for variant in literal_type.union_type.variants)
        return typing.Union[variants]  # noqa: UP007 - built from a tuple at run time


@dataclass(frozen=True)
class UnionConverter:
    """One of several types: the first that takes the value as it is, else the first that takes it at all."""

    variants: tuple[Converter, ...]

    @property
    def name(self) -> str:
        """``int | None``."""
        return " | ".join(variant.name for variant in self.variants)

    @cached_property
    def literal_type(self) -> core.LiteralType:
        """A union whose variants carry their names as tags."""
        return core.LiteralType(
            union_type=core.UnionType(variants=[_tagged(variant) for variant in self.variants])
        )

    def check(self, value: Any) -> Any:
        """The value as its variant takes it."""
        return self._choose(value)[1]

    def encode(self, value: Any, storage: Storage) -> core.Literal:
        """A union literal that names its variant."""
        variant, checked = self._choose(value)
        return core.Literal(
            scalar=core.Scalar(
                union=core.Union(value=variant.encode(checked, storage), type=_tagged(variant))
            )
        )

    def decode(self, literal: core.Literal, storage: Storage) -> Any:
        """The value inside; a literal of a variant that stands alone is taken too."""
        inner, tag = literal, ""
        if literal.scalar.WhichOneof("value") == "union":
            inner = literal.scalar.union.value
            tag = literal.scalar.union.type.structure.tag
        order = sorted(self.variants, key=lambda variant: tag_of(variant) != tag)
        for variant in order:
            try:
                return variant.decode(inner, storage)
            except Unfit:
                continue
        raise Unfit(self.name, literal_kind(inner))

    def _choose(self, value: Any) -> tuple[Converter, Any]:
        accepted: list[tuple[Converter, Any]] = []
        refusals: list[Unfit] = []
        for variant in self.variants:
            try:
                checked = variant.check(value)
            except Unfit as unfit:
                refusals.append(unfit)
                continue
            # 1 fits float | int twice: the variant that leaves the value as it is, is the one meant.
            if type(checked) is type(value):
                return variant, checked
            accepted.append((variant, checked))
        if not accepted:
            # A refusal from further inside, or with a remedy, came from the variant that was meant.
            meant = [unfit for unfit in refusals if unfit.inside or unfit.remedy]
            raise meant[0] if len(meant) == 1 else Unfit(self.name, shown(value))
        return accepted[0]


_TAGS = {"None": "none", "float": "float", "int": "int", "str": "str", "bool": "bool"}


def tag_of(variant: Converter) -> str:
    """The word that tells a variant apart on the wire, flytekit's where it has one."""
    match variant.literal_type.WhichOneof("type"):
        case "collection_type":
            return "Typed List"
        case "map_value_type":
            return "Typed Dict"
        case "blob":
            return "FlyteFilePath"
        case "structured_dataset_type":
            return "StructuredDatasetTransformerEngine"
        case "enum_type":
            return "DefaultEnumTransformer"
    if variant.literal_type.simple == core.SimpleType.STRUCT:
        return "Object-Dataclass-Transformer"
    return _TAGS.get(variant.name, variant.name)


def _tagged(variant: Converter) -> core.LiteralType:
    tagged = core.LiteralType()
    tagged.CopyFrom(variant.literal_type)
    tagged.structure.tag = tag_of(variant)
    return tagged
