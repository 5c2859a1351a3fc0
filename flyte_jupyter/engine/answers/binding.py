"""A node's inputs, made from what it is bound to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from flyte_jupyter.engine.answers.alike import Bound, Input, Source, Wiring, wired
from flyte_jupyter.engine.answers.files import LiteralFiles
from flyte_jupyter.engine.answers.places import Nodes, Place, failure_of, outputs_at, visible_scope
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.core.state import RunState
from flyte_jupyter.idl import core, fitting, literals, types
from flyte_jupyter.idl.ids import Path

ERROR_INPUT = "err"
"""The input of an on-failure node that is told what failed (Flyte: ``nodes/resolve.go``)."""

_MANY = 64
"""From so many nodes on that a node takes from they are read at once."""


async def bound_inputs(
    files: LiteralFiles, run: RunContext, place: Place, state: RunState
) -> Bound:
    """All inputs of a node. Raises `BindingError` naming the one that cannot be made, and why."""
    nodes = state.nodes
    if place.plan.kind is NodeKind.TASK:
        wiring = run.alike.wiring(place.node, place.called)
    else:
        kinds = place.inputs.variables
        wiring = wired(place.node, {var: each.type for var, each in kinds.items()})
    scope = visible_scope(run, place.path, nodes)
    shared = wiring.shared and not place.is_failure_node
    if shared and wiring.made is not None and _is_given(files, run, wiring, scope, nodes):
        return wiring.made
    given, sources = await _sources(files, run, wiring, scope, nodes)
    bound = core.LiteralMap()
    for each in wiring.inputs:
        bound.literals[each.var].CopyFrom(_made(each, sources))
    if place.is_failure_node and ERROR_INPUT in place.inputs.variables:
        kind = place.inputs.variables[ERROR_INPUT].type
        bound.literals[ERROR_INPUT].CopyFrom(_error(state, place.path[:-1], kind))
    made = Bound(bound)
    if shared:
        _remember(wiring, made, [given[node] for node in wiring.nodes])
    return made


def _remember(wiring: Wiring, made: Bound, given: Sequence[core.LiteralMap]) -> None:
    """Keep a node's inputs for the next one like it, unless they or what they were made from is large."""
    size = len(made.data) + sum([each.ByteSize() for each in given])
    if size <= literals.MOST_CARRIED:
        wiring.made, wiring.given = made, given
    else:
        wiring.made, wiring.given = None, ()


def _is_given(
    files: LiteralFiles, run: RunContext, wiring: Wiring, scope: Path, nodes: Nodes
) -> bool:
    """Whether all that a node takes from gave just what the last node like it was given."""
    for node, before in zip(wiring.nodes, wiring.given, strict=True):
        try:
            uri = outputs_at(files.blobs.root, run, (*scope, node), nodes)
        except literals.BindingError:
            return False
        if files.known(uri) is not before:
            return False
    return True


def _made(of: Input, sources: dict[Source, core.Literal]) -> core.Literal:
    """One input, of the type that is asked for."""
    if of.plain:
        made = sources[of.sources[0]]
    else:
        try:
            made = literals.resolve_binding(
                of.binding, lambda node, var, path: sources[node, var, path]
            )
        except literals.BindingError as error:
            raise literals.BindingError(f"{of.var}: {error}") from error
    if of.kind is None:
        return made
    if not _is_whole_list(of, made):
        made = fitting.fitted(made, of.kind)
    known = of.kind.WhichOneof("type") is not None
    if known and (why := types.mismatch(made, of.kind)):
        raise literals.BindingError(f"{of.var}: {why}")
    return made


def _is_whole_list(of: Input, made: core.Literal) -> bool:
    """Whether it is a list or dict just as a node gave it: maybe long, and of its type already."""
    return of.plain and not of.sources[0][2] and made.WhichOneof("value") in ("collection", "map")


async def _sources(
    files: LiteralFiles, run: RunContext, wiring: Wiring, scope: Path, nodes: Nodes
) -> tuple[dict[str, core.LiteralMap], dict[Source, core.Literal]]:
    """What the nodes gave that a node takes from, and what each promise in its bindings stands for."""
    many = len(wiring.nodes) >= _MANY
    given = await _read_ahead(files, run, wiring, scope, nodes) if many else {}
    found: dict[Source, core.Literal] = {}
    for each in wiring.inputs:
        for source in each.sources:
            if source in found:
                continue
            node, var, path = source
            try:
                if node not in given:
                    uri = outputs_at(files.blobs.root, run, (*scope, node), nodes)
                    given[node] = await files.read(uri, run.literals) if uri else core.LiteralMap()
                literal = _output(given[node], node, var)
                found[source] = await files.part(literal, path) if path else literal
            except literals.BindingError as error:
                raise literals.BindingError(f"{each.var}: {error}") from error
    return given, found


def _output(given: core.LiteralMap, node: str, var: str) -> core.Literal:
    if var not in given.literals:
        raise literals.BindingError(f"node {node} gave no {var!r}")
    return given.literals[var]


async def _read_ahead(
    files: LiteralFiles, run: RunContext, wiring: Wiring, scope: Path, nodes: Nodes
) -> dict[str, core.LiteralMap]:
    """What many nodes gave, read together: the end of a wide graph would read them one by one."""
    uris: dict[str, str] = {}
    for node in wiring.nodes:
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
