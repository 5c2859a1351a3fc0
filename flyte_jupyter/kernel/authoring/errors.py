"""What goes wrong while tasks and workflows are written."""

from __future__ import annotations

from flyte_jupyter.kernel.errors import FlyteJupyterError


class AuthoringError(FlyteJupyterError):
    """A task or workflow that cannot be built as it is written; the message says what to write instead."""


class PromiseError(AuthoringError, TypeError):
    """A workflow's body asked a promise for its value, which exists only when the workflow runs."""


class WorkflowBodyError(AuthoringError):
    """A workflow's body raised while its graph was built; the message names the cell or file and the line."""
