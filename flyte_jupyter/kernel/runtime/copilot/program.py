"""The two commands: ``download`` before a container starts, ``upload`` beside it until all others have ended."""

from __future__ import annotations

import base64
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from flyte_jupyter.idl import core
from flyte_jupyter.kernel.runtime import outputs as written
from flyte_jupyter.kernel.runtime import storage
from flyte_jupyter.kernel.runtime.copilot import transfer
from flyte_jupyter.kernel.runtime.copilot.inputs import write_inputs
from flyte_jupyter.kernel.runtime.copilot.outputs import DeclaredError, read_outputs
from flyte_jupyter.kernel.runtime.copilot.values import BadValue
from flyte_jupyter.kernel.runtime.outputs import Problem

_OPTIONS = {
    "download": ("--inputs", "--folder", "--format", "--after", "--keep-uris"),
    "upload": ("--folder", "--interface", "--output-prefix", "--raw-output-prefix", "--ready"),
}
_REQUIRED = {
    "download": ("--inputs", "--folder"),
    "upload": ("--folder", "--output-prefix", "--raw-output-prefix"),
}
_USAGE_STATUS = 2
_PATIENCE = 300.0
"""Seconds that the downloader waits for the uploader to listen."""
_PAUSE = 0.02


class UsageError(Exception):
    """The command line is wrong."""


def main(words: Sequence[str]) -> int:
    """Run one command; `words` is the command line without the program's name. Gives the exit status."""
    try:
        command, options = parse(words)
        return download(options) if command == "download" else upload(options)
    except UsageError as error:
        _say(f"copilot: {error}")
        return _USAGE_STATUS


def parse(words: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The command and its options. Raises `UsageError`."""
    command = words[0] if words else ""
    if command not in _OPTIONS:
        raise UsageError(f"unknown command {command!r}; known are {', '.join(_OPTIONS)}")
    rest = list(words[1:])
    if len(rest) % 2:
        raise UsageError(f"{rest[-1]} needs a value")
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    unknown = [name for name in options if name not in _OPTIONS[command]]
    if unknown:
        raise UsageError(f"unknown option {unknown[0]!r}; known are {', '.join(_OPTIONS[command])}")
    missing = [name for name in _REQUIRED[command] if not options.get(name)]
    if missing:
        raise UsageError(f"missing {', '.join(missing)}")
    return command, options


# -- before ----------------------------------------------------------------------------------------


def download(options: Mapping[str, str]) -> int:
    """Put the inputs into a folder; then wait until the uploader listens. 0, or 1 with the reason on standard error."""
    formats = core.DataLoadingConfig.LiteralMapFormat
    try:
        data_format: Any = formats.Value(options.get("--format", "JSON"))
    except ValueError:
        known = ", ".join(formats.keys())
        raise UsageError(f"unknown format {options['--format']!r}; known are {known}") from None
    fetch = None if options.get("--keep-uris") == "true" else transfer.fetch
    try:
        found = core.LiteralMap.FromString(storage.read(options["--inputs"]))
        write_inputs(transfer.loaded(found), Path(options["--folder"]), data_format, fetch=fetch)
    except DecodeError as error:
        return _failed(f"The inputs at {options['--inputs']} are damaged: {error}")
    except Exception as error:  # noqa: BLE001  # any storage may raise anything
        return _failed(f"The inputs could not be brought: {type(error).__name__}: {error}")
    after = options.get("--after")
    if after and not _appeared(Path(after)):
        return _failed(f"The side-car that stores outputs did not start within {_PATIENCE:g} s.")
    return 0


def _appeared(path: Path) -> bool:
    end = time.monotonic() + _PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE)
    return True


# -- after -----------------------------------------------------------------------------------------


def upload(options: Mapping[str, str]) -> int:
    """Wait for SIGTERM, which says that the other containers have ended; then store their outputs, or why there are none.

    0 when either is stored, 1 when nothing could be.
    """
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    if options.get("--ready"):
        Path(options["--ready"]).touch()
    over.wait()
    return deliver(
        Path(options["--folder"]),
        interface_of(options.get("--interface", "")),
        options["--output-prefix"],
        options["--raw-output-prefix"],
    )


def interface_of(word: str) -> core.TypedInterface:
    """A task's interface from its form on the command line. Raises `UsageError`."""
    try:
        return core.TypedInterface.FromString(base64.b64decode(word, validate=True))
    except (ValueError, DecodeError) as error:
        raise UsageError(f"--interface holds no interface: {error}") from error


def deliver(folder: Path, interface: core.TypedInterface, prefix: str, raw_prefix: str) -> int:
    """Store the outputs that stand in a folder, or the reason why they cannot be. 0, or 1 when not even that could be done."""
    problem = None
    try:
        found = read_outputs(
            folder,
            interface.outputs,
            lambda local, name: transfer.store(local, storage.join(raw_prefix, name)),
        )
        written.write_outputs(prefix, found)
    except DeclaredError as error:
        problem = Problem("UserError", str(error), recoverable=False)
    except BadValue as error:
        problem = Problem("OutputsInvalid", str(error), recoverable=False)
    except Exception as error:  # noqa: BLE001  # any storage may raise anything
        text = f"The outputs could not be stored: {type(error).__name__}: {error}"
        problem = Problem("OutputsNotWritten", text, recoverable=True, system=True)
    if problem is None:
        return 0
    _say(problem.message)
    try:
        written.write_problem(prefix, problem)
    except Exception as error:  # noqa: BLE001  # as above
        return _failed(f"The error could not be written below {prefix}: {error}")
    return 0


def _failed(text: str) -> int:
    _say(text)
    return 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # the pod's log
