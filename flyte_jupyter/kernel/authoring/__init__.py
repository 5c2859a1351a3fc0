"""Tasks and workflows as an author writes them."""

from flyte_jupyter.kernel.authoring.errors import AuthoringError, PromiseError, WorkflowBodyError
from flyte_jupyter.kernel.authoring.map_tasks import MapTask, map_task
from flyte_jupyter.kernel.authoring.policies import Cache, FailurePolicy, Resources, TaskPolicy
from flyte_jupyter.kernel.authoring.promises import Promise
from flyte_jupyter.kernel.authoring.tasks import Task, task
from flyte_jupyter.kernel.authoring.workflows import Workflow, workflow

__all__ = [
    "AuthoringError",
    "Cache",
    "FailurePolicy",
    "MapTask",
    "Promise",
    "PromiseError",
    "Resources",
    "Task",
    "TaskPolicy",
    "Workflow",
    "WorkflowBodyError",
    "map_task",
    "task",
    "workflow",
]
