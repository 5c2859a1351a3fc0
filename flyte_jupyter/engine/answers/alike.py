"""What nodes that are written alike have in common, worked out once for all of them: a wide graph has thousands of such."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from flyte_jupyter.engine.compiler.interfaces import promises
from flyte_jupyter.engine.core.plan import CachePlan
from flyte_jupyter.engine.program import Template
from flyte_jupyter.idl import core, digests, literals

MOST = 256
"""How many kinds of nodes are remembered."""
_FEW = 16
"""A node that takes from more others than these has hardly any like it."""

Source = tuple[str, str, literals.AttributePath]
"""What a promise names: a node, its output, and a place inside that."""
_Key = tuple[str, str, bytes]
_NOTHING: Sequence[Source] = ()
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Called:
    """A task as some nodes, or the items of an array node, call it."""

    task: core.TaskTemplate
    asked: core.TaskTemplate
    """With the node's overrides."""
    takes: Mapping[str, core.LiteralType]
    gives: tuple[tuple[str, core.LiteralType], ...]
    """What it must give, by name."""
    key: _Key
    """What tells it from others."""
    carried: bool | None = None
    """Whether its executor carries its inputs; None: it has not been asked."""
    env: dict[str, str] | None = None
    """The environment of its attempts, but for what is each one's own."""


@dataclass(slots=True)
class Input:
    """What one input is made of."""

    var: str
    binding: core.BindingData
    sources: Sequence[Source]
    """All that it takes from other nodes."""
    plain: bool
    """Whether it is one output of a node, or a part of that, as it is."""
    kind: core.LiteralType | None
    """None: nobody says."""


class Bound:
    """A node's inputs. Nobody changes them any more, so many nodes may have the same."""

    __slots__ = ("_cache", "_data", "_digest", "inputs")

    def __init__(self, inputs: core.LiteralMap) -> None:
        self.inputs = inputs
        self._data: bytes | None = None
        self._cache: CachePlan | None = None
        self._digest = ""

    @property
    def data(self) -> bytes:
        """The inputs as they are written."""
        if self._data is None:
            self._data = self.inputs.SerializeToString(deterministic=True)
        return self._data

    def digest(self, cache: CachePlan | None) -> str:
        """What names their content, for a node that is cached so."""
        if not self._digest or cache != self._cache:
            ignored = cache.ignored_inputs if cache is not None else ()
            self._digest, self._cache = digests.literals_digest(self.inputs, ignored), cache
        return self._digest


@dataclass(slots=True)
class Wiring:
    """What the inputs of a node, or of many, are bound to."""

    inputs: Sequence[Input]
    nodes: tuple[str, ...]
    """Those that it takes from."""
    shared: bool = False
    """Whether there may be other nodes like this."""
    given: Sequence[core.LiteralMap] = ()
    made: Bound | None = None
    """What the last one's inputs were, and what its `nodes` had given."""


@dataclass(slots=True)
class Alike:
    """The kinds of nodes of one run, the latest of them."""

    _called: OrderedDict[_Key, Called] = field(default_factory=OrderedDict)
    _wirings: OrderedDict[tuple[_Key, tuple[bytes, ...]], Wiring] = field(
        default_factory=OrderedDict
    )

    def called(self, template: Template, name: str, *, item: bool) -> Called:
        """The task that a node runs, or an array node for each element."""
        call = b"" if item else template.nodes[name].task_node.SerializeToString()
        key = (template.key, name if item else "", call)
        found = self._called.get(key)
        if found is None:
            found = _remember(self._called, key, _called(template, name, key, item=item))
        return found

    def wiring(self, node: core.Node, called: Called) -> Wiring:
        """What the inputs of a node that calls a task are bound to."""
        key = called.key, tuple([each.SerializeToString() for each in node.inputs])
        found = self._wirings.get(key)
        if found is None:
            found = wired(node, called.takes)
            if len(found.nodes) <= _FEW:
                found.shared = True
                _remember(self._wirings, key, found)
        return found


def _remember(known: OrderedDict[K, V], key: K, made: V) -> V:
    if len(known) >= MOST:
        known.popitem(last=False)
    known[key] = made
    return made


def _called(template: Template, name: str, key: _Key, *, item: bool) -> Called:
    task, asked = template.task(name), template.asked_of(name)
    assert task is not None, f"{name} runs no task"
    assert asked is not None, f"{name} runs no task"
    inputs = template.item_inputs_of(name) if item else template.inputs_of(name)
    outputs = template.item_outputs_of(name) if item else template.outputs_of(name)
    takes = {var: each.type for var, each in inputs.variables.items()}
    gives = tuple((var, outputs.variables[var].type) for var in sorted(outputs.variables))
    return Called(task, asked, takes, gives, key)


def wired(node: core.Node, kinds: Mapping[str, core.LiteralType]) -> Wiring:
    """What the inputs of any node are bound to, of these types."""
    inputs = [_input(each, kinds) for each in node.inputs]
    nodes = {source[0]: None for each in inputs for source in each.sources}
    return Wiring(inputs, tuple(nodes))


def _input(of: core.Binding, kinds: Mapping[str, core.LiteralType]) -> Input:
    var, binding = of.var, of.binding
    which, sources = binding.WhichOneof("value"), _NOTHING
    if which != "scalar":
        sources = [
            (each.node_id, each.var, literals.attribute_path(each)) for each in promises(binding)
        ]
    return Input(var, binding, sources, which == "promise", kinds.get(var))
