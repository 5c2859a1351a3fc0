"""What each listing can be asked about, under the names that Flyte's clients use."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import case, func

from flyte_jupyter.idl import admin, core
from flyte_jupyter.store.query import Field, Kind
from flyte_jupyter.store.selecting import Beside, Listing
from flyte_jupyter.store.tables import (
    artifacts,
    entities,
    executions,
    names,
    node_executions,
    projects,
    signals,
    tags,
    task_executions,
)


def _prefixed(prefix: str, fields: Mapping[str, Field]) -> dict[str, Field]:
    """The fields by their names, and by the names with the entity in front (``execution.phase``, ``execution_phase``)."""
    named = dict(fields)
    for name, field in fields.items():
        if "." not in name:
            named[f"{prefix}.{name}"] = field
            named.setdefault(f"{prefix}_{name}", field)
    return named


_TIMES = {
    "created_at": Field("created_at", Kind.TIME),
    "updated_at": Field("updated_at", Kind.TIME),
    "started_at": Field("started_at", Kind.TIME),
    "duration": Field("duration", Kind.DURATION),
}
_STATES = dict(admin.ExecutionState.items())
GENERATED = ".flytegen"
"""Names that begin so are the platform's own, made to launch a single task."""
_SINGLE = func.substr(executions.c.workflow, 1, len(GENERATED) + 1) == f"{GENERATED}."
"""Whether an execution is of a single task, which then stands where others have their launch plan."""

EXECUTIONS = Listing(
    executions,
    _prefixed(
        "execution",
        {
            **{name: Field(name) for name in ("project", "domain", "name", "error_code")},
            "phase": Field("phase", Kind.INTEGER, dict(core.WorkflowExecution.Phase.items())),
            "state": Field(
                "state",
                Kind.INTEGER,
                _STATES | {k.removeprefix("EXECUTION_"): v for k, v in _STATES.items()},
            ),
            "mode": Field(
                "mode", Kind.INTEGER, dict(admin.ExecutionMetadata.ExecutionMode.items())
            ),
            "user": Field("principal"),
            "principal": Field("principal"),
            "launch_plan.name": Field("plan"),
            "launch_plan.version": Field("plan_version"),
            "task.name": Field("task"),
            "task.version": Field("task_version"),
            "workflow.name": Field("workflow"),
            "workflow.version": Field("workflow_version"),
            # Ours, for a person who types a part of either name.
            "search": Field("search"),
            **_TIMES,
        },
    ),
    (executions.c.run_id.desc(),),
    hidden_state=admin.ExecutionState.EXECUTION_ARCHIVED,
    computed={
        "search": executions.c.name + " " + executions.c.workflow,
        "plan": case((_SINGLE, ""), else_=executions.c.launch_plan),
        "plan_version": case((_SINGLE, ""), else_=executions.c.launch_plan_version),
        "task": case((_SINGLE, executions.c.launch_plan), else_=""),
        "task_version": case((_SINGLE, executions.c.launch_plan_version), else_=""),
    },
    beside=Beside(
        tags,
        {"execution_tag.key": Field("tag"), "execution_tag.value": Field("value")},
        "run_id",
    ),
)
NODE_EXECUTIONS = Listing(
    node_executions,
    _prefixed(
        "node_execution",
        {
            "node_id": Field("node"),
            "spec_node_id": Field("spec_node"),
            "error_code": Field("error_code"),
            "phase": Field("phase", Kind.INTEGER, dict(core.NodeExecution.Phase.items())),
            **_TIMES,
        },
    ),
    (node_executions.c.id.asc(),),
)
TASK_EXECUTIONS = Listing(
    task_executions,
    _prefixed(
        "task_execution",
        {
            "node_id": Field("node"),
            "retry_attempt": Field("attempt", Kind.INTEGER),
            "task.name": Field("task"),
            "task.version": Field("task_version"),
            "error_code": Field("error_code"),
            "phase": Field("phase", Kind.INTEGER, dict(core.TaskExecution.Phase.items())),
            **_TIMES,
        },
    ),
    (task_executions.c.node.asc(), task_executions.c.attempt.asc()),
)
SIGNALS = Listing(
    signals,
    _prefixed(
        "signal",
        # They are numbered as they are opened.
        {name: Field("signal") for name in ("signal_id", "id")}
        | {"created_at": Field("id", Kind.INTEGER)},
    ),
    (signals.c.id.asc(),),
)
ARTIFACTS = Listing(
    artifacts,
    _prefixed(
        "artifact",
        {
            **{name: Field(name) for name in ("project", "domain", "task", "version", "source")},
            "created_at": _TIMES["created_at"],
        },
    ),
    (artifacts.c.created_at.desc(), artifacts.c.source.asc()),
)
_ENTITY = {
    **{name: Field(name) for name in ("project", "domain", "name", "version")},
    "created_at": _TIMES["created_at"],
    "updated_at": _TIMES["updated_at"],
}
TASKS = Listing(entities, _prefixed("task", _ENTITY), (entities.c.id.desc(),))
WORKFLOWS = Listing(entities, _prefixed("workflow", _ENTITY), (entities.c.id.desc(),))
LAUNCH_PLANS = Listing(
    entities,
    {
        **_prefixed(
            "launch_plan",
            {**_ENTITY, "state": Field("state", Kind.INTEGER, dict(admin.LaunchPlanState.items()))},
        ),
        "workflow.name": Field("workflow"),
    },
    (entities.c.id.desc(),),
)
NAME_STATE = func.coalesce(names.c.state, int(admin.NamedEntityState.NAMED_ENTITY_ACTIVE))
NAME_DESCRIPTION = func.coalesce(names.c.description, "")
"""What is said about a name, of which there may be no row."""
NAMES = Listing(
    entities,
    _prefixed(
        "named_entity_metadata",
        {
            "name": Field("name"),
            "description": Field("description"),
            "state": Field("state", Kind.INTEGER, dict(admin.NamedEntityState.items())),
        },
    ),
    (entities.c.name.asc(),),
    hidden_state=admin.NamedEntityState.NAMED_ENTITY_ARCHIVED,
    computed={"state": NAME_STATE, "description": NAME_DESCRIPTION},
)
_PROJECT_STATES = dict(admin.Project.ProjectState.items())
PROJECTS = Listing(
    projects,
    _prefixed(
        "project",
        {
            "identifier": Field("project"),
            "id": Field("project"),
            "name": Field("name"),
            "description": Field("description"),
            "state": Field("state", Kind.INTEGER, _PROJECT_STATES),
        },
    ),
    (projects.c.name.asc(), projects.c.project.asc()),
    hidden_state=admin.Project.ARCHIVED,
)
