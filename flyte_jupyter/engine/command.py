"""From a task template to a command line and to the variables that tell an attempt who it is. Pure, for every executor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from flyte_jupyter.engine.ports import AttemptSpec
from flyte_jupyter.idl import core, literals, msgpack
from flyte_jupyter.idl.ids import path_text

_TEMPLATE = re.compile(
    r"\{\{\s*[.$](?:(?i:inputs)\.(?P<input>[^}\s]+)|(?P<name>[A-Za-z_][\w.]*))\s*\}\}"
)
_REFERENCE = re.compile(r"\$(?:\$|\((?P<name>[^)]*)\))")
_INPUT = "inputs."
_EMPTY = '""'
# A key for an attempt becomes a name of a table or a variable.
_NO_START, _NO_NAME = re.compile(r"^[^A-Za-z_]+"), re.compile(r"[^A-Za-z0-9_]+")
# Read by the interpreter, the loader or the C library as a process starts, and never again.
_AT_START = ("PYTHON", "LD_", "DYLD_", "MALLOC_", "LC_")
_AT_START_TOO = {"LANG", "GLIBC_TUNABLES"}
# Attempts have this one in any case.
_GIVEN = "PYTHONUNBUFFERED"
ATTEMPT, NODE = "FLYTE_ATTEMPT_NUMBER", "FLYTE_INTERNAL_NODE_ID"
PLACES = frozenset({ATTEMPT, NODE})
"""The variables that tell an attempt from others of its task in its execution."""


class UnknownInput(Exception):
    """A command names an input that its task does not have."""


def filled(words: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """Words with their templates filled as Flyte fills them: ``{{.input}}``, ``{{$input}}``, whatever the case.

    Unknown templates are left as they stand; known ones that are empty become two quotes, but for an input, which is its value.
    Raises `UnknownInput` for an input that is not among those there are; where there are none at all, it is left too.
    """
    return Form(words).filled(values)


class _Gap(NamedTuple):
    """A template in a word: how it is written, and the name of what it stands for. An input's name has its case."""

    text: str
    name: str
    is_input: bool

    def value(self, values: Mapping[str, str]) -> str:
        if self.is_input:
            given = values.get(self.name, values.get(self.name.lower()))
            return _no_input(self, values) if given is None else given
        known = values.get(self.name)
        return self.text if known is None else known or _EMPTY


class _Mixture(NamedTuple):
    """A word that is not one template from end to end."""

    parts: Sequence[str | _Gap]

    def value(self, values: Mapping[str, str]) -> str:
        return "".join(p if isinstance(p, str) else p.value(values) for p in self.parts)


class Form:
    """Words whose templates are found once, for who fills them many times."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(_parsed(word) if "{{" in word else word for word in words)

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """As `filled` does."""
        return [w if isinstance(w, str) else w.value(values) for w in self._words]


def _parsed(word: str) -> _Gap | _Mixture:
    parts: list[str | _Gap] = []
    end = 0
    for match in _TEMPLATE.finditer(word):
        name, is_input = match["name"], bool(match["input"])
        gap = _Gap(match[0], _INPUT + match["input"] if is_input else name.lower(), is_input)
        if gap.text == word:
            return gap
        parts += [word[end : match.start()], gap]
        end = match.end()
    return _Mixture([*parts, word[end:]])


def _no_input(gap: _Gap, values: Mapping[str, str]) -> str:
    """The template as it stands, of a command that has no inputs. Raises `UnknownInput` when it has others."""
    names = [name.removeprefix(_INPUT) for name in values if name.startswith(_INPUT)]
    if not names:
        return gap.text
    spelt = {name.lower(): name for name in names}  # as it is called, which comes last
    wanted, known = gap.name.removeprefix(_INPUT), ", ".join(sorted(spelt.values()))
    raise UnknownInput(
        f"its command has {gap.text}, and it has no input {wanted!r}: its inputs are {known}. "
        "Correct the name in its command or its arguments, and register it again."
    )


def values_for(
    spec: AttemptSpec, key: str, namespace: str, inputs: core.LiteralMap | None = None
) -> dict[str, str]:
    """What the templates of an attempt's command stand for.

    `key` is a name for this attempt alone; `inputs` serves ``{{.inputs.x}}`` and is needed when `names_inputs`.
    """
    known = {
        "input": spec.inputs,
        "inputprefix": spec.inputs.rpartition("/")[0],
        "outputprefix": spec.output_prefix,
        "rawoutputdataprefix": spec.raw_output_prefix,
        "perretryuniquekey": _NO_NAME.sub("_", _NO_START.sub("a", key)),
        "checkpointoutputprefix": f"{spec.raw_output_prefix}/_flytecheckpoints",
        "prevcheckpointprefix": spec.prev_checkpoint,
        "namespace": namespace,
        "tasktemplatepath": "",
    }
    if inputs is None:
        return known
    # What may be None need not be given, and is nothing then.
    texts = dict.fromkeys(spec.template.interface.inputs.variables, "")
    texts.update({name: text_of(literal) for name, literal in inputs.literals.items()})
    # Of inputs that differ in their case only, each is found as it is called.
    other_cases = {_INPUT + name.lower(): text for name, text in texts.items()}
    return known | other_cases | {_INPUT + name: text for name, text in texts.items()}


def escaped(values: Mapping[str, str]) -> dict[str, str]:
    """Values that name no variables, where Kubernetes or `expanded` reads the words that they are filled into."""
    return {name: value.replace("$", "$$") for name, value in values.items()}


def expanded(words: Iterable[str], variables: Mapping[str, str]) -> list[str]:
    """Words with ``$(NAME)`` replaced by the variable's value, as Kubernetes does in a container's command and arguments.

    ``$$`` is one ``$``, so that ``$$(NAME)`` stays ``$(NAME)``; a name that is unknown stays as it is written.
    """

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        return "$" if name is None else variables.get(name, match[0])

    return [_REFERENCE.sub(value, word) if "$" in word else word for word in words]


def names_inputs(words: Iterable[str]) -> bool:
    """Whether a command names single inputs, so that their values must be read to write it."""
    return any(m["input"] for word in words for m in _TEMPLATE.finditer(word))


def text_of(literal: core.Literal) -> str:
    """A literal on a command line: lists in brackets, files by their URI, structures and maps as JSON, what has no text as nothing."""
    if literal.WhichOneof("value") == "collection":
        return "[" + ",".join(text_of(item) for item in literal.collection.literals) + "]"
    if literal.WhichOneof("value") == "map":
        return _json(literals.value(literal))
    scalar = literal.scalar
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive_text(scalar.primitive)
        case "generic":
            return _json(literals.value(literal))
        case "binary" if scalar.binary.tag == msgpack.TAG:
            found = literals.value(literal)
            return found if isinstance(found, str) else _json(found)
        case "blob":
            return scalar.blob.uri
        case "schema":
            return scalar.schema.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case "union":
            return text_of(scalar.union.value)
        case _:
            return ""


def _primitive_text(primitive: core.Primitive) -> str:
    name = primitive.WhichOneof("value")
    value = getattr(primitive, name) if name else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.ToJsonString()) if hasattr(value, "ToJsonString") else str(value)


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)


def read_at_start(names: Iterable[str]) -> set[str]:
    """Those of these variables that a process must be started with: in a fork of one that runs already they come too late."""
    found = {name for name in names if name.startswith(_AT_START) or name in _AT_START_TOO}
    return found - {_GIVEN}


def identity_of(spec: AttemptSpec) -> dict[str, str]:
    """The environment variables by which Flyte's tasks know who they are."""
    task, run, place = spec.template.id, spec.id.run, place_of(spec)
    return {
        "FLYTE_INTERNAL_EXECUTION_ID": run.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": run.project,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": run.domain,
        ATTEMPT: place[ATTEMPT],
        "FLYTE_INTERNAL_TASK_PROJECT": task.project,
        "FLYTE_INTERNAL_TASK_DOMAIN": task.domain,
        "FLYTE_INTERNAL_TASK_NAME": task.name,
        "FLYTE_INTERNAL_TASK_VERSION": task.version,
        NODE: place[NODE],
    }


def place_of(spec: AttemptSpec) -> dict[str, str]:
    """Those of them that tell an attempt from others of its task in its execution."""
    return {ATTEMPT: str(spec.id.attempt), NODE: path_text(spec.id.path)}
