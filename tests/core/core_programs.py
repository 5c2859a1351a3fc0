"""Random programs of all kinds of nodes, each the same for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from core_plans import SECOND

from flyte_jupyter.engine.core.plan import (
    END,
    START,
    ArrayPlan,
    CachePlan,
    GatePlan,
    NodeKind,
    NodePlan,
    OnFailure,
    Plan,
    Plans,
)

SIGNALS = ("ready?", "sure?")
DYNAMIC = "dynamic"
COMPOSITES = (NodeKind.WORKFLOW, NodeKind.BRANCH)
KINDS = {
    NodeKind.TASK: 6,
    NodeKind.LAUNCH_PLAN: 2,
    NodeKind.ARRAY: 3,
    NodeKind.GATE: 2,
    NodeKind.WORKFLOW: 2,
    NodeKind.BRANCH: 2,
}


@dataclass
class Author:
    """Draws the nodes of one program. With `timed`, nodes have time limits."""

    random: random.Random
    timed: bool
    left: int
    """How many more nodes the program may have."""
    expansions: dict[str, Plan] = field(default_factory=dict)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def graph(self, depth: int, digest: str = "plan", most: int = 4) -> Plan:
        nodes: list[NodePlan] = []
        for i in range(self.random.randint(1, most)):
            if nodes and self.left <= 0:
                break
            earlier = [n.id for n in nodes]
            upstream = self.random.sample(earlier, self.random.randint(0, min(2, len(earlier))))
            nodes.append(self.node(f"n{i}", depth, tuple(upstream) or (START,)))
        leaves = {n.id for n in nodes} - {parent for n in nodes for parent in n.upstream}
        handler = self.node("fn0", 0, ()) if self.chance(0.25) else None
        every = [
            NodePlan(START, NodeKind.START),
            *nodes,
            NodePlan(END, NodeKind.END, tuple(sorted(leaves))),
        ]
        return Plan(
            digest,
            {n.id: n for n in every},
            self.random.choice(list(OnFailure)),
            template=digest,
            failure_node=handler,
        )  # fmt: skip

    def node(self, name: str, depth: int, upstream: tuple[str, ...]) -> NodePlan:
        self.left -= 1
        kinds = [k for k in KINDS if depth > 0 or k not in COMPOSITES]
        kind = self.random.choices(kinds, [KINDS[k] for k in kinds])[0]
        slow = 30 * SECOND if self.timed and self.chance(0.2) else None
        match kind:
            case NodeKind.WORKFLOW:
                inside = self.graph(depth - 1, f"body of {name}", 3)
                again = int(slow is not None)
                return NodePlan(name, kind, upstream, retries=again, body=inside, timeout=slow)
            case NodeKind.BRANCH:
                arms = [self.node(f"{name}-n{i}", depth - 1, ()) for i in range(2)]
                inside = Plan(f"arms of {name}", {arm.id: arm for arm in arms}, template="arms")
                once, again = slow and slow / 2, int(slow is not None)
                return NodePlan(
                    name,
                    kind,
                    upstream,
                    retries=again,
                    timeout=once,
                    node_timeout=slow,
                    body=inside,
                )
            case NodeKind.ARRAY:
                item = self.leaf(name, self.some_leaf(), ())
                return NodePlan(
                    name, kind, upstream, item=item, array=self.array(), node_timeout=slow
                )
            case NodeKind.GATE:
                signal = self.random.choice(SIGNALS)
                gate = GatePlan(sleep=7 * SECOND) if self.chance(0.4) else GatePlan(signal)
                return NodePlan(name, kind, upstream, gate=gate, timeout=slow)
        return self.leaf(name, kind, upstream)

    def some_leaf(self) -> NodeKind:
        return NodeKind.LAUNCH_PLAN if self.chance(0.2) else NodeKind.TASK

    def leaf(self, name: str, kind: NodeKind, upstream: tuple[str, ...]) -> NodePlan:
        dynamic = kind is NodeKind.TASK and self.expansions and self.chance(0.3)
        return NodePlan(
            name,
            kind,
            upstream,
            retries=self.random.choice([0, 0, 1, 2]),
            system_retries=self.random.randint(1, 3),
            backoff=self.random.choice([0, 5]) * SECOND,
            system_backoff=self.random.choice([0, 3]) * SECOND,
            timeout=20 * SECOND if self.timed and self.chance(0.3) else None,
            node_timeout=60 * SECOND if self.timed and self.chance(0.2) else None,
            queueing=15 * SECOND if self.timed and self.chance(0.2) else None,
            cache=CachePlan("1", serialize=self.chance(0.5)) if self.chance(0.3) else None,
            task_type=DYNAMIC if dynamic else "python-task",
            task_name=self.random.choice(list(self.expansions)) if dynamic else f"my.{name}",
        )

    def array(self) -> ArrayPlan:
        return ArrayPlan(
            concurrency=self.random.choice([None, 0, 1, 2]),
            min_successes=self.random.choice([*[None] * 5, 0, 1, 2]),
            min_success_ratio=self.random.choice([None, 0.0, 0.5, 0.7]),
        )


def program(seed: int, *, timed: bool = True) -> Plans:
    """A program: its graph, and the graphs that its dynamic tasks may leave."""
    author = Author(random.Random(f"program {seed}"), timed, 6)
    if author.chance(0.7):
        # The second one may hold dynamic tasks that leave the first one.
        for digest in ("E0", "E1"):
            author.expansions[digest] = author.graph(1, digest, 2)
    author.left = 14
    return Plans(author.graph(2, most=6), author.expansions)
