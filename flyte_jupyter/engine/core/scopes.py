"""Places: which node, graph and state a path names.

The outermost graph's scope is ``()``. A node of any scope stands at ``(*scope, name)``, the scope inside a composite at
``(*path, attempt)``, an item of an array node at ``(*path, index)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flyte_jupyter.engine.core.plan import NodePlan, Plan, Plans
from flyte_jupyter.engine.core.state import Blocked, Kept, Mapped, Nested, Scope
from flyte_jupyter.idl.ids import Path

ROOT: Path = ()
"""The scope of the outermost graph. Its counters stand in the run's summary."""
PENDING = Blocked(0)
"""An item that has not begun."""


def plans_of(plans: Plans | Plan) -> Plans:
    """A run's graphs; a plan alone is a run without expansions."""
    return plans if isinstance(plans, Plans) else Plans(plans)


def owner_of(path: Path) -> Path | None:
    """The node that this one stands inside of: an item's array node, a nested node's composite; None in the outermost graph."""
    if len(path) == 1:
        return None
    return path[:-1] if isinstance(path[-1], int) else path[:-2]


class Walk:
    """Finds nodes by their paths, and remembers the graphs that it has been through.

    `find` gives what stands at a path. A walk is good for as long as no scope goes away, and scopes never do.
    """

    __slots__ = ("_find", "_graphs", "plans")

    def __init__(self, plans: Plans, find: Callable[[Path], Kept | None]) -> None:
        self.plans = plans
        self._find = find
        self._graphs: dict[Path, Plan] = {ROOT: plans.root}

    def graph(self, scope: Path) -> Plan | None:
        """The graph that runs in this scope; None when there is no such scope."""
        found = self._graphs.get(scope)
        if found is None:
            found = self._enter(scope)
            if found is not None:
                self._graphs[scope] = found
        return found

    def node(self, path: Path) -> NodePlan | None:
        """The plan's node at this place; None when there is none, or its scope was never entered."""
        last = path[-1] if path else None
        if isinstance(last, str):
            scope = path[:-1]
            graph = self._graphs.get(scope) or self.graph(scope)
            return None if graph is None else graph.nodes.get(last) or graph.node(last)
        array = self.node(path[:-1]) if path else None
        return None if array is None else array.item

    def _enter(self, scope: Path) -> Plan | None:
        record = self._find(scope)
        if not isinstance(record, Scope):
            return None
        if record.plan:
            return self.plans.expansions.get(record.plan)
        owner = self.node(scope[:-1])
        return None if owner is None else owner.body


def node_at(plans: Plans | Plan, nodes: Mapping[Path, Kept], path: Path) -> NodePlan | None:
    """The plan's node at this place; None when there is none, or its scope was never entered."""
    plans = plans_of(plans)
    if len(path) == 1 and isinstance(path[0], str):
        return plans.root.node(path[0])
    return Walk(plans, nodes.get).node(path)


def graph_at(plans: Plans | Plan, nodes: Mapping[Path, Kept], scope: Path) -> Plan | None:
    """The graph that runs in this scope, ``()`` being the outermost; None when it was never entered."""
    return Walk(plans_of(plans), nodes.get).graph(scope)


def state_at(plans: Plans | Plan, nodes: Mapping[Path, Kept], path: Path) -> Kept | None:
    """What stands at this place, also where nothing has happened yet; None when there is no such place."""
    kept = nodes.get(path)
    return kept if kept is not None else untouched(Walk(plans_of(plans), nodes.get), nodes, path)


def untouched(walk: Walk, nodes: Mapping[Path, Kept], path: Path) -> Blocked | None:
    """The state of a node that has none in the map: as in the beginning, if its graph or array is open."""
    node = walk.node(path)
    if node is None:
        return None
    if isinstance(path[-1], int):
        array = nodes.get(path[:-1])
        begins = isinstance(array, Mapped) and path[-1] < array.size
        return PENDING if begins else None
    owner = nodes.get(path[:-2]) if len(path) > 1 else None
    if len(path) > 1 and not (isinstance(owner, Nested) and owner.tries.attempt == path[-2]):
        return None
    return Blocked(len(node.upstream))
