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
    return [_binding(name, bound[name]) for name in sorted(bound)]


def _binding(name: str, binding: Binding) -> core.Binding:
    made = core.Binding(var=name)
    if isinstance(binding, FromNode):
        # As nearly all are in a large graph: written in place.
        promise = made.binding.promise
        promise.node_id, promise.var = binding.node, binding.output
    else:
        made.binding.CopyFrom(binding_data(binding))
    return made


def binding_data(binding: Binding) -> core.BindingData:
    """Where one value comes from."""
    match binding:
        case FromNode(node, output):
            return core.BindingData(promise=core.OutputReference(node_id=node, var=output))
        case Constant(literal=literal):
            return _literal_data(literal)
        case ListOf(items):
            collection = core.BindingDataCollection(bindings=[binding_data(item) for item in items])
            return core.BindingData(collection=collection)
        case DictOf(keyed):
            entries = {key: binding_data(item) for key, item in keyed.items()}
            return core.BindingData(map=core.BindingDataMap(bindings=entries))


def _literal_data(literal: core.Literal) -> core.BindingData:
    match literal.WhichOneof("value"):
        case "collection":
            items = [_literal_data(item) for item in literal.collection.literals]
            return core.BindingData(collection=core.BindingDataCollection(bindings=items))
        case "map":
            entries = {key: _literal_data(item) for key, item in literal.map.literals.items()}
            return core.BindingData(map=core.BindingDataMap(bindings=entries))
    return core.BindingData(scalar=literal.scalar)


def _variables(slots: Mapping[str, Parameter] | Mapping[str, Output]) -> core.VariableMap:
    return core.VariableMap(variables={name: variable(slot) for name, slot in slots.items()})


def _entries(resources: Resources) -> list[core.Resources.ResourceEntry]:
    return [
        core.Resources.ResourceEntry(name=_RESOURCES[name], value=value)
        for name, value in resources.quantities().items()
    ]
