"""Names of things: executions, registered entities, and places inside an execution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Where a node stands in an execution: ``("n0",)``; inside a composite at its attempt 0 ``("n0", 0, "dn3")``.

A string names a node. An integer at the end is an item of an array node, any other an attempt.
"""

_LONGEST = 20
_DIGITS = "abcdefghijklmnopqrstuvwxyz123456"


@lru_cache(maxsize=1024)  # all nodes inside of one ask for it
def path_text(path: Path) -> str:
    """The node id that clients see for a path: Flyte's, of at most 20 characters for everything inside a node.

    A node inside is named by its parent's id, the parent's attempt and its own id; an item by the array node's id and its index
    (``FixedLengthUniqueIDForParts`` in ``pluginmachinery/encoding/encoder.go``).
    """
    if len(path) == 1:
        return str(path[0])
    inside = 1 if isinstance(path[-1], int) else 2
    return short_id("-".join([path_text(path[:-inside]), *map(str, path[-inside:])]))


def place_text(path: Path) -> str:
    """As `path_text`, but of an item the array node's id, a slash and its index: a node beside it may be called as an item is."""
    if isinstance(path[-1], int):
        return f"{path_text(path[:-1])}/{path[-1]}"
    return path_text(path)


def path_json(path: Path, quoted: Callable[[str], str]) -> str:
    """A path as a JSON list without spaces, whose texts are `quoted` so. Large commits have thousands; most have one part."""
    if len(path) == 1 and isinstance(first := path[0], str):
        return f"[{quoted(first)}]"
    parts = [quoted(part) if isinstance(part, str) else str(part) for part in path]
    return f"[{','.join(parts)}]"


def short_id(text: str, *, bits: int = 32) -> str:
    """The text where it has at most 20 characters, else ``f`` and its FNV-1a hash (Flyte: ``FixedLengthUniqueID``)."""
    if len(text) <= _LONGEST:
        return text
    prime, mark = {32: (0x01000193, 0x811C9DC5), 64: (0x100000001B3, 0xCBF29CE484222325)}[bits]
    for byte in text.encode("utf-8", "surrogatepass"):
        mark = ((mark ^ byte) * prime) & ((1 << bits) - 1)
    places = -(-bits // 5)
    mark <<= places * 5 - bits
    return "f" + "".join(_DIGITS[(mark >> (5 * at)) & 31] for at in reversed(range(places)))


# Tuples: every queue and table of a running engine looks them up, and a tuple is hashed without Python's help.


class RunId(NamedTuple):
    """The name of one execution (Flyte: ``WorkflowExecutionIdentifier``)."""

    project: str
    domain: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.domain}/{self.name}"


class AttemptId(NamedTuple):
    """One try at one node of one execution: the unit that an executor knows."""

    run: RunId
    path: Path
    attempt: int

    def __str__(self) -> str:
        return f"{self.run}/{path_text(self.path)}/{self.attempt}"


def child_run(attempt: AttemptId) -> RunId:
    """The execution that an attempt of a launch plan node is (Flyte: ``nodes/subworkflow/util.go``)."""
    run = attempt.run
    name = f"{run.name}-{path_text(attempt.path)}-{attempt.attempt}"
    return RunId(run.project, run.domain, short_id(name, bits=64))


class EntityKind(StrEnum):
    """What can be registered (Flyte: ``ResourceType``)."""

    TASK = "task"
    WORKFLOW = "workflow"
    LAUNCH_PLAN = "launch_plan"


@dataclass(frozen=True, slots=True, order=True)
class EntityId:
    """The name of one version of one registered entity (Flyte: ``Identifier``)."""

    kind: EntityKind
    project: str
    domain: str
    name: str
    version: str

    def __str__(self) -> str:
        version = f"@{self.version}" if self.version else ""
        return f"{self.kind.value} {self.project}/{self.domain}/{self.name}{version}"
