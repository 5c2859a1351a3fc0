"""Where the nodes of a graph go on a page: layers by longest path, order by barycentre.

Enough for a picture of some hundred nodes; the live view in JupyterLab has its own layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 4


@dataclass(frozen=True)
class Point:
    """A place in the grid: ``layer`` from the top, ``x`` in widths of a node from the left."""

    layer: int
    x: float


def place(upstream: Mapping[str, Sequence[str]]) -> dict[str, Point]:
    """A place for every node.

    Args:
        upstream: for each node the nodes before it; names that are not keys are ignored, and so
            are edges that would close a circle.
    """
    layers = _layers(upstream)
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for node, layer in layers.items():
        rows[layer].append(node)
    parents = {node: [p for p in upstream[node] if p in layers] for node in upstream}
    children: dict[str, list[str]] = {node: [] for node in upstream}
    for node, before in parents.items():
        for parent in before:
            children[parent].append(node)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            _order(row, rows, parents if downwards else children)
    widest = max(map(len, rows), default=0)
    return {
        node: Point(layer, index + (widest - len(row)) / 2)
        for layer, row in enumerate(rows)
        for index, node in enumerate(row)
    }


def without_implied(upstream: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The edges that say something new: those that a longer way says already are left out."""
    return {
        node: tuple(p for p in before if not _reached(upstream, before, p))
        for node, before in upstream.items()
    }


def _reached(upstream: Mapping[str, Sequence[str]], starts: Sequence[str], wanted: str) -> bool:
    """Whether ``wanted`` lies before one of the other ``starts``."""
    waiting = [start for start in starts if start != wanted]
    seen = set(waiting)
    while waiting:
        for parent in upstream.get(waiting.pop(), ()):
            if parent == wanted:
                return True
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return False


def _layers(upstream: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Each node one layer below the lowest of those before it."""
    layers: dict[str, int] = {}
    for start in upstream:
        stack = [start]
        open_nodes: set[str] = set()
        while stack:
            node = stack[-1]
            open_nodes.add(node)
            missing = [
                p for p in upstream[node]
                if p in upstream and p not in layers and p not in open_nodes
            ]  # fmt: skip
            if missing and node not in layers:
                stack.extend(missing)
                continue
            stack.pop()
            open_nodes.discard(node)
            above = [layers[p] for p in upstream[node] if p in layers]
            layers.setdefault(node, max(above, default=-1) + 1)
    return {node: layers[node] for node in upstream}


def _order(row: list[str], rows: list[list[str]], neighbours: Mapping[str, Sequence[str]]) -> None:
    """Sort a row by the mean position of its nodes' neighbours; nodes without any stay put."""
    position = {
        node: index - (len(other) - 1) / 2 for other in rows for index, node in enumerate(other)
    }
    weights = {}
    for node in row:
        near = [position[n] for n in neighbours[node]]
        weights[node] = sum(near) / len(near) if near else position[node]
    row.sort(key=lambda node: weights[node])
