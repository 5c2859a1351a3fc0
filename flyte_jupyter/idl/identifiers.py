"""Flyte's identifier messages and our names for the same things."""

from __future__ import annotations

from flyte_jupyter.idl import core
from flyte_jupyter.idl.ids import EntityId, EntityKind, RunId

_TO_MESSAGE = {
    EntityKind.TASK: core.ResourceType.TASK,
    EntityKind.WORKFLOW: core.ResourceType.WORKFLOW,
    EntityKind.LAUNCH_PLAN: core.ResourceType.LAUNCH_PLAN,
}
_FROM_MESSAGE = {number: kind for kind, number in _TO_MESSAGE.items()}


def entity_id(message: core.Identifier) -> EntityId:
    """The name that an identifier message holds. Raises `ValueError` for a kind that is not registered."""
    kind = _FROM_MESSAGE.get(message.resource_type)
    if kind is None:
        raise ValueError(f"{core.ResourceType.Name(message.resource_type)} is not a kind of entity")
    return EntityId(kind, message.project, message.domain, message.name, message.version)


def identifier(entity: EntityId) -> core.Identifier:
    """The message of an entity's name."""
    return core.Identifier(
        resource_type=_TO_MESSAGE[entity.kind],
        project=entity.project,
        domain=entity.domain,
        name=entity.name,
        version=entity.version,
    )


def run_id(message: core.WorkflowExecutionIdentifier) -> RunId:
    """The name that an execution's identifier message holds."""
    return RunId(message.project, message.domain, message.name)


def execution_identifier(run: RunId) -> core.WorkflowExecutionIdentifier:
    """The message of an execution's name."""
    return core.WorkflowExecutionIdentifier(project=run.project, domain=run.domain, name=run.name)
