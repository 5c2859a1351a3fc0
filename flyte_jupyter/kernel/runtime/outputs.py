"""What an attempt leaves below its output prefix: outputs or an error, and perhaps a deck."""

from __future__ import annotations

from dataclasses import dataclass

from flyte_jupyter.idl import core
from flyte_jupyter.idl.texts import both_ends
from flyte_jupyter.kernel.context import Decks
from flyte_jupyter.kernel.deck import render
from flyte_jupyter.kernel.runtime import storage

_MOST_MESSAGE = 100_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an attempt failed, in the terms of Flyte's ``ContainerError``."""

    code: str
    message: str
    recoverable: bool
    system: bool = False

    def document(self) -> core.ErrorDocument:
        """As the engine reads it."""
        kinds = core.ContainerError
        origins = core.ExecutionError
        message = self.message.encode("utf-8", "replace").decode()
        return core.ErrorDocument(
            error=core.ContainerError(
                code=self.code,
                message=both_ends(message, _MOST_MESSAGE),
                kind=kinds.RECOVERABLE if self.recoverable else kinds.NON_RECOVERABLE,
                origin=origins.SYSTEM if self.system else origins.USER,
            )
        )


def write_outputs(prefix: str, outputs: core.LiteralMap) -> None:
    """Leave ``outputs.pb``. Equal outputs give equal bytes."""
    storage.write(storage.join(prefix, "outputs.pb"), serialised(outputs))


def serialised(outputs: core.LiteralMap) -> bytes:
    """Outputs as they are left."""
    return outputs.SerializeToString(deterministic=True)


def write_problem(prefix: str, problem: Problem) -> None:
    """Leave ``error.pb``."""
    data = problem.document().SerializeToString(deterministic=True)
    storage.write(storage.join(prefix, "error.pb"), data)


def write_deck(prefix: str, decks: Decks, title: str) -> None:
    """Leave ``deck.html`` when the task has collected anything."""
    if decks:
        page = render(decks.pages, title)
        # A lone surrogate in somebody's string must not cost the whole page.
        storage.write(storage.join(prefix, "deck.html"), page.encode("utf-8", "replace"))
