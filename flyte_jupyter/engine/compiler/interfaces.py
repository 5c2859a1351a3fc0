"""What each node of a graph takes and gives. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from flyte_jupyter.idl import core, literals

ANY = core.LiteralType()
"""Where the types do not say what stands there (as in Flyte): anything may be taken from it."""

_PRIMITIVE = {
    "integer": core.SimpleType.INTEGER,
    "float_value": core.SimpleType.FLOAT,
    "string_value": core.SimpleType.STRING,
    "boolean": core.SimpleType.BOOLEAN,
    "datetime": core.SimpleType.DATETIME,
    "duration": core.SimpleType.DURATION,
}
_SCALAR = {
    "none_type": core.SimpleType.NONE,
    "error": core.SimpleType.ERROR,
    "generic": core.SimpleType.STRUCT,
    "binary": core.SimpleType.STRUCT,
}

Target = Callable[[core.Node], core.TypedInterface | None]
"""The interface of what a node refers to, be it a task, a workflow or a launch plan; None when it is not known."""


class Interfaces:
    """The interfaces of all nodes of one workflow, those of its branches' arms and its failure node included.

    A node whose interface cannot be known (what it refers to is missing, it waits for itself) has none.
    """

    def __init__(self, start: core.VariableMap, nodes: Iterable[core.Node], target: Target) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._target = target
        self._known: dict[str, core.TypedInterface | None] = {
            START: core.TypedInterface(outputs=start)
        }

    def of(self, node: str) -> core.TypedInterface | None:
        """What a node takes and gives. Iterative: graphs may be deep."""
        stack, begun = [node], set[str]()
        while stack:
            top = stack[-1]
            if top in self._known or top not in self._nodes:
                stack.pop()
                continue
            missing = [n for n in _needs(self._nodes[top]) if n not in self._known]
            if top not in begun and missing:
                begun.add(top)
                stack += missing
                continue
            self._known[top] = self._make(self._nodes[top])
            stack.pop()
        return self._known.get(node)

    def outputs(self, node: str) -> core.VariableMap | None:
        """What a node gives; the start node gives the workflow's inputs."""
        interface = self.of(node)
        return None if interface is None else interface.outputs

    def _make(self, node: core.Node) -> core.TypedInterface | None:
        match node.WhichOneof("target"):
            case "branch_node":
                given = [self._known.get(arm.id) for arm in arms(node)]
                shared = common(i.outputs for i in given if i is not None)
                return core.TypedInterface(inputs=self._bound(node), outputs=shared)
            case "gate_node":
                return self._gate(node)
            case "array_node":
                item = self._target(node.array_node.node)
                return None if item is None else array_interface(item, node.array_node)
            case _:
                return self._target(node)

    def _gate(self, node: core.Node) -> core.TypedInterface | None:
        match node.gate_node.WhichOneof("condition"):
            case "approve":
                passed = self._bound(node)
                return core.TypedInterface(inputs=passed, outputs=passed)
            case "signal":
                signal = node.gate_node.signal
                given = core.TypedInterface()
                given.outputs.variables[signal.output_variable_name].type.CopyFrom(signal.type)
                return given
            case "sleep":
                return core.TypedInterface()
            case _:
                return None

    def _bound(self, node: core.Node) -> core.VariableMap:
        """The inputs of a node that takes whatever it is bound to."""
        found = core.VariableMap()
        for binding in node.inputs:
            kind = bound_type(binding.binding, self._outputs_known)
            found.variables[binding.var].type.CopyFrom(kind)
        return found

    def _outputs_known(self, node: str) -> core.VariableMap | None:
        interface = self._known.get(node)
        return None if interface is None else interface.outputs


START = "start-node"
END = "end-node"


def _needs(node: core.Node) -> Iterator[str]:
    """The nodes whose interfaces make this one's."""
    which = node.WhichOneof("target")
    if which == "branch_node":
        yield from (arm.id for arm in arms(node))
    if which == "branch_node" or node.gate_node.HasField("approve"):
        for binding in node.inputs:
            yield from (reference.node_id for reference in promises(binding.binding))


def arms(node: core.Node) -> Iterator[core.Node]:
    """The nodes of which a branch node runs one, in the order in which they are looked at."""
    block = node.branch_node.if_else
    for case in cases(node):
        if case.HasField("then_node"):
            yield case.then_node
    if block.WhichOneof("default") == "else_node":
        yield block.else_node


def cases(node: core.Node) -> Iterator[core.IfBlock]:
    """The conditions of a branch node with what they lead to, in order."""
    block = node.branch_node.if_else
    if block.HasField("case"):
        yield block.case
    yield from block.other


def with_arms(nodes: Iterable[core.Node]) -> Iterator[core.Node]:
    """These nodes and the arms of their branches, however deep, each after the node that it belongs to."""
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if node.WhichOneof("target") == "branch_node":
            waiting += list(arms(node))[::-1]


def promises(data: core.BindingData) -> Iterator[core.OutputReference]:
    """Every promise in a binding, however deep."""
    match data.WhichOneof("value"):
        case "promise":
            yield data.promise
        case "collection":
            for item in data.collection.bindings:
                yield from promises(item)
        case "map":
            for item in data.map.bindings.values():
                yield from promises(item)


def array_interface(item: core.TypedInterface, array: core.ArrayNode) -> core.TypedInterface:
    """What an array node takes and gives, from the interface of what it runs for each element.

    Clients either register what runs with lists in its interface already (flytekit's map task), or leave the
    interface as it is and say so (``is_original_sub_node_interface``): then lists are put around here.
    """
    if not array.is_original_sub_node_interface.value:
        return item
    return core.TypedInterface(
        inputs=_listed(item.inputs, array.bound_inputs), outputs=_listed(item.outputs, ())
    )


def item_interface(item: core.TypedInterface, array: core.ArrayNode) -> core.TypedInterface:
    """What one element of an array node takes and gives: the other way round."""
    if array.is_original_sub_node_interface.value:
        return item
    return core.TypedInterface(
        inputs=_unlisted(item.inputs, array.bound_inputs), outputs=_unlisted(item.outputs, ())
    )


def _listed(variables: core.VariableMap, bound: Iterable[str]) -> core.VariableMap:
    listed, plain = core.VariableMap(), set(bound)
    for name, variable in variables.variables.items():
        kind = variable.type
        wrapped = kind if name in plain else core.LiteralType(collection_type=kind)
        listed.variables[name].CopyFrom(
            core.Variable(type=wrapped, description=variable.description)
        )
    return listed


def _unlisted(variables: core.VariableMap, bound: Iterable[str]) -> core.VariableMap:
    single, plain = core.VariableMap(), set(bound)
    for name, variable in variables.variables.items():
        kind = variable.type
        if name not in plain and kind.HasField("collection_type"):
            kind = kind.collection_type
        single.variables[name].CopyFrom(core.Variable(type=kind, description=variable.description))
    return single


def common(outputs: Iterable[core.VariableMap]) -> core.VariableMap:
    """The variables that all of these have, in the type of the first."""
    every = list(outputs)
    first = every[0].variables if every else {}
    shared = {n: v for n, v in first.items() if all(n in one.variables for one in every)}
    return core.VariableMap(variables=shared)


def launch_plan_interface(
    expected: core.ParameterMap, outputs: core.VariableMap
) -> core.TypedInterface:
    """A launch plan's interface: what may be given to it, defaults or not, and what it gives."""
    parameters = expected.parameters
    return core.TypedInterface(
        inputs=core.VariableMap(variables={n: p.var for n, p in parameters.items()}),
        outputs=outputs,
    )


def only(variables: core.VariableMap, names: Iterable[str]) -> core.VariableMap:
    """These variables of a map."""
    have = variables.variables
    return core.VariableMap(variables={name: have[name] for name in names if name in have})


def bound_type(
    data: core.BindingData, outputs: Callable[[str], core.VariableMap | None]
) -> core.LiteralType:
    """The type of what a binding gives, as far as it can be known; `ANY` where it cannot."""
    match data.WhichOneof("value"):
        case "promise":
            reference = data.promise
            variables = outputs(reference.node_id)
            if variables is None or reference.var not in variables.variables:
                return ANY
            kind = variables.variables[reference.var].type
            return type_at(kind, literals.attribute_path(reference)) or ANY
        case "scalar":
            return scalar_type(data.scalar)
        case "collection":
            return core.LiteralType(collection_type=_joined(data.collection.bindings, outputs))
        case "map":
            return core.LiteralType(map_value_type=_joined(data.map.bindings.values(), outputs))
        case "offloaded_metadata":
            return data.offloaded_metadata.inferred_type
        case _:
            return ANY


def _joined(
    items: Iterable[core.BindingData], outputs: Callable[[str], core.VariableMap | None]
) -> core.LiteralType:
    kinds = [bound_type(item, outputs) for item in items]
    if not kinds:
        return core.LiteralType(simple=core.SimpleType.NONE)
    return kinds[0] if all(kind == kinds[0] for kind in kinds) else ANY


def scalar_type(scalar: core.Scalar) -> core.LiteralType:
    """The type that a scalar has by itself."""
    match scalar.WhichOneof("value"):
        case "primitive":
            which = scalar.primitive.WhichOneof("value")
            return core.LiteralType(simple=_PRIMITIVE[which]) if which else ANY
        case "blob":
            return core.LiteralType(blob=scalar.blob.metadata.type)
        case "schema":
            return core.LiteralType(schema=scalar.schema.type)
        case "structured_dataset":
            kind = scalar.structured_dataset.metadata.structured_dataset_type
            return core.LiteralType(structured_dataset_type=kind)
        case "union":
            return scalar.union.type
        case None:
            return ANY
        case which:
            return core.LiteralType(simple=_SCALAR[which])


def type_at(kind: core.LiteralType, path: literals.AttributePath) -> core.LiteralType | None:
    """The type at an attribute path; `ANY` where the type does not say (as in Flyte), None where nothing is."""
    for step in path:
        match kind.WhichOneof("type"):
            case "collection_type" if isinstance(step, int):
                kind = kind.collection_type
            case "map_value_type" if isinstance(step, str):
                kind = kind.map_value_type
            case "simple" if kind.simple == core.SimpleType.STRUCT:
                fields: Mapping[str, core.LiteralType] = kind.structure.dataclass_type
                if not fields:
                    return ANY
                if not isinstance(step, str) or step not in fields:
                    return None
                kind = fields[step]
            case "union_type":
                return ANY
            case _:
                return None
    return kind
