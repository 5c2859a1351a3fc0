"""Warm parents: a fork of a zygote imports the libraries that a task's code names and then is a zygote itself.

It is on trial until it says ``ready``: whatever a library does while it is imported (threads, a hang, a crash) is the end of this process
and of nothing else. The reply pipe names each import before it is tried, so that an end without words still tells what to avoid.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyte_jupyter.kernel.runtime import (
    bundle,
    imports,
    isolation,
    pyflyte,
    storage,
    unpacked,
    worker,
)
from flyte_jupyter.kernel.runtime.births import Fork, kill_group
from flyte_jupyter.kernel.runtime.notes import note

PID_FILE = "pid"
_REPLY = 3
_READY, _NOTHING_NEW, _COLD, _UNSAFE, _TRYING = "ready", "nothing new", "cold", "unsafe", "trying"
# Read once, when a library is loaded: with one thread there is none to lose in a fork. Only tasks that ask for one CPU come here.
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


@dataclass(frozen=True, slots=True)
class Order:
    """A warm parent to be: of what a task's code names, or of `preload` alone when there is no bundle.

    Of the source only that counts which `module` reaches, if it is named. `folder` is its own; `avoid` names packages that went
    wrong before; `seconds` limits its trial, `most_bytes` what it holds; `variables` are in its environment when it imports.
    """

    key: str
    folder: Path
    socket: Path
    bundle: str
    cache: Path
    preload: Sequence[str]
    avoid: Sequence[str]
    seconds: float
    most_bytes: int
    variables: Mapping[str, str]
    module: str = ""

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Order:
        """From a ``warm`` message. Raises `KeyError`, `TypeError` or `ValueError` when it is not one."""
        return cls(
            key=message["key"],
            folder=Path(message["folder"]),
            socket=Path(message["socket"]),
            bundle=str(message["bundle"]),
            cache=Path(message["cache"]),
            preload=[str(m) for m in message["preload"]],
            avoid=[str(m) for m in message["avoid"]],
            seconds=float(message["seconds"]),
            most_bytes=int(message["most_bytes"]),
            variables={str(k): str(v) for k, v in message["variables"].items()},
            module=str(message.get("module", "")),
        )


@dataclass(slots=True)
class Warming:
    """The old parent's view of one on trial. `reader` is where it says how it goes."""

    key: str
    pid: int
    reader: int
    _said: str = ""

    @property
    def over(self) -> bool:
        """Whether it has come to a conclusion."""
        return self._said.endswith("\n") and self._last()[0] != _TRYING

    def listen(self) -> bool:
        """Take what it says. False when nothing more will come."""
        try:
            data = os.read(self.reader, 4096)
        except BlockingIOError:
            return True
        self._said += data.decode("utf-8", "replace")
        return bool(data)

    def answer(self) -> dict[str, Any]:
        """The ``warmed`` message; one whose trial was cut short is at fault for what it tried last."""
        outcome, what = self._last()
        why = ""
        if outcome == _UNSAFE:
            what, _, why = what.partition(": ")
        elif outcome == _COLD:
            what, why = "", what
        elif outcome == _TRYING:
            outcome, why = _UNSAFE, "the process ended, or was ended, while it was imported"
        elif not outcome:
            outcome, why = _COLD, "the process ended before it imported anything"
        if why:
            note(f"not shared: {what} {why}")
        return {"op": "warmed", "key": self.key, "outcome": outcome, "what": what, "why": why}

    def _last(self) -> tuple[str, str]:
        word, _, rest = self._said.rstrip("\n").rpartition("\n")[2].partition(": ")
        return word, rest

    def stop(self) -> None:
        """End it, and its trial."""
        if self.pid:
            kill_group(self.pid)


def begin(order: Order, fork: Fork, serve: Callable[[Order], int]) -> Warming:
    """Put a fork of this process on trial; it ends with `serve` when it is fit. Raises `OSError` when there is no room."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    pid = 0
    try:
        hazard = isolation.fork_hazard()
        if hazard:
            _say(writer, _COLD, hazard)
        else:
            pid = fork(lambda: _be_parent(order, writer, serve))
            # Before the loop can meet it as a stranger.
            (order.folder / PID_FILE).write_text(f"{pid} {isolation.identity(pid)}", "utf-8")
    except OSError:
        os.close(reader)
        os.close(writer)
        if pid:
            kill_group(pid)
        raise
    os.close(writer)
    return Warming(order.key, pid, reader)


def relatives(records: Path) -> set[int]:
    """The warm parents beside the zygote that has these records. They outlive the parent they were forked from, and so each other."""
    found = set()
    for path in records.parent.parent.glob(f"*/{PID_FILE}"):
        with suppress(OSError, ValueError):
            pid, _, identity = path.read_text("utf-8").partition(" ")
            if identity == isolation.identity(int(pid)):
                found.add(int(pid))
    return found


def _be_parent(order: Order, reply: int, serve: Callable[[Order], int]) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    log = os.open(order.folder / "zygote.log", flags, 0o600)
    worker.settle_in(0, {1: log, 2: log, _REPLY: reply})
    os.set_inheritable(_REPLY, False)
    os.chdir(order.folder)
    os.environ.update({**_QUIET, **order.variables})
    time.tzset()  # the parent's zone may be another
    paths = list(sys.path)
    if not order.bundle:
        # flytekit's commands import as a Python does that is started with these variables.
        pyflyte.extend_path(order.variables)
    # Of all ways to end a library that hangs, the one that needs nothing of the interpreter.
    signal.setitimer(signal.ITIMER_REAL, order.seconds)
    conclusion, why = _prepare(order)
    sys.path[:] = paths
    signal.setitimer(signal.ITIMER_REAL, 0)
    unpacked.let_go()
    if conclusion == _READY:
        isolation.outlive_parent()
        return serve(order)
    _say(_REPLY, conclusion, why)
    return 0


def tell_ready() -> None:
    """The new parent listens: its trial is over."""
    _say(_REPLY, _READY, "")
    os.close(_REPLY)


def _prepare(order: Order) -> tuple[str, str]:
    """Import what the task's code names. Does not return when a library makes this process unfit."""
    folder = None
    if order.bundle:
        if storage.local_path(order.bundle) is None:
            return _COLD, "the bundle is not on this machine"
        try:
            folder = bundle.fetch(order.bundle, order.cache).folder
        except bundle.BundleError as e:
            return _COLD, str(e).replace("\n", " ")
    before = set(sys.modules)
    shadowed = imports.own_tops(folder) & {m.partition(".")[0] for m in before}
    if shadowed:
        return _COLD, f"it has modules of its own named like imported ones: {', '.join(shadowed)}"
    for each in imports.named_in(folder, order.preload, order.module):
        if each.top not in order.avoid and imports.is_installed(each.top):
            _try(each, order.most_bytes)
    fresh = sys.modules.keys() - before
    if not fresh:
        return _NOTHING_NEW, ""
    if imports.own_tops(folder) & {m.partition(".")[0] for m in fresh}:
        return _COLD, "its libraries use names that it takes for modules of its own"
    if isolation.children():
        return _COLD, "a library has started a process"
    return _READY, ""


def _try(wanted: imports.Import, most_bytes: int) -> None:
    _say(_REPLY, _TRYING, wanted.top)
    before = set(sys.modules)
    imports.bring_in(wanted)
    why = isolation.fork_hazard()
    edited = imports.edited(sys.modules.keys() - before)
    if not why and edited:
        why = f"{edited} may be edited"
    if not why and isolation.resident_bytes() > most_bytes:
        why = f"more than {most_bytes >> 20} MiB are held"
    if why:
        _say(_REPLY, _UNSAFE, f"{wanted.top}: {why}")
        os._exit(1)


def _say(fd: int, word: str, rest: str) -> None:
    with suppress(OSError):
        os.write(fd, f"{word}: {rest}\n".encode("utf-8", "replace"))
