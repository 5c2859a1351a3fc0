"""Workers that wait for their next attempt: not many, and not for long, since each keeps what its attempts have left in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from flyte_jupyter.kernel.runtime.births import Process, kill_group
from flyte_jupyter.kernel.runtime.job import Job

LONGEST_SECONDS = 30.0
_MOST = 8


@dataclass(slots=True)
class Idle:
    """All of a parent's, who has waited longest first. `seconds`: how long one may wait."""

    seconds: float = LONGEST_SECONDS
    _since: dict[int, tuple[Process, float]] = field(default_factory=dict)

    def add(self, process: Process) -> None:
        """It begins to wait; another one goes if there are too many."""
        self._since[process.pid] = (process, time.monotonic())
        if len(self._since) > _MOST:
            self._end_first()

    def take(self, job: Job) -> Process | None:
        """One that may serve this job. It waits no more."""
        serves = job.worker
        for pid, (process, _) in self._since.items():
            if process.idle and process.serves == serves:
                del self._since[pid]
                return process
        return None

    def gone(self, pid: int) -> None:
        """There is no such process any more."""
        self._since.pop(pid, None)

    @property
    def next_at(self) -> float | None:
        """When the next one has waited long enough, on the monotonic clock; None when nobody waits."""
        for _, since in self._since.values():
            return since + self.seconds
        return None

    def end_due(self) -> None:
        """End those that have waited long enough."""
        while (due := self.next_at) is not None and due <= time.monotonic():
            self._end_first()

    def _end_first(self) -> None:
        process, _ = self._since.pop(next(iter(self._since)))
        process.retired = True
        kill_group(process.pid)
