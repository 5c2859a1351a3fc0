"""Rows of what stands around other nodes or waits: sub-workflows, branches, array nodes, gates; and of every node's inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flyte_jupyter.engine.core import attempts, policy
from flyte_jupyter.engine.core.actions import Action, Gather, OpenGate
from flyte_jupyter.engine.core.observations import (
    AboutNode,
    BranchChosen,
    Expanded,
    GateOpened,
    GateRefused,
    Gathered,
    InputsReady,
    InputsUnresolvable,
    ItemsReady,
    Recovered,
)
from flyte_jupyter.engine.core.plan import NodeKind
from flyte_jupyter.engine.core.rows import At, Inside, Next, Row
from flyte_jupyter.engine.core.state import (
    BackingOff,
    Failed,
    Gathering,
    Mapped,
    Nested,
    NodeState,
    Resolving,
    Succeeded,
    Waiting,
)


def inputs_ready(at: At, state: Resolving, seen: InputsReady) -> Next:
    """Bound: what comes next is the kind's affair."""
    row = _BOUND.get(at.node.kind)
    return misplaced(at, state, seen) if row is None else row(at, state, seen)


def misplaced(at: At, _state: Resolving, seen: AboutNode) -> Next:
    """An answer that does not fit the node's kind. Waiting for a better one might be for ever."""
    what = (
        f"its inputs were answered by {type(seen).__name__}, which a {at.node.kind} node cannot use"
    )
    return Next(Failed(policy.no_graph(at.node, what)))


def end_ready(_at: At, _: Resolving, seen: InputsReady) -> Next:
    """An end node's inputs are its graph's outputs."""
    return Next(Succeeded(seen.outputs, cache=seen.cache))


def inputs_unresolvable(_at: At, _: Resolving, seen: InputsUnresolvable) -> Next:
    """No attempt can mend what the upstream nodes gave."""
    return Next(Failed(seen.why))


def recovered(_at: At, _: Resolving, seen: Recovered) -> Next:
    """An earlier execution has done it."""
    return Next(
        Succeeded(
            seen.outputs, deck=seen.deck, cache=seen.cache, recovered=seen.source, child=seen.child
        )
    )


def nested(at: At, _: Resolving, seen: InputsReady) -> Next:
    """A sub-workflow begins."""
    return Next(Nested(at.first, seen.digest, at.now), inside=Inside())


def chosen(at: At, state: Resolving, seen: BranchChosen) -> Next:
    """The arm that was taken begins."""
    if at.node.kind is not NodeKind.BRANCH:
        return misplaced(at, state, seen)
    begun = Nested(at.first, seen.digest, at.now)
    return Next(begun, inside=Inside(arm=seen.arm))


def begun_again(at: At, state: BackingOff, arm: str) -> Next:
    """Its last attempt ran out of time: what stands inside begins anew, in a graph of its own."""
    begun = Nested(state.tries, state.digest, at.now)
    return Next(begun, inside=Inside(arm=arm))


def expanded_before(at: At, state: Resolving, seen: Expanded) -> Next:
    """An earlier execution has made the graph: no attempt is needed for it."""
    if at.node.kind is not NodeKind.TASK:
        return misplaced(at, state, seen)
    begun = Nested(at.first, seen.digest, at.now)
    return Next(begun, inside=Inside(plan=seen.plan))


def items_ready(at: At, state: Resolving, seen: ItemsReady) -> Next:
    """There are so many items; they take turns with everything else that waits."""
    if at.node.kind is not NodeKind.ARRAY:
        return misplaced(at, state, seen)
    if seen.size < at.node.array.least(seen.size):
        return Next(Failed(policy.too_few(at.node, seen.size, ())))
    if not seen.size:
        return gather(at, Mapped(seen.digest, at.now, 0))
    return Next(Mapped(seen.digest, at.now, seen.size))


def gather(at: At, state: Mapped) -> Next:
    """All items have ended well enough."""
    reading = Gathering(state.digest, state.since, state.size, state.failed)
    return Next(reading, (Gather(at.path),))


def gathered(_at: At, _: Gathering, seen: Gathered) -> Next:
    """The items' outputs stand together."""
    return Next(Succeeded(seen.outputs))


def waiting(at: At, _: Resolving, seen: InputsReady) -> Next:
    """A gate closes: until its time, or until somebody answers."""
    limit = policy.patience(at.node)
    deadline = None if limit is None else at.now + limit
    sleep = at.node.gate.sleep
    if sleep is not None:
        return Next(Waiting(seen.digest, at.now, at.now + sleep, deadline))
    ask: tuple[Action, ...] = (OpenGate(at.path),)
    return Next(Waiting(seen.digest, at.now, None, deadline), ask)


def slept(_at: At, _: Waiting) -> Next:
    """A gate's time has come."""
    return Next(Succeeded(""))


def opened(_at: At, _: Waiting, seen: GateOpened) -> Next:
    """The answer is there."""
    return Next(Succeeded(seen.outputs))


def refused(_at: At, _: Waiting, seen: GateRefused) -> Next:
    """The answer is no, and asking again would not change it."""
    return Next(Failed(seen.why))


_BOUND: Mapping[NodeKind, Callable[[At, Resolving, InputsReady], Next]] = {
    NodeKind.TASK: attempts.inputs_ready,
    NodeKind.LAUNCH_PLAN: attempts.inputs_ready,
    NodeKind.END: end_ready,
    NodeKind.WORKFLOW: nested,
    NodeKind.GATE: waiting,
}

ROWS: Mapping[tuple[type[NodeState], type[AboutNode]], Row] = {
    (Resolving, InputsReady): inputs_ready,
    (Resolving, InputsUnresolvable): inputs_unresolvable,
    (Resolving, ItemsReady): items_ready,
    (Resolving, BranchChosen): chosen,
    (Resolving, Recovered): recovered,
    (Resolving, Expanded): expanded_before,
    (Gathering, Gathered): gathered,
    (Gathering, InputsUnresolvable): inputs_unresolvable,
    (Waiting, GateOpened): opened,
    (Waiting, GateRefused): refused,
}
