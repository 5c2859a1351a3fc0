"""Small plans to try the machine on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flyte_jupyter.engine.core.plan import (
    END,
    START,
    NodeKind,
    NodePlan,
    OnFailure,
    Plan,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(seconds: float) -> datetime:
    return NOON + seconds * SECOND


def task(name: str, *upstream: str, **policies) -> NodePlan:
    return NodePlan(name, NodeKind.TASK, upstream or (START,), **policies)


def graph(*tasks: NodePlan, on_failure: OnFailure = OnFailure.FAIL_FAST) -> Plan:
    leaves = {t.id for t in tasks} - {parent for t in tasks for parent in t.upstream}
    ends = tuple(sorted(leaves)) or (START,)
    nodes = [NodePlan(START, NodeKind.START), *tasks, NodePlan(END, NodeKind.END, ends)]
    return Plan("plan", {n.id: n for n in nodes}, on_failure)


def chain(length: int, **policies) -> Plan:
    return graph(*(task(f"n{i}", *([f"n{i - 1}"] if i else []), **policies) for i in range(length)))


def fan(width: int, **policies) -> Plan:
    return graph(*(task(f"n{i}", **policies) for i in range(width)))
