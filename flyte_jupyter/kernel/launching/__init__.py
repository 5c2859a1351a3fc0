"""From a function in a cell to an execution on the control plane, and back to its outputs."""

from flyte_jupyter.kernel.launching.errors import (
    ExecutionFailed,
    LaunchingError,
    NotFinished,
    SharedCache,
    WaitInterrupted,
    WaitTimeout,
)
from flyte_jupyter.kernel.launching.execution import Execution
from flyte_jupyter.kernel.launching.launch import (
    LaunchOptions,
    execution,
    launch,
    recent,
    register,
)
from flyte_jupyter.kernel.launching.nodes import NodeView
from flyte_jupyter.kernel.launching.registration import Registered, Registration
from flyte_jupyter.kernel.launching.values import Values

__all__ = [
    "Execution",
    "ExecutionFailed",
    "LaunchOptions",
    "LaunchingError",
    "NodeView",
    "NotFinished",
    "Registered",
    "Registration",
    "SharedCache",
    "Values",
    "WaitInterrupted",
    "WaitTimeout",
    "execution",
    "launch",
    "recent",
    "register",
]
