"""Interfaces, resources and bindings as Flyte's messages."""

from __future__ import annotations

from collections.abc import Mapping

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.authoring.graph import Binding, Constant, DictOf, FromNode, ListOf
from flyte_jupyter.kernel.authoring.interface import Interface, Output, Parameter
from flyte_jupyter.kernel.authoring.policies import Resources

_RESOURCES = {
    "cpu": core.Resources.ResourceName.CPU,
    "mem": core.Resources.ResourceName.MEMORY,
    "gpu": core.Resources.ResourceName.GPU,
    "ephemeral_storage": core.Resources.ResourceName.EPHEMERAL_STORAGE,
}


def interface_message(interface: Interface) -> core.TypedInterface:
    """Inputs and outputs by name, each with its type and its name as description."""
    return core.TypedInterface(
        inputs=_variables(interface.inputs), outputs=_variables(interface.outputs)
    )


def variable(slot: Parameter | Output) -> core.Variable:
    """One input or output."""
    return core.Variable(type=slot.converter.literal_type, description=slot.name)


def resources_message(requests: Resources, limits: Resources) -> core.Resources:
    """Requests and limits as Kubernetes quantities."""
    return core.Resources(requests=_entries(requests), limits=_entries(limits))


def bindings(bound: Mapping[str, Binding]) -> list[core.Binding]:
    """Bindings by variable, in the order of the variables' names."""
    made = []
    for name in sorted(bound):
        one = core.Binding(var=name)
        _write(one.binding, bound[name])
        made.append(one)
    return made


def _write(data: core.BindingData, binding: Binding) -> None:
    """Say where one value comes from."""
    match binding:
        case FromNode(node, output):
            promise = data.promise
            promise.node_id, promise.var = node, output
        case Constant(literal=literal):
            _write_literal(data, literal)
        case ListOf(items):
            data.collection.SetInParent()
            for item in items:
                _write(data.collection.bindings.add(), item)
        case DictOf(keyed):
            data.map.SetInParent()
            for key, item in keyed.items():
                _write(data.map.bindings[key], item)


def _write_literal(data: core.BindingData, literal: core.Literal) -> None:
    match literal.WhichOneof("value"):
        case "collection":
            data.collection.SetInParent()
            for item in literal.collection.literals:
                _write_literal(data.collection.bindings.add(), item)
        case "map":
            data.map.SetInParent()
            for key, item in literal.map.literals.items():
                _write_literal(data.map.bindings[key], item)
        case _:
            data.scalar.CopyFrom(literal.scalar)
            data.scalar.SetInParent()


def _variables(slots: Mapping[str, Parameter] | Mapping[str, Output]) -> core.VariableMap:
    return core.VariableMap(variables={name: variable(slot) for name, slot in slots.items()})


def _entries(resources: Resources) -> list[core.Resources.ResourceEntry]:
    return [
        core.Resources.ResourceEntry(name=_RESOURCES[name], value=value)
        for name, value in resources.quantities().items()
    ]
