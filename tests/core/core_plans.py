"""Plans to try the machine on, small and random."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from flyte_jupyter.engine.core.plan import (
    END,
    START,
    CachePlan,
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


@st.composite
def plans(draw: st.DrawFn, most: int = 7) -> Plan:
    tasks = []
    for i in range(draw(st.integers(1, most))):
        earlier = [t.id for t in tasks]
        upstream = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        tasks.append(
            task(
                f"n{i}",
                *upstream,
                retries=draw(st.integers(0, 2)),
                system_retries=draw(st.integers(0, 3)),
                backoff=draw(st.sampled_from([0, 5])) * SECOND,
                timeout=draw(st.sampled_from([None, 20 * SECOND])),
                cache=draw(st.sampled_from([None, CachePlan("1")])),
            )
        )
    return graph(*tasks, on_failure=draw(st.sampled_from(list(OnFailure))))
