"""What a program's nodes come to, said a second time and much more simply: no time, no turns, no faults, only outcomes."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from core_programs import DYNAMIC
from core_world import World

from flyte_jupyter.engine.core.plan import END, NodeKind, NodePlan, OnFailure, Plan
from flyte_jupyter.engine.core.scopes import graph_at, node_at
from flyte_jupyter.engine.core.state import Blame, Failure
from flyte_jupyter.idl.ids import Path

OK, BAD, SKIPPED = "succeeded", "failed", "skipped"


class Model:
    """The fate of every node if each ran that may; under fail-fast some of them may have been stopped instead."""

    def __init__(self, world: World):
        self.world = world
        self.fates: dict[Path, str] = {}
        self.run = self.graph((), world.plans.root)

    def graph(self, scope: Path, graph: Plan) -> str:
        fates: dict[str, str] = {}
        while len(fates) < len(graph.nodes):
            for name, node in graph.nodes.items():
                if name in fates or not set(node.upstream) <= set(fates):
                    continue
                able = all(fates[parent] == OK for parent in node.upstream)
                fates[name] = self.node((*scope, name), node) if able else SKIPPED
        for name, fate in fates.items():
            self.fates[*scope, name] = fate
        if BAD not in fates.values():
            return OK
        if graph.failure_node is not None:
            handler = (*scope, graph.failure_node.id)
            self.fates[handler] = self.node(handler, graph.failure_node)
        return BAD

    def node(self, path: Path, node: NodePlan) -> str:
        world, fortune = self.world, self.world.fortune
        if node.kind is NodeKind.START:
            return OK
        if not fortune.binds(path):
            return BAD
        match node.kind:
            case NodeKind.END:
                return OK
            case NodeKind.WORKFLOW:
                return self.graph((*path, 0), node.body)
            case NodeKind.BRANCH:
                arm = fortune.arm(path, node)
                for name in node.body.nodes:
                    self.fates[*path, 0, name] = SKIPPED
                fate = self.node((*path, 0, arm), node.body.nodes[arm])
                self.fates[*path, 0, arm] = fate
                return fate
            case NodeKind.GATE:
                return OK if node.gate.sleep or fortune.answer(node.gate.signal) else BAD
            case NodeKind.ARRAY:
                return self.array(path, node)
        if node.cache is not None and not world.state.summary.overwrite_cache and fortune.hit(path):
            return OK
        return self.attempts(path, node)

    def array(self, path: Path, node: NodePlan) -> str:
        size = self.world.fortune.size(path)
        for index in range(size):
            self.fates[*path, index] = self.node((*path, index), node.item)
        done = sum(self.fates[*path, index] == OK for index in range(size))
        wanted = node.array.min_successes
        if wanted is None and node.array.min_success_ratio is not None:
            wanted = ceil(Fraction(node.array.min_success_ratio).limit_denominator(10_000) * size)
        return OK if done >= (size if wanted is None else wanted) else BAD

    def attempts(self, path: Path, node: NodePlan) -> str:
        """Two purses: the user's attempts and the system's. Who fails for good, or with an empty purse, has failed."""
        fortune = self.world.fortune
        purses = {Blame.USER: node.retries, Blame.SYSTEM: node.system_retries}
        attempt = 0
        while True:
            why: Failure | None = fortune.outcome(path, attempt)
            if why is None and not (
                node.task_type == DYNAMIC and fortune.leaves_graph(path, attempt)
            ):
                return OK
            if why is None:
                # Its graph's nodes have had retries of their own.
                graph = self.world.plans.expansions[node.task_name]
                return self.graph((*path, attempt), graph)
            if not why.retryable or not purses[why.blame]:
                return BAD
            purses[why.blame] -= 1
            attempt += 1

    def compare(self) -> None:
        """The run ended as its outcomes say, and no node came to anything else."""
        summary, nodes = self.world.state.summary, self.world.state.nodes
        assert summary.phase.value == self.run
        for path, fate in self.fates.items():
            state = nodes.get(path)
            came_to = None if state is None else type(state).__name__.lower()
            possible = {fate}
            if self.may_stop(path):
                possible |= {None, "aborted"}
            assert came_to in possible, (path, came_to, fate)
        if self.run == BAD:
            assert self.fates[summary.failed_node,] == BAD
            handler = self.world.plans.root.failure_node
            if handler is not None and self.fates[handler.id,] == BAD:
                assert summary.failed_node == handler.id, "its error masks the first"
        else:
            assert nodes[END,].outputs == summary.outputs == "end"

    def may_stop(self, path: Path) -> bool:
        """Whether the node stands somewhere where a failure stops the others."""
        for end in range(len(path) - 1, -1, -1):
            scope = path[:end]
            array = node_at(self.world.plans, self.world.state.nodes, scope) if scope else None
            if array is not None and array.kind is NodeKind.ARRAY:
                if self.fates.get(scope) == BAD:
                    return True
                continue
            graph = graph_at(self.world.plans, self.world.state.nodes, scope)
            if graph is None:
                if self.fates.get(scope) is not None:
                    continue
                return True
            bad = [n for n in graph.nodes if self.fates.get((*scope, n)) == BAD]
            if graph.on_failure is OnFailure.FAIL_FAST and bad:
                return True
        return False
