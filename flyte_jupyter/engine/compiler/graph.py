"""The shape of a workflow: who waits for whom, and what can never run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Upstream = Mapping[str, Iterable[str]]


def downstream_of(upstream: Upstream) -> dict[str, list[str]]:
    """The same edges the other way round, with an entry for every node; edges to strangers left out."""
    downstream: dict[str, list[str]] = {node: [] for node in upstream}
    for node, parents in upstream.items():
        for parent in parents:
            if parent in downstream:
                downstream[parent].append(node)
    return downstream


def never_runnable(upstream: Upstream) -> set[str]:
    """The nodes that wait for themselves, and all that wait for those."""
    downstream = downstream_of(upstream)
    waiting = {node: sum(p in downstream for p in parents) for node, parents in upstream.items()}
    free = [node for node, count in waiting.items() if count == 0]
    while free:
        for child in downstream[free.pop()]:
            waiting[child] -= 1
            if waiting[child] == 0:
                free.append(child)
    return {node for node, count in waiting.items() if count}


def cycles(upstream: Upstream, among: set[str]) -> list[list[str]]:
    """Disjoint cycles among the nodes that can never run, each in the order in which data flows.

    Every node of `among` is on one of them or waits for one.
    """
    found: list[list[str]] = []
    settled: set[str] = set()
    for start in sorted(among):
        trail: dict[str, None] = {}
        node = start
        while node not in settled and node not in trail:
            trail[node] = None
            node = next(parent for parent in sorted(set(upstream[node])) if parent in among)
        if node in trail:
            walked = list(trail)
            cycle = walked[walked.index(node) :][::-1]
            first = cycle.index(min(cycle))
            found.append(cycle[first:] + cycle[:first])
        settled.update(trail)
    return found
