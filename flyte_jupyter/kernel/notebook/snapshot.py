"""What an execution looked like at one moment: the data behind the picture in a notebook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MIME = "application/vnd.flyte.execution.v1+json"
ENDS = ("start", "end")
"""The kinds of nodes that do nothing."""


@dataclass(frozen=True)
class ItemCounts:
    """How far the items of an array node are."""

    succeeded: int
    failed: int
    total: int

    def __str__(self) -> str:
        """``37 / 100, 2 failed``."""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.succeeded} / {self.total}{failed}"

    def as_json(self) -> dict[str, int]:
        """As docs/protocol.md section 6 writes it."""
        return {"succeeded": self.succeeded, "failed": self.failed, "total": self.total}


@dataclass(frozen=True)
class NodeSnapshot:
    """One node. ``seconds`` is how long it ran so far, None before it started."""

    id: str
    label: str
    phase: str
    attempts: int = 0
    seconds: float | None = None
    upstream: tuple[str, ...] = ()
    cell_id: str = ""
    kind: str = "task"
    cached: bool = False
    items: ItemCounts | None = None

    @property
    def state(self) -> str:
        """The phase in words: ``succeeded``, ``timed out``, ``not started``, ``from cache``, ``waiting``."""
        if self.cached:
            return "from cache"
        if self.phase in {"UNDEFINED", ""}:
            return "not started"
        if self.kind == "gate" and self.phase == "RUNNING":
            return "waiting"
        if self.phase == "DYNAMIC_RUNNING":
            return "running"
        return self.phase.lower().replace("_", " ")

    def as_json(self) -> dict[str, Any]:
        """The node as docs/protocol.md section 6 writes it."""
        items = {} if self.items is None else {"items": self.items.as_json()}
        return {
            "id": self.id,
            "label": self.label,
            "kind": self.kind,
            "phase": self.phase,
            "attempts": self.attempts,
            "seconds": self.seconds,
            "upstream": list(self.upstream),
            "cell_id": self.cell_id,
            **items,
        }


@dataclass(frozen=True)
class Snapshot:
    """One execution. Times are RFC 3339 text, empty when unknown. Ids only: no host, no token."""

    project: str
    domain: str
    name: str
    workflow: str
    version: str
    phase: str
    nodes: tuple[NodeSnapshot, ...]
    started_at: str = ""
    updated_at: str = ""

    def as_json(self) -> dict[str, Any]:
        """The document of MIME type ``MIME``."""
        return {
            "project": self.project,
            "domain": self.domain,
            "name": self.name,
            "workflow": self.workflow,
            "version": self.version,
            "snapshot": {
                "phase": self.phase,
                "started_at": self.started_at,
                "updated_at": self.updated_at,
                "nodes": [node.as_json() for node in self.nodes],
            },
        }

    def as_text(self) -> str:
        """The execution in words, a line for each node."""
        rows = [("node", "task", "phase", "time", "attempts")]
        rows += [
            (n.id, n.label, f"{n.state.upper()} {n.items or ''}".rstrip(), duration(n.seconds),
             str(n.attempts) if n.attempts else "")
            for n in self.nodes
            if n.kind not in ENDS
        ]  # fmt: skip
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]
            )
            for row in rows
        ]
        head = f"{self.workflow}  execution {self.name}  {self.phase}"
        return "\n".join([head, *(f"  {line.rstrip()}" for line in lines)])


def duration(seconds: float | None) -> str:
    """Seconds for people: ``0.3 s``, ``2 min 05 s``, ``1 h 12 min``."""
    if seconds is None:
        return ""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def counted(nodes: Iterable[NodeSnapshot]) -> str:
    """How many nodes are in which phase: ``3 succeeded, 1 running``."""
    counts = Counter(node.state for node in nodes if node.kind not in ENDS)
    return ", ".join(f"{count} {phase}" for phase, count in sorted(counts.items()))
