"""What is open in the pod of a task until an attempt fills it: words of commands, and values of variables.

Between drawing and filling a gap stands where its text will, and is copied and merged as that would be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flyte_jupyter.engine.command import escaped, filled, identity_of, values_for
from flyte_jupyter.engine.pods.manifests import Manifest
from flyte_jupyter.engine.pods.naming import namespace_of, pod_name
from flyte_jupyter.engine.pods.settings import PodSettings
from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core


@dataclass(frozen=True, slots=True)
class Filling:
    """One attempt, as far as gaps ask for it."""

    spec: AttemptSpec
    words: Mapping[str, str]
    """What the templates of a command stand for."""
    identity: Mapping[str, str]


Gap = Callable[[Filling], str]
"""The text in one place, for each attempt its own."""


def filling_of(spec: AttemptSpec, settings: PodSettings, inputs: core.LiteralMap | None) -> Filling:
    """What an attempt puts into the gaps of its task's pod."""
    values = values_for(spec, pod_name(spec.id), namespace_of(spec.id.run, settings), inputs)
    # What comes from outside the task's own words is no variable, whatever it looks like.
    return Filling(spec, escaped(values), identity_of(spec))


def word(text: str) -> str | Gap:
    """A word of a command, open if it has templates."""
    if "{{" not in text:
        return text

    def gap(of: Filling) -> str:
        return filled((text,), of.words)[0]

    return gap


def who(name: str) -> Gap:
    """The variable of this name, of those that tell an attempt who it is."""

    def gap(of: Filling) -> str:
        return of.identity[name]

    return gap


def variable(name: str) -> Gap:
    """The execution's variable of this name."""

    def gap(of: Filling) -> str:
        return of.spec.env[name]

    return gap


def closed(body: Manifest, filling: Filling) -> Manifest:
    """A pod's ``spec`` without gaps. All but what had some is shared with the one it was made of."""
    made = dict(body)
    for kind in ("initContainers", "containers"):
        if kind in body:
            made[kind] = [_closed(container, filling) for container in body[kind]]
    return made


def _closed(container: Manifest, filling: Filling) -> Manifest:
    made = dict(container)
    for field in ("command", "args"):
        if field in made:
            made[field] = [_text(each, filling) for each in made[field]]
    if "env" in made:
        made["env"] = [
            {**each, "value": each["value"](filling)} if callable(each.get("value")) else each
            for each in made["env"]
        ]
    return made


def _text(value: Any, filling: Filling) -> Any:
    return value(filling) if callable(value) else value
