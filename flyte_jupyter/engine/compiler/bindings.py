"""Whether what a node is given is what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field

from flyte_jupyter.engine.compiler.problems import Code, Problem
from flyte_jupyter.idl import core, literals, types

Variables = core.VariableMap
Outputs = Callable[[str], Variables | None]
"""A node's outputs by its id (the start node's are the workflow's inputs); None when not known."""


@dataclass(slots=True)
class BindingCheck:
    """Checks the bindings of one node; collects the problems and the nodes that data comes from."""

    node: str
    outputs: Outputs
    nodes: Container[str]
    """Nodes that exist; those whose outputs are not known have a problem of their own already."""
    problems: list[Problem] = field(default_factory=list)
    upstream: dict[str, None] = field(default_factory=dict)

    def check(self, bindings: Sequence[core.Binding], wanted: Variables, side: str) -> None:
        """Compare all bindings with the variables they are for. `side` is ``inputs`` or ``outputs``."""
        bound: set[str] = set()
        for binding in bindings:
            name = f"{side}.{binding.var}"
            if binding.var in bound:
                self._problem(Code.BINDING_TWICE, name, "is bound more than once")
            bound.add(binding.var)
            if binding.var not in wanted.variables:
                known = ", ".join(sorted(wanted.variables)) or "none"
                self._problem(Code.VARIABLE_NOT_FOUND, name, f"no such name; known: {known}")
                self._mark(binding.binding)
                continue
            self._data(binding.binding, wanted.variables[binding.var].type, name)
        for missing in sorted(set(wanted.variables) - bound):
            kind = types.describe(wanted.variables[missing].type)
            self._problem(
                Code.PARAMETER_NOT_BOUND, f"{side}.{missing}", f"nothing is given for this {kind}"
            )

    def _problem(self, code: Code, name: str, message: str) -> None:
        self.problems.append(Problem(code, self.node, name, message))

    def _mark(self, data: core.BindingData) -> None:
        for reference in promises(data):
            self._source(reference, "inputs")

    def _source(self, reference: core.OutputReference, name: str) -> core.LiteralType | None:
        """The type of the output that a promise names; notes the node, reports what is unknown."""
        variables = self.outputs(reference.node_id)
        if variables is None:
            if reference.node_id in self.nodes:
                self.upstream[reference.node_id] = None
                return None
            message = f"it is bound to node {reference.node_id!r}, which does not exist"
            self._problem(Code.NODE_NOT_FOUND, name, message)
            return None
        self.upstream[reference.node_id] = None
        if reference.var not in variables.variables:
            known = ", ".join(sorted(variables.variables)) or "none"
            message = f"node {reference.node_id!r} has no output {reference.var!r}; known: {known}"
            self._problem(Code.VARIABLE_NOT_FOUND, name, message)
            return None
        return variables.variables[reference.var].type

    def _data(self, data: core.BindingData, kind: core.LiteralType, name: str) -> None:
        match data.WhichOneof("value"):
            case "promise":
                self._promise(data.promise, kind, name)
            case "scalar":
                if why := types.mismatch(core.Literal(scalar=data.scalar), kind):
                    self._problem(Code.MISMATCHING_TYPES, name, why)
            case "collection":
                self._nested(data, kind, name)
            case "map":
                self._nested(data, kind, name)
            case "offloaded_metadata":
                inferred = data.offloaded_metadata.inferred_type
                if not types.castable(inferred, kind):
                    self._mismatch(inferred, kind, name)
            case _:
                self._problem(Code.VALUE_REQUIRED, name, "the binding has no value")

    def _promise(self, reference: core.OutputReference, kind: core.LiteralType, name: str) -> None:
        source = self._source(reference, name)
        if source is None:
            return
        path = literals.attribute_path(reference)
        inside = _type_at(source, path)
        if inside is None:
            text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
            message = f"{reference.node_id}.{reference.var}{text}: a {types.describe(source)} has no such part"
            self._problem(Code.MISMATCHING_TYPES, name, message)
        elif inside is not _ANY and not types.castable(inside, kind):
            self._mismatch(inside, kind, f"{name} (from {reference.node_id}.{reference.var})")

    def _mismatch(self, source: core.LiteralType, kind: core.LiteralType, name: str) -> None:
        message = f"expected {types.describe(kind)}, given {types.describe(source)}"
        self._problem(Code.MISMATCHING_TYPES, name, message)

    def _nested(self, data: core.BindingData, kind: core.LiteralType, name: str) -> None:
        if kind.HasField("union_type"):
            self._union(data, kind, name)
            return
        which = data.WhichOneof("value")
        if which == "collection" and kind.HasField("collection_type"):
            for index, item in enumerate(data.collection.bindings):
                self._data(item, kind.collection_type, f"{name}[{index}]")
        elif which == "map" and kind.HasField("map_value_type"):
            for key in sorted(data.map.bindings):
                self._data(data.map.bindings[key], kind.map_value_type, f"{name}.{key}")
        else:
            given = "a list" if which == "collection" else "a dict"
            message = f"expected {types.describe(kind)}, given {given}"
            self._problem(Code.MISMATCHING_TYPES, name, message)
            self._mark(data)

    def _union(self, data: core.BindingData, kind: core.LiteralType, name: str) -> None:
        self._mark(data)
        for variant in kind.union_type.variants:
            attempt = BindingCheck(self.node, self.outputs, self.nodes)
            attempt._data(data, variant, name)
            if not attempt.problems:
                return
        message = f"what is given fits no variant of {types.describe(kind)}"
        self._problem(Code.MISMATCHING_TYPES, name, message)


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


_ANY = core.LiteralType()


def _type_at(kind: core.LiteralType, path: literals.AttributePath) -> core.LiteralType | None:
    """The type at an attribute path; `_ANY` where the type does not say (as in Flyte), None where nothing is."""
    for step in path:
        match kind.WhichOneof("type"):
            case "collection_type" if isinstance(step, int):
                kind = kind.collection_type
            case "map_value_type" if isinstance(step, str):
                kind = kind.map_value_type
            case "simple" if kind.simple == core.SimpleType.STRUCT:
                fields = kind.structure.dataclass_type
                if not fields:
                    return _ANY
                if step not in fields:
                    return None
                kind = fields[str(step)]
            case "union_type":
                return _ANY
            case _:
                return None
    return kind
