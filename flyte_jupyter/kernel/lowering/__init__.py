"""Authoring objects become the messages that admin registers. Pure: everything ambient is an argument."""

from flyte_jupyter.kernel.lowering.target import Code, Target
from flyte_jupyter.kernel.lowering.tasks import NOTEBOOK, lower_task, task_version
from flyte_jupyter.kernel.lowering.workflows import (
    lower_launch_plan,
    lower_workflow,
    versioned_workflow,
)

__all__ = [
    "NOTEBOOK",
    "Code",
    "Target",
    "lower_launch_plan",
    "lower_task",
    "lower_workflow",
    "task_version",
    "versioned_workflow",
]
