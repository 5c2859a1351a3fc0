"""The child's side of a fork: become an attempt, or serve one attempt after the other."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from flyte_jupyter.kernel.runtime import (
    entrypoint,
    frames,
    isolation,
    marks,
    pyflyte,
    secrets,
    tidying,
)
from flyte_jupyter.kernel.runtime.execute import Handed
from flyte_jupyter.kernel.runtime.job import Job, is_ours
from flyte_jupyter.kernel.runtime.variables import Variables

_CHANNEL = 3
_OUT = 4
_CANNOT_RUN, _NOT_FOUND = 126, 127


def be_attempt(job: Job, out: int) -> int:
    """Run the one attempt in this fresh child. `out` is the writing end of its log. Gives the exit status, or execs."""
    settle_in(job.nice, {1: out, 2: out})
    isolation.reseed()
    return _become(Variables(), job.argv, job.env, job.cwd, job.inputs)


def be_spare(channel: int, out: int) -> int:
    """Wait for the one attempt to run, which comes as a frame over `channel` (a connected socket); end when none comes."""
    settle_in(0, {1: out, 2: out, _CHANNEL: channel})
    isolation.reseed()
    decoder, variables = frames.Decoder(), Variables()
    with socket.socket(fileno=_CHANNEL) as connection:
        found: list[frames.Message] = []
        while not found:
            data = connection.recv(64 * 1024)
            if not data:
                return 0
            found += decoder.feed(data)
    with suppress(OSError):
        os.nice(found[0]["nice"])
    job = found[0]
    return _become(variables, job["argv"], job["env"], job["cwd"], job["inputs"])


def _become(
    variables: Variables, argv: Sequence[str], env: Mapping[str, str], cwd: str, inputs: str | None
) -> int:
    why = _settled(variables, env, cwd)
    if why:
        return _complain(why, _CANNOT_RUN)
    ours, flytekits = is_ours(argv), pyflyte.is_command(argv[0])
    if not (ours or flytekits):
        return _exec(argv)
    sys.argv = list(argv)
    if not ours:
        return _finished(pyflyte.run(argv))
    return _finished(entrypoint.run(argv[1:], env, _handed(inputs)))


def _handed(inputs: str | None, back: Callable[[bytes], None] | None = None) -> Handed | None:
    return None if inputs is None else Handed(b64decode(inputs), back)


def be_worker(nice: int, channel: int, out: int) -> int:
    """Serve attempts that come as frames over `channel` (a connected socket) until it closes."""
    settle_in(nice, {1: out, 2: out, _CHANNEL: channel, _OUT: out})
    # A command that the task starts must not hold the channel or the log open.
    os.set_inheritable(_CHANNEL, False)
    os.set_inheritable(_OUT, False)
    isolation.reseed()
    decoder, shared, before = frames.Decoder(), _Shared(), tidying.Before()
    variables = Variables()
    with socket.socket(fileno=_CHANNEL) as connection:
        while data := connection.recv(64 * 1024):
            for message in decoder.feed(data):
                answer, retire = _serve(message, shared.of(message), variables, before)
                connection.sendall(frames.encode(answer))
                if retire:
                    return _finished(0)
                # While nobody waits for it. The code may have put anything in the place of a library.
                with suppress(Exception):
                    isolation.reseed()
    return _finished(0)


class _Shared:
    """Variables that many attempts of a worker have in common: they come with the first of them, under a number."""

    def __init__(self) -> None:
        self._known: dict[int, Mapping[str, str]] = {}

    def of(self, message: frames.Message) -> Mapping[str, str]:
        """All variables of the attempt."""
        number = message["of"]
        if "shared" in message:
            self._known[number] = message["shared"]
        return {**self._known[number], **message["own"]}


def _serve(
    message: frames.Message, env: Mapping[str, str], variables: Variables, before: tidying.Before
) -> tuple[str, bool]:
    """Run one attempt. What there is to tell of it, and whether the worker has to go with it."""
    argv = message["argv"]
    outputs: list[bytes] = []
    os.dup2(_OUT, 1)
    os.dup2(_OUT, 2)
    why = _settled(variables, env, message["cwd"])
    if why:
        code = _complain(why, _CANNOT_RUN)
    else:
        sys.argv = list(argv)
        code = entrypoint.run(argv[1:], env, _handed(message["inputs"], outputs.append))
    # A task that leaves threads or processes behind takes its worker with it, and them. An attempt is over when its threads are,
    # but for daemons, as any Python is; exit handlers run when its worker goes.
    retire = tidying.threads_left()
    if retire:
        _join_threads()
    _flush()
    if not before.restore() or _has_children():
        retire = True
    return _answer(code, outputs, retire=retire), retire


def _answer(code: int, outputs: Sequence[bytes], *, retire: bool) -> str:
    """The end of an attempt as a message, by hand."""
    text = f'{{"code":{code},"retire":{"true" if retire else "false"}'
    if outputs:
        text += f',"outputs":"{b64encode(outputs[0]).decode()}"'
    return f"{text}}}"


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


def _settled(variables: Variables, env: Mapping[str, str], cwd: str) -> str:
    """Go where the attempt works, with its variables. Gives why that cannot be; empty when it is done."""
    try:
        os.chdir(cwd)
    except OSError as e:
        return f"cannot enter the working directory: {e}"
    try:
        variables.become(secrets.with_secrets(env))
    except (OSError, ValueError) as e:
        return f"cannot set the environment: {e}"
    marks.show(env)
    return ""


def _exec(argv: Sequence[str]) -> int:
    # Python ignores this one, and what it ignores stays ignored after exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606  # running the task's command is the job
    except FileNotFoundError:
        return _complain(f"{argv[0]}: no such command", _NOT_FOUND)
    except OSError as e:
        return _complain(f"{argv[0]}: {e.strerror}", _CANNOT_RUN)


def _complain(text: str, status: int) -> int:
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())
    return status


def _finished(status: int) -> int:
    """What an interpreter does at its end: join threads, run exit handlers, flush. The caller then leaves by `os._exit`."""
    _join_threads()
    with suppress(Exception):
        atexit._run_exitfuncs()  # noqa: SLF001  # no public way; a task's libraries count on it
    _flush()
    return status


def _join_threads() -> None:
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  # no public way joins pool threads too


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        _flushed(stream)


def _flushed(stream: IO[str]) -> None:
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):  # closed, or replaced by something else
        return


def exec_argv(job: Job) -> list[str]:
    """The command line that does by exec what `be_attempt` does in a fork."""
    if job.ours:
        module, words = "entrypoint", job.argv[1:]
    elif job.flytekits:
        module, words = "pyflyte", job.argv
    elif secrets.are_told(job.env):
        module, words = "secrets", job.argv
    else:
        return list(job.argv)
    return [sys.executable, "-P", "-u", "-m", f"flyte_jupyter.kernel.runtime.{module}", *words]
