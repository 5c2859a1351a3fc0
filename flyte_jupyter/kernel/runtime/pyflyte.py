"""Runs the commands of flytekit's own images (``pyflyte-execute`` and its kin) in this process, as their console scripts would.

They are found in flytekit when they are run, so this is for whichever release the task's interpreter has. flytekit takes a second to
import: a zygote that has done it serves such a task in the time of a fork.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

from flyte_jupyter.kernel.runtime import execute, isolation, secrets

_MODULE = "flytekit.bin.entrypoint"
_COMMANDS = {
    "pyflyte-execute": "execute_task_cmd",
    "pyflyte-fast-execute": "fast_execute_task_cmd",
    "pyflyte-map-execute": "map_execute_task_cmd",
}
_LOGGERS = ("flytekit", "user_space", "developer")


def is_command(word: str) -> bool:
    """Whether a command line that begins with this word is flytekit's."""
    return word.rpartition("/")[2] in _COMMANDS  # asked for every attempt


def missing() -> str:
    """Why this interpreter cannot run flytekit's commands, and what helps; empty when it can."""
    if importlib.util.find_spec("flytekit") is not None:
        return ""
    return (
        f"flytekit is not installed for {sys.executable}, and the task's command is flytekit's. Install it there "
        "(pip install flytekit), or register the task with the interpreter that has it (flyte_jupyter.interpreter)"
    )


def run(argv: Sequence[str]) -> int:
    """Run one attempt; `argv` is the whole command line. Gives the exit status that the console script would end with."""
    extend_path(os.environ)
    place = tempfile.mkdtemp(prefix="flyte-")
    # flytekit leaves its working files to a container's end. Here they end with the attempt.
    os.environ["TMPDIR"] = tempfile.tempdir = place
    try:
        entrypoint = importlib.import_module(_MODULE)
        with _own_context(place):
            _run_here(entrypoint)
            return _invoke(entrypoint, argv)
    except Exception as error:  # noqa: BLE001  # a script that raises ends with 1 and its traceback
        traceback.print_exc()
        prefix = _output_prefix(argv)
        if prefix and execute.is_full(error):
            return execute.leave_for_want_of_room(prefix, error)
        return 1
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _output_prefix(argv: Sequence[str]) -> str:
    """Where the attempt leaves what it gives, by its command line; empty when that does not say."""
    return next((after for word, after in pairwise(argv) if word == "--output-prefix"), "")


def _invoke(entrypoint: Any, argv: Sequence[str]) -> int:
    name = os.path.basename(argv[0])  # noqa: PTH119
    command = getattr(entrypoint, _COMMANDS[name])
    try:
        command.main(args=list(argv[1:]), prog_name=name)
    except SystemExit as e:
        if isinstance(e.code, str):
            print(e.code, file=sys.stderr)  # noqa: T201  # as the interpreter does
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    return 0


def _run_here(entrypoint: Any) -> None:
    """Let ``pyflyte-fast-execute`` go on in this process once the code is there; it would start another Python for it.

    Its reason, modules that were loaded from older code, cannot arise: nothing of the task's has been imported yet.
    """
    start: Any = getattr(entrypoint, "_run_subprocess", None)
    if start is None:  # another release: it works, and takes longer
        return

    def run_here(command: list[str], env: Mapping[str, str] | None = None) -> int:
        if not command or not is_command(command[0]):
            status: int = start(command, env)
            return status
        os.environ.update(env or {})
        extend_path(os.environ)
        return _invoke(entrypoint, command)

    entrypoint._run_subprocess = run_here  # noqa: SLF001  # no public way, and the old one still works


def extend_path(environ: Mapping[str, str]) -> None:
    """Import from ``PYTHONPATH`` as an interpreter that is started with it does."""
    named = [os.path.abspath(p) for p in environ.get("PYTHONPATH", "").split(os.pathsep) if p]  # noqa: PTH100  # as site does
    at = 0
    for place in named:
        if place in sys.path:
            at = max(at, sys.path.index(place) + 1)
        else:
            sys.path.insert(at, place)
            at += 1
    importlib.invalidate_caches()


@contextmanager
def _own_context(place: str) -> Iterator[None]:
    """What flytekit made when it was imported, perhaps in a parent, made again for this attempt: its folders and its loggers."""
    loggers: Any = importlib.import_module("flytekit.loggers")
    contexts: Any = importlib.import_module("flytekit.core.context_manager").FlyteContextManager
    data: Any = importlib.import_module("flytekit.core.data_persistence")
    for name in _LOGGERS:
        logging.getLogger(name).handlers.clear()
    loggers.initialize_global_loggers()
    _reach_local_uris(data.FileAccessProvider)
    access = data.FileAccessProvider(f"{place}/sandbox", f"{place}/raw")
    with contexts.with_context(contexts.current_context().with_file_access(access)):
        yield


def _reach_local_uris(provider: Any) -> None:
    """Let tasks read what ``file://`` URIs name, such as clients' uploads: flytekit takes those for paths, and finds nothing there."""
    plain = provider.is_remote

    def is_remote(path: str | os.PathLike[str]) -> bool:
        found: bool = os.fspath(path).startswith("file://") or plain(path)
        return found

    provider.is_remote = staticmethod(is_remote)


def main() -> None:
    """The command line after the module's name is the task's. Leaves the process with the exit status of `run`."""
    isolation.gather_orphans()
    secrets.settle()
    why = missing()
    if why:
        print(why, file=sys.stderr)  # noqa: T201  # a command speaks there
    sys.argv = sys.argv[1:]
    with suppress(ValueError):
        sys.path.remove("")
    sys.exit(1 if why else run(sys.argv))


if __name__ == "__main__":
    main()
