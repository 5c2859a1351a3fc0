"""Attempts of tasks that were written with flytekit: its code archives and its command lines."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

TASK_RESOLVER = "flytekit.core.python_auto_container.default_task_resolver"
MAP_RESOLVER = "flytekit.core.array_node_map_task.ArrayNodeMapTaskResolver"
_FILLED = [
    "--inputs", "{{.input}}", "--output-prefix", "{{.outputPrefix}}",
    "--raw-output-data-prefix", "{{.rawOutputDataPrefix}}",
    "--checkpoint-path", "{{.checkpointOutputPrefix}}", "--prev-checkpoint", "{{.prevCheckpointPrefix}}",
]  # fmt: skip


def archive(path: Path, name: str, source: str) -> str:
    """What flytekit's fast registration uploads: one module."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(f"{name}.py")
        info.size = len(source.encode())
        tar.addfile(info, io.BytesIO(source.encode()))
    return f"file://{path}"


def execute(module: str, task: str) -> list[str]:
    """As flytekit writes it for a task of an image."""
    loader = ["task-module", module, "task-name", task]
    return ["pyflyte-execute", *_FILLED, "--resolver", TASK_RESOLVER, "--", *loader]


def map_execute(module: str, task: str) -> list[str]:
    """As flytekit writes it for an item of a map task."""
    loader = ["vars", "", "resolver", TASK_RESOLVER, "task-module", module, "task-name", task]
    return ["pyflyte-map-execute", *_FILLED, "--resolver", MAP_RESOLVER, "--", *loader]


def fast(command: list[str], distribution: str, folder: str = "/root") -> list[str]:
    """As flytekit writes it for code that was uploaded apart from the image."""
    words = ["--additional-distribution", distribution, "--dest-dir", folder]
    return ["pyflyte-fast-execute", *words, "--", *command]
