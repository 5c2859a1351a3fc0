"""What this package gives and takes: plain dicts as the API server reads them, and the refusal to make one."""

from __future__ import annotations

from typing import Any

from flyte_jupyter.engine.core.state import Failure

Manifest = dict[str, Any]
"""An object, or a part of one, as Kubernetes' JSON has it."""


class PodRefused(Exception):
    """The task asks for something that no pod can be made of. Nothing was sent anywhere; `why` is how the attempt fails."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.why = Failure(code, message)
