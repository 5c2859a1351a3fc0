"""What an execution inherits: from its launch plan, from the installation, from the execution that started it."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from flyte_jupyter.idl import admin
from flyte_jupyter.idl.variables import is_possible
from flyte_jupyter.server.admin.errors import InvalidArgument

_FROM_PARENT = (
    "security_context",
    "raw_output_data_config",
    "labels",
    "annotations",
    "interruptible",
    "envs",
    "execution_cluster_label",
    "cluster_assignment",
)


def apply_policies(
    spec: admin.ExecutionSpec, plan: admin.LaunchPlanSpec, max_parallelism: int
) -> None:
    """Request over launch plan over installation, as Flyte merges them. Raises `InvalidArgument`."""
    check_parallelism(spec.max_parallelism)
    spec.max_parallelism = spec.max_parallelism or plan.max_parallelism or max_parallelism
    spec.overwrite_cache = spec.overwrite_cache or plan.overwrite_cache
    for field in ("interruptible", "raw_output_data_config", "security_context"):
        _inherit(spec, plan, field)
    for theirs, ours in (
        (plan.labels.values, spec.labels.values),
        (plan.annotations.values, spec.annotations.values),
    ):
        for key, value in theirs.items():
            if key not in ours:
                ours[key] = value


def check_parallelism(most: int) -> None:
    """Refuse a number of nodes with which none would ever begin."""
    if most < 0:
        raise InvalidArgument(
            f"spec.max_parallelism={most}: give a number above 0; 0 leaves it to the launch plan and the platform"
        )


def child_spec(parent: admin.ExecutionSpec) -> admin.ExecutionSpec:
    """What a child execution takes over from its parent (Flyte: ``subworkflow/launchplan/admin.go``)."""
    spec = admin.ExecutionSpec(
        max_parallelism=parent.max_parallelism, overwrite_cache=parent.overwrite_cache
    )
    for field in _FROM_PARENT:
        _inherit(spec, parent, field)
    return spec


def environment(spec: admin.ExecutionSpec, plan: admin.LaunchPlanSpec) -> Mapping[str, str]:
    """The variables of every attempt: the request's win over the launch plan's. Refused are those no process could have."""
    env = {pair.key: pair.value for pair in plan.envs.values}
    env |= {pair.key: pair.value for pair in spec.envs.values}
    for name, value in env.items():
        if not is_possible(name, value):
            raise InvalidArgument(
                f"spec.envs: no process can have the environment variable {name!r}: give it a name without '=', "
                "and neither name nor value a NUL"
            )
    return env


def _inherit(spec: Message, origin: Message, field: str) -> None:
    if not spec.HasField(field) and origin.HasField(field):
        getattr(spec, field).CopyFrom(getattr(origin, field))
