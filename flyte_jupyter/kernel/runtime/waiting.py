"""Attempts that a zygote has been sent before they may begin, so that nobody stands idle until it has heard of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from flyte_jupyter.kernel.runtime.job import Job


@dataclass(slots=True)
class Waiting:
    """Who waits, and who of them may follow another without being told. `Sender` is whoever sent them."""

    _jobs: dict[str, tuple[Any, Job]] = field(default_factory=dict)
    """All of them by key, with their senders."""
    _queues: dict[tuple[str, ...], deque[str]] = field(default_factory=dict)
    """Those that are not held, by the worker that can serve them, in the order in which they came."""

    def admits(self, sender: Any, job: Job) -> bool:
        """Let it wait if it has to, in place of one of that name. False when it is to begin."""
        self.take(job.key)
        if not job.held and not (job.ahead and job.shares):
            return False
        self._jobs[job.key] = (sender, job)
        if not job.held:
            self._queue(job)
        return True

    def queue(self, key: str) -> None:
        """Nothing speaks against it any more but that it has no slot. Who can follow nobody goes on waiting to be told."""
        found = self._jobs.get(key)
        if found is not None and found[1].held and found[1].shares:
            found[1].held = False
            self._queue(found[1])

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

    def _queue(self, job: Job) -> None:
        self._queues.setdefault(job.worker, deque()).append(job.key)

    def _leave(self, job: Job) -> None:
        if job.held:
            return
        queue = self._queues[job.worker]
        queue.remove(job.key)
        if not queue:
            del self._queues[job.worker]
