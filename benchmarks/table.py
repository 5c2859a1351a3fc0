"""Figures as rows: what was measured, against which target, beside which peers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figure:
    """One measured value. `target` is the most it may be, in the same unit; `peers` maps a peer to its value."""

    name: str
    value: float
    unit: str
    target: float | None = None
    peers: dict[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Whether the target is met, in a word."""
        if self.target is None:
            return ""
        return "met" if self.value <= self.target else "MISSED"

    def line(self) -> str:
        """The row as text."""
        target = f"<= {self.target:g}" if self.target is not None else ""
        ratios = ", ".join(
            f"{peer} {value:.3g} ({value / self.value:.1f}x ours)"
            for peer, value in self.peers.items()
            if self.value
        )
        return f"{self.name:<52} {self.value:>9.3g} {self.unit:<7} {target:<9} {self.verdict:<7} {ratios}"
