"""Children that are forked before anybody needs them, so that an attempt does not wait for its own fork."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flyte_jupyter.kernel.runtime import births, isolation
from flyte_jupyter.kernel.runtime.births import Fork, Process
from flyte_jupyter.kernel.runtime.job import Job

_MOST = 2
"""How many wait at a time: as many as are likely to be wanted before there is time to make another."""


@dataclass(slots=True)
class Spares:
    """Each waits for one attempt, becomes it, and ends with it; none is made before a first attempt was forked.

    `watch` is told of each new one, in the parent.
    """

    fork: Fork
    watch: Callable[[Process], Process]
    _ready: list[Process] = field(default_factory=list)
    _wanted: bool = False

    def take(self, job: Job) -> Process | None:
        """One that has begun to be this attempt; None when there is none, or it must not be forked."""
        if job.apart:
            return None
        self._wanted = True
        while self._ready:
            process = self._ready.pop(0)
            if process.become(job):
                return process
            process.dismiss()
        return None

    def refill(self) -> None:
        """Make one more where some are missing. Raises `births.InChild` in the child."""
        if not self._wanted:
            return
        if len(self._ready) >= _MOST or isolation.fork_hazard():
            self._wanted = False
            return
        try:
            process = births.new_spare(self.fork)
        except (OSError, MemoryError):
            # Attempts have precedence over what may never be needed.
            self._wanted = False
            return
        self._ready.append(self.watch(process))

    def gone(self, process: Process) -> None:
        """It has ended."""
        if process in self._ready:
            self._ready.remove(process)

    def drop(self) -> None:
        """What they were forked from has changed: they end."""
        for process in self._ready:
            process.dismiss()
        self._ready.clear()
