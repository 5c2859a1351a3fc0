"""New children of a zygote: attempts of their own, and workers that serve one attempt after the other."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module

from flyte_jupyter.kernel.runtime import entrypoint, isolation, marks, worker
from flyte_jupyter.kernel.runtime.capture import Capture
from flyte_jupyter.kernel.runtime.job import Job
from flyte_jupyter.kernel.runtime.peers import Peer
from flyte_jupyter.kernel.runtime.records import Ended
from flyte_jupyter.kernel.runtime.watch import Verdict
from flyte_jupyter.kernel.types import default_registry

Fork = Callable[[Callable[[], int]], int]
"""Forks a child that does this and ends with the status it gives; returns in the parent only, with the child's number."""


class InChild(BaseException):
    """Raised in a forked child to leave the parent's stack; `run` is what the child is for.

    It passes through the parent's functions, so none of those on its way may clean up in a ``finally``.
    """

    def __init__(self, run: Callable[[], int]) -> None:
        super().__init__()
        self.run = run


def lead(run: Callable[[], int]) -> int:
    """Do what `run` says, and in every child that is forked meanwhile what the child is for. Gives the exit status."""
    while True:
        try:
            return run()
        except InChild as child:
            # Run outside of this handler, so that the task's errors have no past here.
            run = child.run
        except SystemExit as e:
            return e.code if isinstance(e.code, int) else 1
        except BaseException:  # noqa: BLE001  # a child must never return into its parent's code
            sys.excepthook(*sys.exc_info())
            return 1


@dataclass(slots=True)
class Process:
    """A child. `channel` is set for a worker that serves one attempt after the other, `door` for one that waits for its only one.

    `key` is its present attempt, `verdict` why it was killed.
    """

    pid: int
    capture: Capture
    key: str = ""
    identity: str = ""
    channel: Peer | None = None
    door: Peer | None = None
    serves: tuple[str, ...] = ()
    retired: bool = False
    verdict: Verdict | None = None
    _shared: dict[int, Mapping[str, str]] = field(default_factory=dict)

    def become(self, job: Job) -> bool:
        """Have this child, which has waited for that, be the attempt. False when it does not hear it."""
        assert self.door is not None
        door, self.door = self.door, None
        fields = {"argv": job.argv, "env": job.env, "cwd": job.cwd, "nice": job.nice}
        fields["inputs"] = job.inputs
        with door.socket:
            heard = door.pass_all(fields)
        if heard:
            self.capture.aim(job.log, job.limit)
        return heard

    def dismiss(self) -> None:
        """Let a child go that waits for an attempt."""
        if self.door:
            self.door.socket.close()
            self.door = None
        kill_group(self.pid)

    @property
    def idle(self) -> bool:
        """Whether it is a worker that waits for its next attempt."""
        return self.channel is not None and not self.key and not self.retired

    def give(self, job: Job) -> None:
        """Have this worker run the attempt."""
        assert self.channel is not None
        self.capture.aim(job.log, job.limit)
        fields = {"argv": job.argv, "own": job.own, "cwd": job.cwd, "of": job.of}
        fields["inputs"] = job.inputs
        if self._shared.get(job.of) is not job.shared:
            self._shared[job.of] = fields["shared"] = job.shared
        self.channel.send(fields)


def new_attempt(job: Job, fork: Fork) -> tuple[Process, str]:
    """A process for this one attempt, and how it was made: ``fork`` or ``exec``. Raises `OSError` when there is no room."""
    apart = job.apart or isolation.fork_hazard()

    def make(out: int) -> int:
        return _spawn(job, out) if apart else fork(lambda: worker.be_attempt(job, out))

    pid, capture = _captured(make)
    return Process(pid, capture), "exec" if apart else "fork"


def new_worker(job: Job, fork: Fork) -> Process:
    """A worker that may serve this job and others like it. Raises `OSError` when there is no room."""
    nice = job.nice
    pid, capture, peer = _attached(fork, lambda channel, out: worker.be_worker(nice, channel, out))
    return Process(pid, capture, channel=peer, serves=job.worker)


def new_spare(fork: Fork) -> Process:
    """A child that waits for the one attempt that it will be. Raises `OSError` when there is no room."""
    pid, capture, peer = _attached(fork, worker.be_spare)
    return Process(pid, capture, identity=isolation.identity(pid), door=peer)


def _captured(make: Callable[[int], int]) -> tuple[int, Capture]:
    """A child that `make` starts with the writing end of a pipe, and the reading end."""
    reader, writer = os.pipe()
    capture = Capture(reader)
    try:
        pid = make(writer)
    except OSError:
        capture.close()
        os.close(writer)
        raise
    os.close(writer)
    return pid, capture


def _attached(fork: Fork, be: Callable[[int, int], int]) -> tuple[int, Capture, Peer]:
    """A forked child with a connection to it beside its output."""
    here, there = socket.socketpair()

    def make(out: int) -> int:
        return fork(lambda: be(there.detach(), out))

    try:
        pid, capture = _captured(make)
    except OSError:
        here.close()
        there.close()
        raise
    there.close()
    return pid, capture, Peer(here)


def _spawn(job: Job, out: int) -> int:
    if job.ours and job.given is not None:
        entrypoint.lay_down(job.argv[1:], job.given)
    process = subprocess.Popen(  # noqa: S603  # running the task's command is the job
        worker.exec_argv(job),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        cwd=job.cwd,
        env={**job.env, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    # The loop waits for all children alike.
    process.returncode = 0
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, job.nice)
    return process.pid


def share() -> None:
    """Have once, for all children, what every attempt would spend 25 ms on: our modules, the types; and no garbage to collect."""
    import_module("flyte_jupyter.kernel.authoring")
    default_registry()
    marks.place()
    gc.collect()
    gc.freeze()


def kill_group(pid: int) -> None:
    """Kill a child and its process group. The child by its own number too: right after the fork it has no group yet."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def next_stopped() -> tuple[int, bool] | None:
    """A child that was stopped since this was last asked (True), or that goes on (False)."""
    if not hasattr(os, "waitid"):
        return None
    try:
        found = os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
    except ChildProcessError:
        return None
    return (found.si_pid, found.si_code == os.CLD_STOPPED) if found else None


def next_ended() -> tuple[int, Ended] | None:
    """The next child that is over. Its group is killed while its number cannot mean anybody else."""
    try:
        if hasattr(os, "waitid"):
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return None
            kill_group(found.si_pid)
            pid, status = os.waitpid(found.si_pid, 0)
        else:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
    except ChildProcessError:
        return None
    return pid, Ended.of(os.waitstatus_to_exitcode(status))
