"""Array nodes: how many items there are, what each is given, and all their outputs together."""

from __future__ import annotations

import asyncio

from flyte_jupyter.engine import layout
from flyte_jupyter.engine.answers.files import LiteralFiles
from flyte_jupyter.engine.answers.places import Nodes, Place
from flyte_jupyter.engine.answers.runs import RunContext
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.core.state import Gathering, Mapped, Succeeded
from flyte_jupyter.idl import core, fitting, literals
from flyte_jupyter.idl.ids import AttemptId

READS = 64
"""How many items' outputs are read at once."""


class UnequalLengths(Exception):
    """The lists that are mapped over have not all the same length."""


def has_own_inputs(place: Place) -> bool:
    """Whether an item has a file of its own inputs; otherwise it finds its part of the array's by its index."""
    individual = place.node.array_node.data_mode == core.ArrayNode.INDIVIDUAL_INPUT_FILES
    return individual or place.plan.kind is not NodeKind.TASK


async def opened_lists(
    files: LiteralFiles, place: Place, inputs: core.LiteralMap
) -> core.LiteralMap:
    """The inputs of an array node, or of a branch, with what is offloaded read; itself when there is none."""
    whole = set(place.node.array_node.bound_inputs)
    closed = [
        name
        for name, literal in inputs.literals.items()
        if name not in whole and literal.HasField("offloaded_metadata")
    ]
    if not closed:
        return inputs
    found = core.LiteralMap()
    found.CopyFrom(inputs)
    for name in closed:
        found.literals[name].CopyFrom(await files.opened(inputs.literals[name]))
    return found


def size_of(place: Place, inputs: core.LiteralMap) -> int:
    """How many items an array node has (Flyte: one, when all of its inputs are bound). Raises `UnequalLengths`."""
    whole = set(place.node.array_node.bound_inputs)
    lengths = {
        name: len(literal.collection.literals)
        for name, literal in inputs.literals.items()
        if name not in whole and literal.HasField("collection")
    }
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in sorted(lengths.items()))
        raise UnequalLengths(f"lists that are mapped over together must be equally long: {told}")
    return next(iter(lengths.values()), 1)


def item_inputs(place: Place, inputs: core.LiteralMap) -> core.LiteralMap:
    """What one item is given, from the (opened) inputs of its array node. Raises `BindingError`."""
    index = place.index
    assert index is not None
    whole = set(place.node.array_node.bound_inputs)
    kinds = place.inputs.variables
    found = core.LiteralMap()
    for name, literal in inputs.literals.items():
        if name in whole or not literal.HasField("collection"):
            found.literals[name].CopyFrom(literal)
        elif index < len(literal.collection.literals):
            item = literal.collection.literals[index]
            fit = fitting.fitted(item, kinds[name].type) if name in kinds else item
            found.literals[name].CopyFrom(fit)
        else:
            raise literals.BindingError(f"{name}: the list has no element {index}")
    return found


async def gathered(
    files: LiteralFiles, run: RunContext, place: Place, nodes: Nodes
) -> core.LiteralMap:
    """The outputs of all items, a list for each variable, with None where an item failed. Raises `BindingError`."""
    state = nodes[place.path]
    assert isinstance(state, Mapped | Gathering), state
    names = sorted(place.template.item_outputs_of(place.name).variables)
    together = core.LiteralMap()
    lists = [together.literals[name].collection for name in names]
    for first in range(0, state.size if names else 0, READS):
        part = range(first, min(first + READS, state.size))
        outputs = await asyncio.gather(*(_outputs(files, run, place, i, nodes) for i in part))
        for index, given in zip(part, outputs, strict=True):
            for name, collection in zip(names, lists, strict=True):
                if given is None:
                    collection.literals.append(literals.none())
                elif name in given.literals:
                    collection.literals.append(given.literals[name])
                else:
                    raise literals.BindingError(f"item {index} gave no {name!r}")
    for name, collection in zip(names, lists, strict=True):
        if not collection.literals:
            together.literals[name].collection.SetInParent()
    return together


async def _outputs(
    files: LiteralFiles, run: RunContext, place: Place, index: int, nodes: Nodes
) -> core.LiteralMap | None:
    path = (*place.path, index)
    state = nodes.get(path)
    if not isinstance(state, Succeeded):
        return None
    root = files.blobs.root
    uri = state.outputs or layout.outputs_uri(root, AttemptId(run.id, path, state.attempt))
    return await files.read(uri, keep=False)
