"""Ends what ended attempts left behind. Orphans of running ones are theirs, so a stranger below a zygote belongs to an ended one."""

from __future__ import annotations

import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from flyte_jupyter.kernel.runtime import isolation, warming
from flyte_jupyter.kernel.runtime.births import kill_group

_SECONDS = 0.05


@dataclass(slots=True)
class Sweep:
    """When to look for strangers. `records` is the zygote's folder, beside which its relatives have theirs."""

    records: Path
    next_at: float | None = None

    def soon(self) -> None:
        """A child has ended: look, once what is above its descendants is gone too."""
        if self.next_at is None:
            self.next_at = time.monotonic() + _SECONDS

    def if_due(self, known: Container[int]) -> None:
        """Kill every child that is not `known`, nor a warm parent, when it is time to look."""
        if self.next_at is None or time.monotonic() < self.next_at:
            return
        self.next_at = None
        relatives = warming.relatives(self.records)
        for pid in isolation.children():
            if pid not in known and pid not in relatives:
                kill_group(pid)
                self.soon()
