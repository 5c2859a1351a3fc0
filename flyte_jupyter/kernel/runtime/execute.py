"""Runs one attempt: code and inputs in, outputs or an error out. Whatever happens, something with a name is left behind."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from google.protobuf.message import DecodeError

from flyte_jupyter.idl import core, literals
from flyte_jupyter.kernel.context import Context, Mode, entered
from flyte_jupyter.kernel.errors import RecoverableError
from flyte_jupyter.kernel.runtime import bundle, outputs, storage, tracebacks
from flyte_jupyter.kernel.runtime.outputs import Problem

_PAUSE = 1.0
"""Seconds between two looks whether a full disk has room again."""
_LONGEST_CHAIN = 32
"""Causes of an error that are looked at: a chain of them may be a circle."""
_folder = lru_cache(maxsize=16)(Path)
"""Attempts of a worker work in few folders, one after the other."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line of ``flyte-jupyter-execute`` says. All are URIs but `entity`, which is ``<module>:<name>``."""

    inputs: str
    output_prefix: str
    bundle: str
    entity: str
    raw_output_prefix: str = ""
    checkpoint: str = ""
    previous_checkpoint: str = ""


class _Trouble(Exception):
    """A failure that is not the user's code raising."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Handed:
    """What an attempt is handed without a file: its `inputs`, a serialised ``LiteralMap``.

    `back` takes its outputs in the same form, when they are small and all that it leaves; without it they are always written.
    """

    inputs: bytes
    back: Callable[[bytes], None] | None = None


def execute(
    arguments: Arguments,
    environ: Mapping[str, str] = os.environ,
    handed: Handed | None = None,
) -> int:
    """Run the attempt. The exit status: 0 when outputs or an error were left, 1 when not even that could be done."""
    context = context_of(arguments, environ)
    problem: Problem | None = None
    cause: BaseException | None = None
    attempt = os.getpid()
    try:
        result = _dispatch(arguments, context, bundle.cache_folder(environ), handed)
    except _Trouble as e:
        problem, cause = e.problem, e.__cause__
    if os.getpid() != attempt:
        _end_fork(problem, cause)
    if problem is not None:
        _say(problem.message)
        return _leave(arguments, context, problem)
    if handed is not None and handed.back is not None and not context.decks:
        data = outputs.serialised(result)
        if len(data) <= literals.MOST_CARRIED:
            handed.back(data)
            return 0
    return _leave(arguments, context, result)


def _end_fork(problem: Problem | None, cause: BaseException | None) -> NoReturn:
    """End a process that the task forked and that came out of the task: what the attempt leaves is not its to write."""
    status = int(problem is not None)
    if isinstance(cause, SystemExit) and isinstance(cause.code, int | None):
        status = cause.code or 0
    elif problem is not None:
        _say(problem.message)
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    os._exit(status & 0xFF)


def _leave(arguments: Arguments, context: Context, what: core.LiteralMap | Problem) -> int:
    """Write outputs, or else an error. While there is room for neither, wait: what was computed is not thrown away."""
    waiting = False
    while True:
        problem = what if isinstance(what, Problem) else None
        try:
            if context.decks.pages:
                _write_deck(arguments, context)
            if isinstance(what, core.LiteralMap):
                outputs.write_outputs(arguments.output_prefix, what)
                return 0
        except Exception as e:  # noqa: BLE001  # any storage may raise anything; it becomes a named failure
            written = "The task's outputs could not be written"
            problem = problem or _storage_problem("OutputsNotWritten", written, e)
        assert problem is not None
        try:
            outputs.write_problem(arguments.output_prefix, problem)
        except Exception as e:  # noqa: BLE001  # as above
            if not is_full(e):
                _say(f"The error could not be written below {arguments.output_prefix}: {e}")
                return 1
            if not waiting:
                _say(f"No space left for what this attempt leaves: it waits for room. ({e})")
            waiting = True
            time.sleep(_PAUSE)
        else:
            if problem is not what:
                _say(problem.message)
            return 0


def leave_for_want_of_room(prefix: str, error: BaseException) -> int:
    """Wait until there is room for an error below `prefix`, and write it: it is tried again. The exit status, as of `execute`."""
    problem = _storage_problem(
        "OutputsNotWritten", "The task's outputs could not be written", error
    )
    _say(problem.message)
    while True:
        try:
            outputs.write_problem(prefix, problem)
        except Exception as e:  # noqa: BLE001  # any storage may raise anything
            if not is_full(e):
                _say(f"The error could not be written below {prefix}: {e}")
                return 1
            time.sleep(_PAUSE)
        else:
            return 0


def context_of(arguments: Arguments, environ: Mapping[str, str]) -> Context:
    """The context of an attempt, from its command line and its environment."""
    attempt = environ.get("FLYTE_ATTEMPT_NUMBER", "")
    return Context(
        mode=Mode.TASK,
        project=environ.get("FLYTE_INTERNAL_EXECUTION_PROJECT", ""),
        domain=environ.get("FLYTE_INTERNAL_EXECUTION_DOMAIN", ""),
        execution=environ.get("FLYTE_INTERNAL_EXECUTION_ID", ""),
        node=environ.get("FLYTE_INTERNAL_NODE_ID", ""),
        attempt=int(attempt) if attempt.isdecimal() else 0,
        raw_output_prefix=arguments.raw_output_prefix,
        working_directory=_folder(os.getcwd()),  # noqa: PTH109  # every attempt waits for this
        checkpoint=arguments.checkpoint,
        previous_checkpoint=arguments.previous_checkpoint,
    )


def _dispatch(
    arguments: Arguments, context: Context, cache: Path, handed: Handed | None
) -> core.LiteralMap:
    inputs = _read_inputs(arguments.inputs, handed)
    try:
        code = bundle.fetch(arguments.bundle, cache)
    except bundle.BundleRefused as e:
        raise _Trouble(Problem("BundleRefused", str(e), recoverable=False)) from e
    except bundle.BundleUnavailable as e:
        raise _Trouble(Problem("BundleUnavailable", str(e), recoverable=True, system=True)) from e
    try:
        task = bundle.loaded(code, arguments.entity)
        if task is None:
            with entered(replace(context, importing=True)):
                task = bundle.load(code, arguments.entity)
        with entered(context):
            result: Any = task.dispatch(inputs, context)
        return _checked(result, arguments.entity)
    except BaseException as e:  # SystemExit and KeyboardInterrupt end the attempt by name too
        raise _Trouble(_user_problem(e, code)) from e


def _read_inputs(uri: str, handed: Handed | None) -> core.LiteralMap:
    if not uri:
        return core.LiteralMap()
    try:
        data = storage.read(uri) if handed is None else handed.inputs
        return core.LiteralMap.FromString(data)
    except DecodeError as e:
        message = f"The inputs at {uri} are damaged: {e}"
        raise _Trouble(Problem("InputsDamaged", message, recoverable=False, system=True)) from e
    except Exception as e:
        raise _Trouble(
            _storage_problem("InputsUnreadable", f"The inputs at {uri} could not be read", e)
        ) from e


def _checked(result: Any, entity: str) -> core.LiteralMap:
    if isinstance(result, core.LiteralMap):
        return result
    message = f"{entity} is not a task: its dispatch() gave a {type(result).__name__}."
    raise TypeError(message)


def _user_problem(error: BaseException, code: bundle.Unpacked) -> Problem:
    if isinstance(error, bundle.BundleRefused):
        return Problem("BundleRefused", str(error), recoverable=False)
    message = tracebacks.readable(error, code)
    if isinstance(error, SystemExit):
        message = f"The task called sys.exit({error.code!r}).\n\n{message}"
    recoverable = isinstance(error, RecoverableError)
    return Problem(type(error).__name__, message, recoverable=recoverable)


def _write_deck(arguments: Arguments, context: Context) -> None:
    """Decks come first: an engine that sees outputs may look for the deck at once. A deck that fails fails no task."""
    try:
        outputs.write_deck(arguments.output_prefix, context.decks, arguments.entity)
    except Exception as e:
        if is_full(e):
            raise
        _say(f"The deck could not be written: {type(e).__name__}: {e}")


def _storage_problem(code: str, what: str, error: BaseException) -> Problem:
    if is_full(error):
        message = (
            f"No space left on the device. {what}: {error}. Free some space; it is tried again."
        )
        return Problem("NoSpace", message, recoverable=True, system=True)
    message = f"{what}: {type(error).__name__}: {error}"
    return Problem(code, message, recoverable=True, system=True)


def is_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, is want of space on a disk."""
    seen: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if seen is None:
            return False
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _say(text: str) -> None:
    """To the log. The task may have closed or replaced its streams, either of them."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    with suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201  # the attempt's log is its standard error
