"""What goes wrong between launching something and reading its outputs."""

from __future__ import annotations

from flyte_jupyter.kernel.errors import FlyteJupyterError


class LaunchingError(FlyteJupyterError):
    """Something cannot be registered, launched or read; the message says what to do."""


class SharedCache(UserWarning):
    """Two notebooks of one name remember outputs under one task name and version; the message says how to tell them apart."""


class NotFinished(LaunchingError):
    """Outputs were asked for before the execution ended."""


class WaitTimeout(LaunchingError, TimeoutError):
    """The execution did not end within the time that `wait` was given. It goes on."""


class WaitInterrupted(KeyboardInterrupt):
    """`wait` was interrupted. The execution goes on; the message says how to find it again."""


class ExecutionFailed(LaunchingError):
    """The execution ended without outputs. The message holds the failed node's error, traceback included.

    `execution` is its name, `phase` how it ended, `node` the node that failed (or empty).
    """

    def __init__(self, execution: str, phase: str, node: str, message: str, task: str = "") -> None:
        self.execution = execution
        self.phase = phase
        self.node = node
        where = f" in node {node}" if node else ""
        where += f" (task {task})" if task else ""
        super().__init__(f"execution {execution} ended as {phase}{where}: {message}")
