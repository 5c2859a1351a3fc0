"""What an author says about how a task runs: resources, retries, time, cache."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from flyte_jupyter.kernel.authoring.errors import AuthoringError

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LONGEST = 10**9
"""Seconds: thirty years; what is more, or not a number, is a mistake."""
_MOST_RETRIES = 2**31 - 1
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class FailurePolicy(StrEnum):
    """What the first failed node does to the rest of a workflow."""

    FAIL_IMMEDIATELY = "fail_immediately"
    """Running nodes are aborted."""
    FAIL_AFTER_EXECUTABLE_NODES_COMPLETE = "fail_after_executable_nodes_complete"
    """Nodes that do not depend on the failed one still run."""


@dataclass(frozen=True)
class Resources:
    """What a task needs of a machine, as Kubernetes quantities: ``Resources(cpu="2", mem="500Mi", gpu=1)``.

    `cpu` is in cores (``"500m"`` is half a core), `mem` and `ephemeral_storage` in bytes (``"1Gi"``), `gpu` in
    whole devices. None leaves it to the platform.

    Raises:
        AuthoringError: a value is not a quantity.
    """

    cpu: str | int | float | None = None
    mem: str | int | None = None
    gpu: str | int | None = None
    ephemeral_storage: str | int | None = None

    def __post_init__(self) -> None:
        for name, value in self.quantities().items():
            if not _QUANTITY.fullmatch(value):
                raise AuthoringError(
                    f"Resources({name}={value!r}) is not a quantity: write cpu='2' or '500m', mem='500Mi' or '2Gi'"
                )
        gpu = self.quantities().get("gpu", "0")
        if not gpu.isdigit():
            raise AuthoringError(f"Resources(gpu={gpu!r}): devices are whole; write gpu=1")

    def quantities(self) -> dict[str, str]:
        """The given ones as text, by the names of this class's fields; no GPU is the same as none asked for."""
        given = {
            "cpu": self.cpu,
            "mem": self.mem,
            "gpu": self.gpu or None,
            "ephemeral_storage": self.ephemeral_storage,
        }
        return {name: str(value) for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Cache:
    """That a task's outputs may be reused for equal inputs, and when to stop doing so.

    Outputs are found again under the task's name, its interface, `version` and the inputs without `ignored_inputs`. The name begins
    with the notebook's or the module's: notebooks called alike share what they remember under one version.
    With an empty version each change of the task's source starts anew. With `serialize` one of several equal attempts runs
    while the others wait for its outputs.
    """

    version: str = ""
    ignored_inputs: tuple[str, ...] = ()
    serialize: bool = False

    def __post_init__(self) -> None:
        given: object = self.ignored_inputs
        if isinstance(given, str):
            raise AuthoringError(f"Cache(ignored_inputs={given!r}): write a tuple, ({given!r},)")
        object.__setattr__(self, "ignored_inputs", tuple(self.ignored_inputs))

    def check_fits(self, entity: str, inputs: Iterable[str]) -> None:
        """That what it ignores are inputs of this task.

        Raises:
            AuthoringError: naming the task, what is not an input of it, and what is.
        """
        having = list(inputs)
        unknown = [name for name in self.ignored_inputs if name not in having]
        if unknown:
            raise AuthoringError(
                f"{entity}: Cache(ignored_inputs=...) names {', '.join(map(repr, unknown))}, which it does not take; "
                f"its inputs: {', '.join(having) or 'none'}"
            )


@dataclass(frozen=True)
class TaskPolicy:
    """How the attempts of one task run."""

    retries: int = 0
    """How many more attempts a recoverable failure is worth."""
    timeout: timedelta | None = None
    """How long one attempt may take."""
    cache: Cache | None = None
    requests: Resources = Resources()
    limits: Resources = Resources()

    def overridden(self, overrides: dict[str, Any]) -> TaskPolicy:
        """The policy with some of its fields given anew, in any form that `task` takes them."""
        return policy_of(**{**_fields(self), **overrides}) if overrides else self


def _fields(policy: TaskPolicy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in TaskPolicy.__dataclass_fields__}


def policy_of(**given: Any) -> TaskPolicy:
    """A policy from what an author wrote.

    Raises:
        AuthoringError: a value makes no sense; the message names it.
    """
    retries = given.get("retries", 0)
    whole = isinstance(retries, int) and not isinstance(retries, bool)
    if not whole or not 0 <= retries <= _MOST_RETRIES:
        raise AuthoringError(f"retries={retries!r}: give a whole number from 0 to {_MOST_RETRIES}")
    return TaskPolicy(
        retries=retries,
        timeout=duration(given.get("timeout")),
        cache=cache_of(given.get("cache")),
        requests=_resources("requests", given.get("requests")),
        limits=_resources("limits", given.get("limits")),
    )


def _resources(name: str, given: Any) -> Resources:
    if given is None:
        return Resources()
    if not isinstance(given, Resources):
        raise AuthoringError(f"{name}={given!r}: write {name}=Resources(cpu='1', mem='500Mi')")
    return given


def cache_of(given: Any) -> Cache | None:
    """``cache=True``, ``cache="1.0"`` and ``cache=Cache(...)`` alike."""
    match given:
        case None | False:
            return None
        case True:
            return Cache()
        case str() if given:
            return Cache(given)
        case Cache():
            return given
    raise AuthoringError(
        f'cache={given!r}: write cache="1.0", cache=True or cache=Cache("1.0", ...)'
    )


def failure_policy_of(given: Any) -> FailurePolicy:
    """A `FailurePolicy`, or its value as text. Raises `AuthoringError` with those that there are."""
    try:
        return FailurePolicy(given)
    except ValueError:
        known = ", ".join(f"FailurePolicy.{each.name}" for each in FailurePolicy)
        raise AuthoringError(f"failure_policy={given!r}: write one of {known}") from None


def names_of(option: str, given: Any) -> tuple[str, ...]:
    """Several names: one text by itself would be taken letter by letter. Raises `AuthoringError`."""
    if isinstance(given, str):
        raise AuthoringError(f"{option}={given!r}: write a tuple, {option}=({given!r},)")
    try:
        names = tuple(given)
    except TypeError:
        names = (None,)
    if not all(isinstance(name, str) for name in names):
        raise AuthoringError(f"{option}={given!r}: give names, such as {option}=('a', 'b')")
    return names


def duration(given: Any) -> timedelta | None:
    """A length of time from a timedelta, a number of seconds or text such as ``"5m"`` and ``"1h30m"``."""
    match given:
        case None:
            return None
        case timedelta():
            length = given
        case bool():
            length = timedelta(0)
        case int() | float() if 0 < given < _LONGEST:
            length = timedelta(seconds=given)
        case str() if given and not _DURATION.sub("", given.replace(" ", "")):
            parts = _DURATION.findall(given)
            seconds = sum(float(n) * _UNITS[unit] for n, unit in parts)
            length = timedelta(seconds=seconds if seconds < _LONGEST else 0)
        case _:
            length = timedelta(0)
    if length <= timedelta(0):
        raise AuthoringError(f'timeout={given!r}: give a timedelta, seconds, or text such as "5m"')
    return length
