"""Shows in ``/proc`` whose a forked process is, as a process that was started by exec shows it by its environment.

What ``/proc/<pid>/environ`` shows is the memory in which a process was given its environment. A fork has a copy of its parent's, and
its own forks have copies of that. A zygote is started with a mark of nobody, as long as an attempt's, which is written over it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

_VARIABLE = "_FLYTE_JUPYTER_ATTEMPT"
_NAME = f"{_VARIABLE}=".encode()
# Of the fields of ``stat`` after the name in parentheses: the first and the last address of that memory.
_FROM, _TO = 47, 48


@cache
def place() -> memoryview:
    """The variable in that memory; nothing where there is none. Linux only.

    A zygote asks once, for all that are forked from it.
    """
    address, length = _address()
    return memoryview((ctypes.c_char * length).from_address(address)).cast("B")


def _address() -> tuple[int, int]:
    with suppress(OSError, ValueError, IndexError):
        shown = Path("/proc/self/environ").read_bytes()
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[_FROM]), int(fields[_TO])
        at = (b"\0" + shown).find(b"\0" + _NAME)
        if at >= 0 and len(shown) == end - start:
            return start + at, shown.index(b"\0", at) - at
    return 0, 0


def show(env: Mapping[str, str]) -> None:
    """Let this process, and whatever is forked from it, show the mark that this environment has."""
    memory = place()
    mark = _NAME + os.fsencode(env.get(_VARIABLE, ""))
    # A library may have made something else of that memory, such as a title for the process.
    if len(mark) == len(memory) and memory[: len(_NAME)] == _NAME:
        memory[:] = mark
