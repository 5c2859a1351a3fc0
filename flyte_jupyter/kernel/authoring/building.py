"""A workflow's body becomes a graph: each call of a task adds a node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyte_jupyter.idl.types import castable, describe
from flyte_jupyter.kernel.authoring.errors import AuthoringError
from flyte_jupyter.kernel.authoring.graph import (
    START,
    Binding,
    Constant,
    DictOf,
    FromNode,
    Graph,
    ListOf,
    Node,
    in_order,
    sources,
)
from flyte_jupyter.kernel.authoring.interface import Interface, Output, Parameter
from flyte_jupyter.kernel.authoring.promises import Draft, Outputs, Promise
from flyte_jupyter.kernel.types import Converter, StorageError, TypeMismatch, Unfit
from flyte_jupyter.kernel.types.collections import DictConverter, ListConverter
from flyte_jupyter.kernel.types.unions import UnionConverter


class Building:
    """The graph of one workflow while its body runs."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface
        self._drafts: list[Draft] = []

    def inputs(self) -> dict[str, Promise]:
        """What the body is called with."""
        return {name: Promise(None, slot) for name, slot in self._interface.inputs.items()}

    def call(self, task: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Add a node that calls a task; what the call gives stands for its outputs.

        Raises:
            TypeMismatch: an input does not fit; named before anything runs.
            AuthoringError: an input is missing or unknown.
        """
        interface: Interface = task.interface
        draft = Draft(f"n{len(self._drafts)}", task, task.policy)
        given = interface.bind(args, kwargs)
        bound = {}
        for name, parameter in interface.inputs.items():
            try:
                bound[name] = bind(given[name], parameter.converter)
            except Unfit as unfit:
                raise TypeMismatch(interface.entity, f"parameter {name}", unfit) from None
        draft.inputs = bound
        self._drafts.append(draft)
        promises = {name: Promise(draft, slot) for name, slot in interface.outputs.items()}
        if len(promises) == 1 and not interface.is_tuple:
            return next(iter(promises.values()))
        return Outputs(draft, promises)

    def finish(self, result: Any) -> Graph:
        """The graph, given what the body returned.

        Raises:
            TypeMismatch: an output does not fit the workflow's declared one.
            AuthoringError: there is no node, or nodes wait for each other or share an id.
        """
        if not self._drafts:
            raise AuthoringError(
                f"{self._interface.entity} calls no task, so there is nothing to run: call one in its body, "
                "and put @task above the functions that it calls"
            )
        outputs = {}
        if isinstance(result, Outputs) and not result:
            result = None
        if isinstance(result, Outputs) and len(result) == 1 and not self._interface.is_tuple:
            result = result[0]
        for name, value in self._interface.split(result).items():
            try:
                bound = bind(value, self._interface.outputs[name].converter)
            except Unfit as unfit:
                raise TypeMismatch(self._interface.entity, f"output {name}", unfit) from None
            outputs[name] = _settled(bound)
        return Graph(in_order([_node(draft) for draft in self._drafts]), outputs)


def bind(value: Any, converter: Converter) -> Any:
    """A binding in which promises still stand for themselves, since their nodes may yet be renamed.

    Raises:
        Unfit: the value, or what the promise will give, is of another type.
    """
    if isinstance(value, Promise):
        return _bind_promise(value, value.slot, converter)
    if isinstance(value, Outputs):
        names = ", ".join(value.__dict__["_names"])
        raise Unfit(
            converter.name, repr(value), f"Pick one: {names}" if names else "It gives no outputs"
        )
    if _holds_promise(value):
        for variant in _variants(converter):
            if isinstance(value, list) and isinstance(variant, ListConverter):
                return [_inside(f"[{i}]", item, variant.item) for i, item in enumerate(value)]
            if isinstance(value, dict) and isinstance(variant, DictConverter):
                return {k: _inside(f"[{k!r}]", item, variant.item) for k, item in value.items()}
        raise Unfit(converter.name, f"{type(value).__name__} of outputs of other nodes")
    try:
        return Constant(converter.check(value), converter.encode(value, _NoStorage()))
    except StorageError as error:
        raise Unfit(f"{converter.name} from a task or an input", str(error)) from None


def _bind_promise(promise: Promise, slot: Output | Parameter, converter: Converter) -> Promise:
    if castable(slot.converter.literal_type, converter.literal_type):
        return promise
    remedy = ""
    if slot.converter.name == "int" and converter.name == "float":
        remedy = "Convert it in a task: float(...)"
    same = slot.converter.name == converter.name
    given = describe(slot.converter.literal_type) if same else slot.converter.name
    raise Unfit(converter.name, f"{given} ({promise!r})", remedy)


def _inside(place: str, value: Any, converter: Converter) -> Any:
    try:
        return bind(value, converter)
    except Unfit as unfit:
        raise unfit.under(place) from None


def _variants(converter: Converter) -> tuple[Converter, ...]:
    return converter.variants if isinstance(converter, UnionConverter) else (converter,)


def _holds_promise(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, Promise | Outputs) or _holds_promise(item) for item in value)
    if isinstance(value, dict):
        return any(
            isinstance(item, Promise | Outputs) or _holds_promise(item) for item in value.values()
        )
    return False


def _settled(bound: Any) -> Binding:
    """The binding with node ids in place of promises."""
    match bound:
        case Promise():
            return FromNode(bound.draft.id if bound.draft else START, bound.slot.name)
        case list():
            return ListOf(tuple(_settled(item) for item in bound))
        case dict():
            return DictOf({key: _settled(item) for key, item in bound.items()})
        case Constant():
            return bound
    raise AssertionError(bound)


def _node(draft: Draft) -> Node:
    bindings = {name: _settled(bound) for name, bound in draft.inputs.items()}
    upstream = [node for binding in bindings.values() for node in sources(binding)]
    upstream += [other.id for other in draft.after]
    return Node(
        id=draft.id,
        name=draft.name,
        task=draft.task,
        bindings=bindings,
        upstream=tuple(dict.fromkeys(upstream)),
        policy=draft.policy,
        overridden=draft.overridden,
    )


class _NoStorage:
    """The storage of a workflow's body: a graph holds no data."""

    def put(self, local: Path, name: str) -> str:
        """Refused."""
        del name
        raise StorageError(
            f"the local file {local} written in the workflow's body; make it an input of the workflow"
        )

    def get(self, uri: str, local: Path) -> None:
        """Refused."""
        raise AuthoringError(f"{uri} cannot be read into {local} while a workflow is built")

    def scratch(self) -> Path:
        """Refused."""
        raise StorageError(
            "a table written in the workflow's body; make it an input of the workflow"
        )
