"""Why something in a notebook cannot travel to a task, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flyte_jupyter.kernel.errors import FlyteJupyterError


@dataclass(frozen=True, order=True)
class Problem:
    """One name that cannot be captured: where it is used, why not, and the remedy."""

    name: str
    used: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"`{self.name}` (used in {self.used}): {self.why}. {self.remedy}."


class NotebookError(FlyteJupyterError):
    """Something that the notebook layer refuses; the message says what to do instead."""


class CaptureError(NotebookError):
    """Notebook code that cannot be captured as source: every problem at once.

    Attributes:
        entity: the task, workflow or class that was asked for.
        problems: what stands in the way, sorted by name.
    """

    def __init__(self, entity: str, problems: Iterable[Problem]) -> None:
        self.entity = entity
        self.problems = tuple(sorted(set(problems)))
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{entity} cannot be sent to a task as it stands:\n{lines}")


AS_INPUT = "Make it an input of the task"


def undefined(name: str, used: str) -> Problem:
    """Nothing in the notebook has this name, now or earlier."""
    return Problem(name, used, "nothing defines it", "Define it in a cell, or mend the name")


def deleted(name: str, used: str, where: str) -> Problem:
    """The name was there and was deleted."""
    return Problem(name, used, f"it was deleted in {where}", "Run the cell that defines it again")


def without_cell(name: str, used: str) -> Problem:
    """The name has a value, but no recorded statement gave it one."""
    return Problem(
        name,
        used,
        "no cell that ran defines it (exec, eval, magics and other indirect ways leave no source)",
        f"Write its definition in a cell, or: {AS_INPUT.lower()}",
    )


def not_code(name: str, used: str, where: str, origin: str) -> Problem:
    """The value comes from something that does not exist where the task runs."""
    return Problem(name, used, f"{where} takes its value from {origin}", AS_INPUT)


def of_the_session(name: str, used: str) -> Problem:
    """A magic, a line for the shell, or a value that IPython keeps."""
    if name == "get_ipython":
        why = "a magic (%) or shell (!) line needs the notebook's own session, which is not where the task runs"
        return Problem(name, used, why, "Write it in Python: subprocess.run for the shell, say")
    return not_code(name, used, "IPython", "the notebook's own session")


def not_small(name: str, used: str, where: str, kind: str) -> Problem:
    """The value is data, not code: a task gets data through its inputs."""
    return Problem(
        name,
        used,
        f"{where} makes it a {kind}, which is data and not part of the code",
        f"{AS_INPUT}, or create it inside the task",
    )


def computed(name: str, used: str, where: str) -> Problem:
    """A small value, but one that a call made: it may be another one where the task runs."""
    return Problem(
        name,
        used,
        f"{where} computes it with a call that would run again in the task",
        f"{AS_INPUT}, or write the value down in the cell",
    )


def changed(name: str, used: str, where: str) -> Problem:
    """The live value is not the one that the cells' source gives."""
    return Problem(
        name,
        used,
        f"its value now is not the one that {where} gives it: something changed it afterwards",
        f"Set it in a cell of its own, or: {AS_INPUT.lower()}",
    )
