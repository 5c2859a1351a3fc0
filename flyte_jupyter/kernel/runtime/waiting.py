"""Attempts that a zygote has been sent before there is a slot for them, so that a worker need not stand idle between two."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from flyte_jupyter.kernel.runtime.job import Job


@dataclass(slots=True)
class Waiting:
    """Who waits, by the worker that can serve them, in the order in which they came. `Sender` is whoever sent them."""

    _queues: dict[tuple[str, ...], deque[str]] = field(default_factory=dict)
    _jobs: dict[str, tuple[Any, Job]] = field(default_factory=dict)

    def add(self, sender: Any, job: Job) -> None:
        """Let it wait, in place of one of that name."""
        self.take(job.key)
        self._queues.setdefault(job.worker, deque()).append(job.key)
        self._jobs[job.key] = (sender, job)

    def next_for(self, serves: tuple[str, ...]) -> tuple[Any, Job] | None:
        """The first that such a worker can serve, with its sender. It waits no more."""
        queue = self._queues.get(serves)
        return self.take(queue[0]) if queue else None

    def take(self, key: str) -> tuple[Any, Job] | None:
        """This one, with its sender, if it waits. It waits no more."""
        found = self._jobs.pop(key, None)
        if found is not None:
            self._leave(found[1])
        return found

    def drop(self, sender: Any) -> None:
        """Nobody of this sender's waits any more: it is gone, and what comes after it sends them anew."""
        for key in [key for key, (who, _) in self._jobs.items() if who is sender]:
            self.take(key)

    def keep_only(self, sender: Any) -> None:
        """Nobody waits any more but who this one has sent."""
        for key in [key for key, (who, _) in self._jobs.items() if who is not sender]:
            self.take(key)

    def _leave(self, job: Job) -> None:
        queue = self._queues[job.worker]
        queue.remove(job.key)
        if not queue:
            del self._queues[job.worker]
