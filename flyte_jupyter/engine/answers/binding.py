"""A node's inputs, made from what it is bound to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from flyte_jupyter.engine.answers.files import LiteralFiles
from flyte_jupyter.engine.answers.places import Nodes, Place, failure_of, outputs_at, visible_scope
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.compiler.interfaces import promises
from flyte_jupyter.engine.core.state import RunState
from flyte_jupyter.idl import core, fitting, literals, types
from flyte_jupyter.idl.ids import Path

ERROR_INPUT = "err"
"""The input of an on-failure node that is told what failed (Flyte: ``nodes/resolve.go``)."""

_MANY = 64
"""From so many nodes on that a node takes from they are read at once."""
_Source = tuple[str, str, literals.AttributePath]


async def bound_inputs(
    files: LiteralFiles, run: RunContext, place: Place, state: RunState
) -> core.LiteralMap:
    """All inputs of a node. Raises `BindingError` naming the one that cannot be made, and why."""
    nodes = state.nodes
    scope = visible_scope(run, place.path, nodes)
    bindings = list(place.node.inputs)
    sources = await _sources(files, run, bindings, scope, nodes)
    kinds = place.inputs.variables
    bound = core.LiteralMap()
    for binding in bindings:
        try:
            made = literals.resolve_binding(
                binding.binding, lambda node, var, path: sources[node, var, path]
            )
        except literals.BindingError as error:
            raise literals.BindingError(f"{binding.var}: {error}") from error
        if binding.var in kinds:
            kind = kinds[binding.var].type
            if not _is_whole_list(binding.binding, made):
                made = fitting.fitted(made, kind)
            known = kind.WhichOneof("type") is not None
            if known and (why := types.mismatch(made, kind)):
                raise literals.BindingError(f"{binding.var}: {why}")
        bound.literals[binding.var].CopyFrom(made)
    if place.is_failure_node and ERROR_INPUT in kinds:
        why_literal = _error(state, place.path[:-1], kinds[ERROR_INPUT].type)
        bound.literals[ERROR_INPUT].CopyFrom(why_literal)
    return bound


def _is_whole_list(binding: core.BindingData, made: core.Literal) -> bool:
    """Whether it is a list or dict just as a node gave it: maybe long, and of its type already."""
    if made.WhichOneof("value") not in ("collection", "map"):
        return False
    return binding.HasField("promise") and not binding.promise.attr_path


async def _sources(
    files: LiteralFiles,
    run: RunContext,
    bindings: Sequence[core.Binding],
    scope: Path,
    nodes: Nodes,
) -> dict[_Source, core.Literal]:
    """What each promise in these bindings stands for."""
    wanted = [(each.var, of) for each in bindings for of in promises(each.binding)]
    found: dict[_Source, core.Literal] = {}
    given = await _read_ahead(files, run, {of.node_id for _, of in wanted}, scope, nodes)
    for name, reference in wanted:
        path = literals.attribute_path(reference)
        node, var, _ = source = (reference.node_id, reference.var, path)
        if source in found:
            continue
        try:
            if node not in given:
                uri = outputs_at(files.blobs.root, run, (*scope, node), nodes)
                given[node] = await files.read(uri, run.literals) if uri else core.LiteralMap()
            literal = _output(given[node], node, var)
            found[source] = await files.part(literal, path) if path else literal
        except literals.BindingError as error:
            raise literals.BindingError(f"{name}: {error}") from error
    return found


def _output(given: core.LiteralMap, node: str, var: str) -> core.Literal:
    if var not in given.literals:
        raise literals.BindingError(f"node {node} gave no {var!r}")
    return given.literals[var]


async def _read_ahead(
    files: LiteralFiles, run: RunContext, named: Collection[str], scope: Path, nodes: Nodes
) -> dict[str, core.LiteralMap]:
    """What the nodes gave that a node takes from, when they are many: the end of a wide graph would read them one by one."""
    if len(named) < _MANY:
        return {}
    uris: dict[str, str] = {}
    for node in named:
        # Of one that gave nothing its own binding tells.
        with suppress(literals.BindingError):
            uris[node] = outputs_at(files.blobs.root, run, (*scope, node), nodes)
    read = await files.read_many(filter(None, uris.values()), run.literals)
    return {node: read[uri] for node, uri in uris.items() if uri in read}


def _error(state: RunState, scope: Path, kind: core.LiteralType) -> core.Literal:
    """The failure as a literal, a variant where the input is optional."""
    failure, node = failure_of(state, scope)
    message = failure.message if failure is not None else ""
    error = core.Error(message=message, failed_node_id=node)
    plain = core.Literal(scalar=core.Scalar(error=error))
    for variant in kind.union_type.variants:
        if variant.simple == core.SimpleType.ERROR:
            return core.Literal(scalar=core.Scalar(union=core.Union(value=plain, type=variant)))
    return plain
