"""Workflows from notebook cells: Flyte's platform, native to Jupyter.

Everything public is imported when it is first used, so that importing this package costs almost nothing; by name, so that
the layers below do not seem to import those above through it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flyte_jupyter._version import __version__

_PUBLIC: dict[str, str] = {
    "task": "flyte_jupyter.kernel.authoring",
    "workflow": "flyte_jupyter.kernel.authoring",
    "map_task": "flyte_jupyter.kernel.authoring",
    "Resources": "flyte_jupyter.kernel.authoring",
    "Cache": "flyte_jupyter.kernel.authoring",
    "FailurePolicy": "flyte_jupyter.kernel.authoring",
    "FlyteFile": "flyte_jupyter.kernel.types",
    "TypeMismatch": "flyte_jupyter.kernel.types",
    "Deck": "flyte_jupyter.kernel.deck",
    "RecoverableError": "flyte_jupyter.kernel.errors",
    "current_context": "flyte_jupyter.kernel.context",
    "ExecutionFailed": "flyte_jupyter.kernel.launching",
    "LaunchOptions": "flyte_jupyter.kernel.launching",
    "launch": "flyte_jupyter.kernel.launching",
    "register": "flyte_jupyter.kernel.launching",
    "execution": "flyte_jupyter.kernel.launching",
    "recent": "flyte_jupyter.kernel.launching",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604  the keys are strings


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext flyte_jupyter``: add the magics to this IPython."""
    import_module("flyte_jupyter.kernel.notebook.extension").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext flyte_jupyter``: take them away again."""
    import_module("flyte_jupyter.kernel.notebook.extension").unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    extension = import_module("flyte_jupyter.server.extension")
    return [{"module": "flyte_jupyter", "app": extension.FlyteJupyter}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "flyte-jupyter"}]
