"""What a function takes and gives, read from its signature."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from flyte_jupyter.kernel.authoring.errors import AuthoringError
from flyte_jupyter.kernel.context import Mode, current_context
from flyte_jupyter.kernel.types import (
    Converter,
    TypeMismatch,
    TypeRegistry,
    Unfit,
    UnsupportedType,
    plain,
)

EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """One input. `default` is `EMPTY` when the caller must give it."""

    name: str
    python_type: Any
    converter: Converter
    default: Any = EMPTY

    @property
    def required(self) -> bool:
        """Whether the caller must give it."""
        return self.default is EMPTY


@dataclass(frozen=True)
class Output:
    """One output."""

    name: str
    python_type: Any
    converter: Converter


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a task or workflow.

    `entity` is how messages call it (``"task train"``). `pack` makes what a call returns from the outputs in
    order: nothing, one value, a tuple, or the author's NamedTuple.
    """

    entity: str
    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Output]
    signature: inspect.Signature
    named_tuple: Callable[..., Any] | None = None
    is_tuple: bool = False

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs by name, defaults filled in; not yet checked.

        Raises:
            AuthoringError: an input is missing, unknown or given twice.
        """
        unknown = [name for name in kwargs if name not in self.inputs]
        if unknown:
            raise AuthoringError(f"{self.entity} has no input {unknown[0]!r}. {self._usage()}")
        if args or any(name not in kwargs for name in self.inputs):
            try:
                bound = self.signature.bind(*args, **kwargs)
            except TypeError as error:
                raise AuthoringError(f"{self.entity}: {error}. {self._usage()}") from None
            bound.apply_defaults()
            return dict(bound.arguments)
        return dict(kwargs)

    def check_inputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs as the function will receive them.

        Raises:
            TypeMismatch: a value is not of its parameter's type.
        """
        checked = {}
        for name, parameter in self.inputs.items():
            try:
                checked[name] = parameter.converter.check(values[name])
            except Unfit as unfit:
                raise TypeMismatch(self.entity, f"parameter {name}", unfit) from None
        return checked

    def split(self, result: Any) -> dict[str, Any]:
        """What the function returned, by output name; not yet checked.

        Raises:
            TypeMismatch: the number of values is not the declared one.
        """
        names = tuple(self.outputs)
        if not names:
            if result is not None:
                kind = _kind(result)
                raise TypeMismatch(
                    self.entity, "return value", Unfit("nothing", kind, f"Declare it: -> {kind}")
                )
            return {}
        if not self.is_tuple:
            return {names[0]: result}
        if not isinstance(result, tuple) or len(result) != len(names):
            size = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
            expected = f"{len(names)} values ({', '.join(names)})"
            raise TypeMismatch(self.entity, "return value", Unfit(expected, size))
        return dict(zip(names, result, strict=True))

    def check_outputs(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs as the next task will receive them.

        Raises:
            TypeMismatch: a value is not of its output's type.
        """
        checked = {}
        for name, output in self.outputs.items():
            try:
                checked[name] = output.converter.check(values[name])
            except Unfit as unfit:
                raise TypeMismatch(self.entity, f"output {name}", unfit) from None
        return checked

    def pack(self, outputs: Mapping[str, Any]) -> Any:
        """What a call returns."""
        if not self.outputs:
            return None
        values = [outputs[name] for name in self.outputs]
        if self.named_tuple is not None:
            return self.named_tuple(*values)
        return tuple(values) if self.is_tuple else values[0]

    def _usage(self) -> str:
        parameters = ", ".join(
            f"{p.name}: {p.converter.name}" + ("" if p.required else f" = {p.default!r}")
            for p in self.inputs.values()
        )
        return f"It takes ({parameters})"


def check_function(wrapped: Any, decorator: str) -> None:
    """That a decorator stands above a plain function: no class, no value, and nothing that is a task or workflow already.

    Raises:
        AuthoringError: saying what it stands above.
    """
    if isinstance(getattr(wrapped, "interface", None), Interface):
        raise AuthoringError(
            f"{decorator} stands above a function, and {wrapped.interface.entity} is one already: take one of the decorators away"
        )
    if isinstance(wrapped, type):
        raise AuthoringError(
            f"{decorator} stands above a function, not above the class {wrapped.__name__}"
        )
    if not callable(wrapped) or not hasattr(wrapped, "__name__"):
        raise AuthoringError(f"{decorator} stands above a function, not above {wrapped!r}")


def interface_of(
    function: Callable[..., Any],
    kind: str,
    registry: TypeRegistry,
    output_names: Sequence[str] = (),
) -> Interface:
    """Read a function's signature. `kind` is ``"task"`` or ``"workflow"``.

    Raises:
        AuthoringError: an annotation is missing or names something undefined.
        UnsupportedType: an annotation's type cannot travel.
    """
    entity = f"{kind} {function.__name__}"
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        what = "async" if inspect.iscoroutinefunction(function) else "a generator"
        raise AuthoringError(
            f"{entity}: the function is {what}, which is not possible yet: write a plain function that returns its result"
        )
    hints = _hints(function, entity)
    signature = inspect.signature(function)
    inputs = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise AuthoringError(
                f"{entity}: parameter {name} is {parameter.kind.description}; name each input by itself"
            )
        if name not in hints:
            raise AuthoringError(
                f"{entity}: parameter {name} has no type; write {name}: int, for example"
            )
        converter = _converter(entity, f"parameter {name}", hints[name], registry)
        inputs[name] = Parameter(name, plain(hints[name]), converter, parameter.default)
        _check_default(entity, inputs[name])
    returned = plain(hints.get("return"))
    types, named_tuple, is_tuple = _outputs(entity, returned, tuple(output_names))
    outputs = {
        name: Output(name, plain(hint), _converter(entity, f"output {name}", hint, registry))
        for name, hint in types.items()
    }
    return Interface(entity, inputs, outputs, signature, named_tuple, is_tuple)


def _kind(result: Any) -> str:
    """What to declare for a result: its type, or inside a workflow what the promises stand for."""
    if isinstance(result, tuple) and result:
        return f"tuple[{', '.join(map(_kind, result))}]"
    slot = getattr(result, "slot", None)
    return slot.converter.name if isinstance(slot, Output | Parameter) else type(result).__name__


def _check_default(entity: str, parameter: Parameter) -> None:
    # An attempt runs elsewhere: a file that a default names is not there, and its inputs are all given.
    if parameter.required or current_context().mode is Mode.TASK:
        return
    try:
        parameter.converter.check(parameter.default)
    except Unfit as unfit:
        name, kind = parameter.name, parameter.converter.name
        forgotten = Unfit(kind, "None", f"Write {name}: {kind} | None = None")
        why = forgotten if parameter.default is None else unfit
        raise TypeMismatch(entity, f"default of parameter {name}", why) from None


def _outputs(
    entity: str, returned: Any, names: tuple[str, ...]
) -> tuple[dict[str, Any], Callable[..., Any] | None, bool]:
    if returned is NoneType:
        types: list[Any] = []
        is_tuple = False
    elif inspect.isclass(returned) and issubclass(returned, tuple) and hasattr(returned, "_fields"):
        hints = typing.get_type_hints(returned, include_extras=True)
        return {name: hints[name] for name in returned._fields}, returned, True
    elif isinstance(returned, tuple):
        raise AuthoringError(
            f"{entity}: several outputs are declared as tuple[int, str], not as (int, str)"
        )
    elif typing.get_origin(returned) is tuple or returned is tuple:
        types = list(typing.get_args(returned))
        is_tuple = True
        if not types or Ellipsis in types:
            raise AuthoringError(
                f"{entity}: a tuple of outputs names the type of each: tuple[int, str]"
            )
    else:
        types = [returned]
        is_tuple = False
    if names and len(names) != len(types):
        raise AuthoringError(f"{entity}: {len(names)} output names for {len(types)} outputs")
    for name in names:
        if not name.isidentifier():
            raise AuthoringError(f"{entity}: output name {name!r} is not a Python name")
        if names.count(name) > 1:
            raise AuthoringError(f"{entity}: two outputs are called {name}")
    given = names or tuple(f"o{index}" for index in range(len(types)))
    return dict(zip(given, types, strict=True)), None, is_tuple


def _hints(function: Callable[..., Any], entity: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise AuthoringError(
            f"{entity}: an annotation names {error.name!r}, which is not defined here; define or import it first"
        ) from None
    except TypeError as error:
        raise AuthoringError(f"{entity}: an annotation is not a type: {error}") from None


def _converter(entity: str, slot: str, hint: Any, registry: TypeRegistry) -> Converter:
    try:
        return registry.of(hint)
    except UnsupportedType as error:
        raise UnsupportedType(f"{entity}, {slot}: {error}") from None
