"""Whether what a node is given is what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from flyte_jupyter.engine.compiler.interfaces import promises, type_at
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
    """Nodes that can be bound to; those whose outputs are not known have a problem of their own already."""
    problems: list[Problem] = field(default_factory=list)
    upstream: dict[str, None] = field(default_factory=dict)

    def check(self, bindings: Sequence[core.Binding], wanted: Variables, side: str) -> None:
        """Compare all bindings with the variables they are for. `side` is ``inputs`` or ``outputs``."""
        bound = self._each_once(bindings, side)
        for binding in bindings:
            name = f"{side}.{binding.var}"
            if binding.var not in wanted.variables:
                known = ", ".join(sorted(wanted.variables)) or "none"
                self._problem(Code.VARIABLE_NOT_FOUND, name, f"no such name; known: {known}")
                self._mark(binding.binding)
                continue
            self._data(binding.binding, wanted.variables[binding.var].type, name)
        for missing in sorted(set(wanted.variables) - bound):
            kind = wanted.variables[missing].type
            if not _optional(kind):
                self._problem(
                    Code.PARAMETER_NOT_BOUND,
                    f"{side}.{missing}",
                    f"nothing is given for this {types.describe(kind)}",
                )

    def take(self, bindings: Sequence[core.Binding]) -> None:
        """Note where data comes from, for a node that takes whatever it is given."""
        self._each_once(bindings, "inputs")
        for binding in bindings:
            if binding.binding.WhichOneof("value") is None:
                name = f"inputs.{binding.var}"
                self._problem(Code.VALUE_REQUIRED, name, "the binding has no value")
            for reference in promises(binding.binding):
                source = self._source(reference, f"inputs.{binding.var}")
                if source is not None:
                    self._inside(source, reference, f"inputs.{binding.var}")

    def _each_once(self, bindings: Sequence[core.Binding], side: str) -> set[str]:
        bound: set[str] = set()
        for binding in bindings:
            if binding.var in bound:
                name = f"{side}.{binding.var}"
                self._problem(Code.BINDING_TWICE, name, "is bound more than once")
            bound.add(binding.var)
        return bound

    def _problem(self, code: Code, name: str, message: str) -> None:
        self.problems.append(Problem(code, self.node, name, message))

    def _mark(self, data: core.BindingData) -> None:
        for reference in promises(data):
            self._source(reference, "inputs")

    def _source(self, reference: core.OutputReference, name: str) -> core.LiteralType | None:
        """The type of the output that a promise names; notes the node, reports what is unknown."""
        known = reference.node_id in self.nodes
        variables = self.outputs(reference.node_id) if known else None
        if not known:
            message = f"it is bound to node {reference.node_id!r}, which does not exist"
            self._problem(Code.NODE_NOT_FOUND, name, message)
            return None
        self.upstream[reference.node_id] = None
        if variables is None:
            return None
        if reference.var not in variables.variables:
            there = ", ".join(sorted(variables.variables)) or "none"
            message = f"node {reference.node_id!r} has no output {reference.var!r}; known: {there}"
            self._problem(Code.VARIABLE_NOT_FOUND, name, message)
            return None
        return variables.variables[reference.var].type

    def _data(self, data: core.BindingData, kind: core.LiteralType, name: str) -> None:
        match data.WhichOneof("value"):
            case "promise":
                self._promise(data.promise, kind, name)
            case "scalar":
                self._scalar(data.scalar, kind, name)
            case "collection" | "map":
                self._nested(data, kind, name)
            case "offloaded_metadata":
                inferred = data.offloaded_metadata.inferred_type
                if not types.castable(inferred, kind):
                    self._mismatch(inferred, kind, name)
            case _:
                self._problem(Code.VALUE_REQUIRED, name, "the binding has no value")

    def _scalar(self, scalar: core.Scalar, kind: core.LiteralType, name: str) -> None:
        why = types.mismatch(core.Literal(scalar=scalar), kind)
        if why is not None:
            text = scalar.primitive.WhichOneof("value") == "string_value"
            wrong_word = text and kind.HasField("enum_type")
            code = Code.ILLEGAL_ENUM_VALUE if wrong_word else Code.MISMATCHING_TYPES
            self._problem(code, name, why)

    def _promise(self, reference: core.OutputReference, kind: core.LiteralType, name: str) -> None:
        source = self._source(reference, name)
        inside = None if source is None else self._inside(source, reference, name)
        if inside is None or inside.WhichOneof("type") is None:
            return
        if not types.castable(inside, kind):
            self._mismatch(inside, kind, f"{name} (from {reference.node_id}.{reference.var})")

    def _inside(
        self, source: core.LiteralType, reference: core.OutputReference, name: str
    ) -> core.LiteralType | None:
        """The type of the part of an output that a promise names."""
        path = literals.attribute_path(reference)
        inside = type_at(source, path)
        if inside is None:
            text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
            whole = f"{reference.node_id}.{reference.var}{text}"
            message = f"{whole}: a {types.describe(source)} has no such part"
            self._problem(Code.FIELD_NOT_FOUND, name, message)
        return inside

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
            self._problem(Code.MISMATCHING_BINDINGS, name, message)
            self._mark(data)

    def _union(self, data: core.BindingData, kind: core.LiteralType, name: str) -> None:
        self._mark(data)
        fits = [v for v in kind.union_type.variants if self._fits(data, v, name)]
        if len(fits) == 1:
            return
        text = types.describe(kind)
        if fits:
            both = " and ".join(types.describe(variant) for variant in fits[:2])
            message = f"what is given fits more than one variant of {text}: {both}"
            self._problem(Code.AMBIGUOUS_UNION_VALUE, name, message)
        else:
            message = f"what is given fits no variant of {text}"
            self._problem(Code.INCOMPATIBLE_UNION_VALUE, name, message)

    def _fits(self, data: core.BindingData, variant: core.LiteralType, name: str) -> bool:
        attempt = BindingCheck(self.node, self.outputs, self.nodes)
        attempt._data(data, variant, name)
        return not attempt.problems


def _optional(kind: core.LiteralType) -> bool:
    """Whether None is among what may be given: then it need not be given (Flyte: ``IsOptionalType``)."""
    none = core.LiteralType(simple=core.SimpleType.NONE)
    return any(
        variant.WhichOneof("type") == "simple" and variant.simple == none.simple
        for variant in kind.union_type.variants
    )
