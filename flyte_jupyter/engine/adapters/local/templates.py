"""What is asked of a task's template by each of its attempts, found out once. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from flyte_jupyter.idl import core

_MOST = 256
T = TypeVar("T")


def once_a_template(
    ask: Callable[[core.TaskTemplate], T],
) -> Callable[[core.TaskTemplate], T]:
    """Remember what a pure function says of a template, which nobody changes once it is made. Errors are not remembered."""
    known: dict[int, tuple[core.TaskTemplate, T]] = {}

    @wraps(ask)
    def remembered(template: core.TaskTemplate) -> T:
        found = known.get(id(template))
        # Held here, so that no other template can have its number.
        if found is not None and found[0] is template:
            return found[1]
        said = ask(template)
        if len(known) >= _MOST:
            known.clear()
        known[id(template)] = template, said
        return said

    return remembered
