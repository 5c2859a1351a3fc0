"""The static picture of an execution, readable on light and on dark pages.

Phases are told by shape and word, not by colour alone. The picture holds no script and no link.
"""

from __future__ import annotations

from html import escape

from flyte_jupyter.kernel.notebook.layout import Point, place, without_implied
from flyte_jupyter.kernel.notebook.snapshot import (
    ENDS,
    NodeSnapshot,
    Snapshot,
    counted,
    duration,
)

_WIDTH, _HEIGHT = 176, 50
_GAP_X, _GAP_Y = 18, 32
_MARGIN = 12
_HEAD = 34
_WIDEST_HEAD = 900
_MOST_LETTERS = 20
_MOST_NODES = 300
_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

_COLOURS = {
    "SUCCEEDED": "#1a7f37",
    "RECOVERED": "#1a7f37",
    "FAILED": "#cf222e",
    "TIMED_OUT": "#cf222e",
    "RUNNING": "#0969da",
    "DYNAMIC_RUNNING": "#0969da",
    "ABORTED": "#8a4b00",
    "SKIPPED": "#6e7781",
}
_WAITING = "#6e7781"
_PILED = ("map", "workflow")
"""Kinds that stand for many nodes: drawn as a pile of sheets."""
_PILE = (
    f'<rect x="{{x:g}}" y="{{y:g}}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#ffffff" '
    'stroke="{colour}"/>'
)
_LIKE = {"TIMED_OUT": "FAILED", "RECOVERED": "SUCCEEDED", "DYNAMIC_RUNNING": "RUNNING"}
# Drawn in a box of 16 by 16, over the disc, square or ring that goes with it.
_TICK = "M4.2 8.4l2.6 2.6 5-5.4"
_CROSS = "M5 5l6 6M11 5l-6 6"
_BAR = "M4.5 8h7"


def draw(run: Snapshot) -> str:
    """The execution as an SVG document."""
    nodes = [node for node in run.nodes if node.kind not in ENDS]
    drawn = nodes if len(nodes) <= _MOST_NODES else []
    edges = without_implied({node.id: node.upstream for node in drawn})
    places = place(edges)
    columns = max((p.x for p in places.values()), default=2) + 1
    layers = max((p.layer for p in places.values()), default=-1) + 1
    summary = counted(nodes) or "no nodes yet"
    graph = round(2 * _MARGIN + columns * _WIDTH + (columns - 1) * _GAP_X)
    width = max(360, graph, _head_width(run, summary))
    height = _HEAD + _MARGIN + layers * (_HEIGHT + _GAP_Y)
    shift = (width - 2 * _MARGIN - columns * _WIDTH - (columns - 1) * _GAP_X) / 2
    title = f"{run.workflow}, execution {run.name}: {run.phase.lower()}"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" style="max-width:100%;height:auto" '
        f'font-family="{_FONT}">'
    )
    parts = [
        opening,
        f"<title>{_text(title)}</title>",
        f"<desc>{_text(summary)}</desc>",
        _head(run, summary, width),
    ]
    for node in drawn:
        parts += [
            _edge(_corner(places[parent], shift), _corner(places[node.id], shift))
            for parent in edges[node.id]
            if parent in places
        ]
    parts += [_node(node, *_corner(places[node.id], shift)) for node in drawn]
    return "".join([*parts, "</svg>"])


def _corner(point: Point, shift: float) -> tuple[float, float]:
    x = _MARGIN + shift + point.x * (_WIDTH + _GAP_X)
    return round(x, 1), _HEAD + _MARGIN / 2 + point.layer * (_HEIGHT + _GAP_Y)


def _head_width(run: Snapshot, summary: str) -> int:
    """What the head's two texts take, in an ordinary font."""
    return min(_WIDEST_HEAD, round(56 + 8 * len(_title(run)) + 6.2 * len(summary)))


def _title(run: Snapshot) -> str:
    return f"{run.workflow.rpartition('.')[2]} · {run.phase.lower()}"


def _head(run: Snapshot, summary: str, width: int) -> str:
    label = _title(run)
    return (
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{_HEAD - 6}" rx="6" fill="#f6f8fa" '
        f'stroke="#8c959f"/>{_icon(run.phase, 8, 6)}'
        f'<text x="30" y="19" font-size="13" font-weight="600" fill="#1f2328">{_text(label)}</text>'
        f'<text x="{width - 10}" y="19" font-size="11" text-anchor="end" fill="#57606a">'
        f"{_text(summary)}</text>"
    )


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _WIDTH / 2, start[1] + _HEIGHT
    x2, y2 = end[0] + _WIDTH / 2, end[1]
    bend = (y2 - y1) / 2
    return (
        f'<path d="M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2 - 5:g}" '
        'fill="none" stroke="#8c959f" stroke-width="1.5"/>'
        f'<path d="M{x2 - 4:g} {y2 - 7:g}h8l-4 6z" fill="#8c959f"/>'
    )


def _node(node: NodeSnapshot, x: float, y: float) -> str:
    colour = _COLOURS.get(node.phase, _WAITING)
    # What an array node's items came to says more than its phase, which the icon tells too.
    words = [node.state if node.items is None else str(node.items)]
    if node.seconds is not None:
        words.append(duration(node.seconds))
    if node.attempts > 1:
        words.append(f"{node.attempts} attempts")
    state = " · ".join(words)
    dashed = "" if node.phase in _COLOURS else ' stroke-dasharray="4 3"'
    pile = _PILE.format(x=x + 3, y=y + 3, colour=colour) if node.kind in _PILED else ""
    return (
        f"<g><title>{_text(f'{node.id}, {node.label}: {state}')}</title>{pile}"
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="1.5"{dashed}/>{_icon(node.phase, x + 9, y + 9)}'
        f'<text x="{x + 32:g}" y="{y + 21:g}" font-size="13" fill="#1f2328">'
        f"{_text(_short(node.label.rpartition('.')[2]))}</text>"
        f'<text x="{x + 32:g}" y="{y + 39:g}" font-size="11" fill="#57606a">{_text(state)}</text></g>'
    )


def _icon(phase: str, x: float, y: float) -> str:
    """A shape of its own for each kind of phase, 16 by 16."""
    colour = _COLOURS.get(phase, _WAITING)
    line = 'fill="none" stroke="#ffffff" stroke-width="2" stroke-linecap="round"'
    shapes = {
        "SUCCEEDED": f'<circle cx="8" cy="8" r="8" fill="{colour}"/><path d="{_TICK}" {line}/>',
        "FAILED": f'<path d="M5 0h6l5 5v6l-5 5h-6l-5-5v-6z" fill="{colour}"/>'
        f'<path d="{_CROSS}" {line}/>',
        "RUNNING": f'<circle cx="8" cy="8" r="7" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<path d="M6 4.5v7l5.5-3.5z" fill="{colour}"/>',
        "ABORTED": f'<rect width="16" height="16" rx="2" fill="{colour}"/>'
        f'<path d="{_BAR}" {line}/>',
    }
    for phase_like, like in _LIKE.items():
        shapes[phase_like] = shapes[like]
    ring = f'<circle cx="8" cy="8" r="6" fill="none" stroke="{colour}" stroke-width="2"/>'
    return f'<g transform="translate({x:g} {y:g})">{shapes.get(phase, ring)}</g>'


def _short(label: str) -> str:
    return label if len(label) <= _MOST_LETTERS else label[: _MOST_LETTERS - 1] + "…"


def _text(words: str) -> str:
    """Escaped, without the control characters that XML forbids."""
    return escape("".join(c for c in words if c.isprintable()), quote=True)
