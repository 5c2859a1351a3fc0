"""Flyte's identifiers in requests, checked and turned into our names."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.message import Message

from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import EntityId, EntityKind, RunId
from flyte_jupyter.server.admin.errors import InvalidArgument

_EXECUTION_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_LONGEST = 255
_RESOURCE_TYPES = {
    EntityKind.TASK: core.ResourceType.TASK,
    EntityKind.WORKFLOW: core.ResourceType.WORKFLOW,
    EntityKind.LAUNCH_PLAN: core.ResourceType.LAUNCH_PLAN,
}


def entity_id(kind: EntityKind, identifier: core.Identifier) -> EntityId:
    """The full name of a version. Raises `InvalidArgument` when a part is missing or the type is another's."""
    wanted = _RESOURCE_TYPES[kind]
    given = identifier.resource_type
    if given not in (wanted, core.ResourceType.UNSPECIFIED):
        raise InvalidArgument(
            f"The identifier says {core.ResourceType.Name(given).lower()}, expected {kind.value}"
        )
    for part in ("project", "domain", "name", "version"):
        required(getattr(identifier, part), f"id.{part}")
    return EntityId(
        kind, identifier.project, identifier.domain, identifier.name, identifier.version
    )


def run_id(identifier: core.WorkflowExecutionIdentifier) -> RunId:
    """The name of an execution. Raises `InvalidArgument` when a part is missing."""
    for part in ("project", "domain", "name"):
        required(getattr(identifier, part), f"id.{part}")
    return RunId(identifier.project, identifier.domain, identifier.name)


def new_execution_name(name: str) -> str:
    """A name for a new execution as asked for. Raises `InvalidArgument` with the rule."""
    if not _EXECUTION_NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} cannot name an execution: a lower-case letter, then up to 62 lower-case "
            "letters, digits and dashes"
        )
    return name


def known_state(message: Message, field: str) -> None:
    """That an enumeration's field has one of its values: proto 3 lets any number in. Raises `InvalidArgument` with them."""
    enumeration: Any = message.DESCRIPTOR.fields_by_name[field].enum_type
    known = enumeration.values_by_number
    given = getattr(message, field)
    if given not in known:
        names = ", ".join(value.name for value in known.values())
        raise InvalidArgument(f"{field}={given} is none of {names}")


def required(value: str, what: str) -> str:
    """The value, which must be there and not be a novel. Raises `InvalidArgument` naming it."""
    if not value:
        raise InvalidArgument(f"{what} is missing")
    if len(value) > _LONGEST:
        raise InvalidArgument(f"{what} is longer than {_LONGEST} characters")
    if not value.isprintable():
        # It becomes an environment variable, a label, a part of paths and logs.
        raise InvalidArgument(f"{what} has characters that do not print: {value!a}")
    return value
