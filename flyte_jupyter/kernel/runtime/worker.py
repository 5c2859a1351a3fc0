"""The child's side of a fork: become an attempt, or serve one attempt after the other."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flyte_jupyter.kernel.runtime import entrypoint, frames, isolation, pyflyte

PROGRAM = "flyte-jupyter-execute"
_CHANNEL = 3
_OUT = 4
_CANNOT_RUN, _NOT_FOUND = 126, 127


@dataclass(frozen=True, slots=True)
class Job:
    """What one attempt's process is to be. `limit` is the log's, in bytes; `nice` is added to the parent's.

    `memory` is the most it may hold, in bytes, and `patience` how many seconds it may stand still once somebody has stopped it.
    """

    key: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    log: str
    limit: int
    reuse: bool = False
    nice: int = 0
    memory: int = 0
    patience: float = 0.0
    bundle: str = ""
    preload: Sequence[str] = ()

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Job:
        """From a ``launch`` message. Raises `KeyError`, `TypeError` or `ValueError` when it is not one."""
        argv = [str(word) for word in message["argv"]]
        cwd = str(message["cwd"])
        if not argv or not os.path.isdir(cwd):  # noqa: PTH112  # asked for every attempt
            raise ValueError("argv is empty" if not argv else f"there is no folder {cwd}")
        return cls(
            key=message["key"],
            argv=argv,
            env={str(k): str(v) for k, v in message["env"].items()},
            cwd=cwd,
            log=str(message["log"]),
            limit=int(message["log_limit"]),
            reuse=bool(message.get("reuse", False)),
            nice=int(message.get("nice", 0)),
            memory=int(message.get("memory", 0)),
            patience=float(message.get("patience", 0)),
            bundle=str(message.get("bundle", "")),
            preload=[str(m) for m in message.get("preload", [])],
        )

    @property
    def apart(self) -> bool:
        """Whether its author asks for a process that is started anew, for a library that we do not know to be unsafe."""
        return self.env.get("FLYTE_JUPYTER_NO_FORK") == "1"

    @property
    def ours(self) -> bool:
        """Whether the command is this runtime's own, so that a worker can run it."""
        return os.path.basename(self.argv[0]) == PROGRAM  # noqa: PTH119  # asked for every attempt

    @property
    def flytekits(self) -> bool:
        """Whether the command is flytekit's, which a fork can run without exec too."""
        return pyflyte.is_command(self.argv[0])

    @property
    def worker(self) -> tuple[str, ...]:
        """Attempts may share a process when this is equal: a started library never looks at these variables again."""
        devices = self.env.get("CUDA_VISIBLE_DEVICES", "")
        return (self.bundle, str(self.nice), devices, self.env.get("OMP_NUM_THREADS", ""))


def be_attempt(job: Job, out: int) -> int:
    """Run the one attempt in this fresh child. `out` is the writing end of its log. Gives the exit status, or execs."""
    settle_in(job.nice, {1: out, 2: out})
    try:
        _dress(job.env, job.cwd)
    except OSError as e:
        return _complain(f"cannot enter the working directory: {e}", _CANNOT_RUN)
    if not (job.ours or job.flytekits):
        return _exec(job)
    isolation.reseed()
    sys.argv = list(job.argv)
    return _finished(entrypoint.run(job.argv[1:]) if job.ours else pyflyte.run(job.argv))


def be_worker(nice: int, channel: int, out: int) -> int:
    """Serve attempts that come as frames over `channel` (a connected socket) until it closes."""
    settle_in(nice, {1: out, 2: out, _CHANNEL: channel, _OUT: out})
    # A command that the task starts must not hold the channel or the log open.
    os.set_inheritable(_CHANNEL, False)
    os.set_inheritable(_OUT, False)
    isolation.reseed()
    decoder = frames.Decoder()
    with socket.socket(fileno=_CHANNEL) as connection:
        while data := connection.recv(64 * 1024):
            for message in decoder.feed(data):
                answer = _serve(Job.read(message))
                connection.sendall(frames.encode(answer))
                if answer["retire"]:
                    return _finished(0)
    return _finished(0)


def _serve(job: Job) -> frames.Message:
    os.dup2(_OUT, 1)
    os.dup2(_OUT, 2)
    try:
        _dress(job.env, job.cwd)
        sys.argv = list(job.argv)
        code = entrypoint.run(job.argv[1:])
    except OSError as e:
        code = _complain(f"cannot enter the working directory: {e}", _CANNOT_RUN)
    _flush()
    # A task that leaves processes behind takes its worker with it, and them.
    return {"code": code, "retire": _has_children()}


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def settle_in(nice: int, fds: Mapping[int, int]) -> None:
    """Leave everything of the parent behind: its session, its signals, its files; `fds` says which of them become which."""
    os.setsid()
    isolation.gather_orphans()
    isolation.die_with_parent()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(OSError):
        os.nice(nice)
    # Out of the way first: a source may have the number of another one's target.
    top = max(fds) + 1
    lifted = {target: _lift(source, top) for target, source in fds.items()}
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for target, source in lifted.items():
        os.dup2(source, target)
    os.closerange(top, os.sysconf("SC_OPEN_MAX"))


def _lift(fd: int, above: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above)


def _dress(env: Mapping[str, str], cwd: str) -> None:
    os.chdir(cwd)
    # A worker's next attempt has most of them already, and each change is a call into the system's library.
    for name in os.environ.keys() - env.keys():
        del os.environ[name]
    for name, value in env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _exec(job: Job) -> int:
    # Python ignores this one, and what it ignores stays ignored after exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(job.argv[0], list(job.argv), dict(job.env))  # noqa: S606  # running the task's command is the job
    except FileNotFoundError:
        return _complain(f"{job.argv[0]}: no such command", _NOT_FOUND)
    except OSError as e:
        return _complain(f"{job.argv[0]}: {e.strerror}", _CANNOT_RUN)


def _complain(text: str, status: int) -> int:
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())
    return status


def _finished(status: int) -> int:
    """What an interpreter does at its end: join threads, run exit handlers, flush. The caller then leaves by `os._exit`."""
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  # no public way joins pool threads too
    with suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001  # no public way; a task's libraries count on it
    _flush()
    return status


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def exec_argv(job: Job) -> list[str]:
    """The command line that does by exec what `be_attempt` does in a fork."""
    if job.ours:
        module, words = "entrypoint", job.argv[1:]
    elif job.flytekits:
        module, words = "pyflyte", job.argv
    else:
        return list(job.argv)
    return [sys.executable, "-P", "-u", "-m", f"flyte_jupyter.kernel.runtime.{module}", *words]
