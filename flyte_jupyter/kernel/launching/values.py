"""Inputs and outputs of executions as Python values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.launching.errors import LaunchingError
from flyte_jupyter.kernel.types import Converter, Storage, Unfit, default_registry
from flyte_jupyter.kernel.types.reading import read


class Values(Mapping[str, Any]):
    """Values by name, ``outputs["score"]`` and ``outputs.score``, each decoded when it is first read."""

    def __init__(
        self,
        literals: core.LiteralMap,
        storage: Storage,
        converters: Mapping[str, Converter] | None = None,
    ) -> None:
        self._literals = literals
        self._storage = storage
        self._converters = converters or {}
        self._decoded: dict[str, Any] = {}

    @property
    def literals(self) -> core.LiteralMap:
        """The values as Flyte's messages."""
        return self._literals

    def __getitem__(self, name: str) -> Any:
        if name not in self._decoded:
            if name not in self._literals.literals:
                raise KeyError(
                    f"no value is called {name!r}; there are: {', '.join(self) or 'none'}"
                )
            self._decoded[name] = self._decode(name)
        return self._decoded[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        known = [name for name in self._converters if name in self._literals.literals]
        return iter(known or sorted(self._literals.literals))

    def __len__(self) -> int:
        return len(self._literals.literals)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return f"Values({', '.join(f'{name}={_short(self._literals.literals[name])}' for name in self)})"

    def _decode(self, name: str) -> Any:
        literal = self._literals.literals[name]
        converter = self._converters.get(name)
        try:
            if converter is not None:
                return converter.decode(literal, self._storage)
            return read(literal, default_registry(), self._storage)
        except Unfit as unfit:
            raise LaunchingError(
                f"{name}{unfit.inside}: expected {unfit.expected}, given {unfit.given}"
            ) from None


def _short(literal: core.Literal) -> str:
    """A literal in a few words, nothing fetched."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return f"<list of {len(literal.collection.literals)}>"
    if kind == "map":
        return f"<dict of {len(literal.map.literals)}>"
    inner = literal.scalar.WhichOneof("value")
    if inner == "primitive":
        which = literal.scalar.primitive.WhichOneof("value")
        if which in ("integer", "float_value", "boolean", "string_value"):
            return repr(getattr(literal.scalar.primitive, which))
        return f"<{which}>"
    if inner == "blob":
        return literal.scalar.blob.uri
    if inner == "structured_dataset":
        return literal.scalar.structured_dataset.uri
    return f"<{inner or 'empty'}>"
