"""Whether a task could ever run on this machine, asked at launch rather than found out after an hour."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from flyte_jupyter.idl import core
from flyte_jupyter.server.admin.errors import InvalidArgument

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-zA-Z]*|[eE][+-]?[0-9]+)")
_SUFFIXES = {
    "": Fraction(1), "m": Fraction(1, 1000), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9),
    "T": Fraction(10**12), "P": Fraction(10**15), "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30),
    "Ti": Fraction(2**40), "Pi": Fraction(2**50),
}  # fmt: skip
_NAMES = {
    core.Resources.CPU: "cpu",
    core.Resources.GPU: "gpu",
    core.Resources.MEMORY: "memory",
}


@dataclass(frozen=True, slots=True)
class Capacity:
    """The most that one attempt can have: cores, bytes, devices."""

    cpu: float
    memory: int
    gpu: int


def check_fits(tasks: Iterable[core.TaskTemplate], capacity: Capacity) -> None:
    """Refuse what this machine can never run.

    Raises:
        InvalidArgument: naming the task, what it asks for, what there is, and the way out.
    """
    have = {
        "cpu": Fraction(capacity.cpu),
        "memory": Fraction(capacity.memory),
        "gpu": Fraction(capacity.gpu),
    }
    for task in tasks:
        for entry in task.container.resources.requests:
            name = _NAMES.get(entry.name)
            if name and _amount(entry.value, task, name) > have[name]:
                raise InvalidArgument(
                    f"Task {task.id.name} requests {name} {entry.value} and this machine has "
                    f"{_shown(name, have[name])}: lower the request, or run it where there is more"
                )


def _amount(text: str, task: core.TaskTemplate, name: str) -> Fraction:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[2] not in _SUFFIXES:
        raise InvalidArgument(
            f"Task {task.id.name}: {text!r} is no amount of {name}; write it like 2, 500m or 4Gi"
        )
    return Fraction(found[1]) * _SUFFIXES[found[2]]


def _shown(name: str, amount: Fraction) -> str:
    return f"{float(amount / 2**30):.1f}Gi" if name == "memory" else f"{float(amount):g}"
