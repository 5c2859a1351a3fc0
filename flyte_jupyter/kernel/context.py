"""What a running task may know about where it runs: one variable that holds one frozen value."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Mode(StrEnum):
    """Why the code runs."""

    LOCAL = "local"
    """Called in this very process: a notebook cell, a script, a test."""
    COMPILE = "compile"
    """A workflow's body is being turned into a graph."""
    TASK = "task"
    """An attempt that an engine launched."""


@dataclass(slots=True)
class Decks:
    """Named pages of HTML that a task has collected so far, in the order in which they were first named."""

    pages: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, html: str) -> None:
        """Put a piece of HTML at the end of the page of this name."""
        self.pages.setdefault(name, []).append(html)

    def __bool__(self) -> bool:
        return bool(self.pages)


@dataclass(frozen=True, slots=True)
class Context:
    """Where the present code runs. Empty strings where there is no such thing (no execution, no checkpoint)."""

    mode: Mode = Mode.LOCAL
    project: str = ""
    domain: str = ""
    execution: str = ""
    """Name of the execution inside its project and domain."""
    node: str = ""
    attempt: int = 0
    raw_output_prefix: str = ""
    """URI below which a task puts data that is too large for a literal."""
    working_directory: Path = field(default_factory=Path.cwd)
    """The attempt's own folder; it is gone once the attempt is over."""
    checkpoint: str = ""
    """URI at which this attempt may leave a checkpoint for the next."""
    previous_checkpoint: str = ""
    """URI of the checkpoint that an earlier attempt left."""
    decks: Decks = field(default_factory=Decks)
    importing: bool = False
    """Whether an attempt is only importing its task's code as yet."""
    building: object | None = None
    """In compile mode, the graph that the calls of tasks become nodes of (`authoring.building.Building`)."""


_current: ContextVar[Context] = ContextVar("flyte_jupyter_context")


def current_context() -> Context:
    """The context of the present code; outside of any task a fresh local one."""
    return _current.get(None) or Context()


class _Entered:
    """As `contextmanager` would make it of a generator, in a third of the time: each attempt enters one."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> Context:
        self._token = _current.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def entered(context: Context) -> _Entered:
    """Make `context` the current one inside the ``with`` block."""
    return _Entered(context)
