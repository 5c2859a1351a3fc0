"""What is large: wide workflows, maps, dynamic graphs, and the start after a kill in the middle of one."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.table import Figure

_COPY = 'd="${1#file://}"; mkdir -p "$d" && cp "$0" "$d/futures.pb"'
"""A task that leaves a graph which was made before, so that only the engine's part is measured."""
_PATIENCE = 120.0
_LOOK = 0.25


def figures() -> Iterator[Figure]:
    """Each case through the doors that users have; minutes in all."""
    from benchmarks import workflows

    for nodes, most in ((1_000, 1.0), (50_000, 3.0)):
        name = f"first dispatch after kill -9, {nodes:,} live nodes"
        yield Figure(name, dispatched_again(nodes), "s", most)
    nodes = workflows.VERY_WIDE
    accepted, run = _accepted(workflows.very_wide)
    yield Figure(f"static workflow of {nodes:,} nodes, accepted", accepted, "s")
    for at_once in (workflows.AT_ONCE, workflows.PLATFORMS):
        took, _ = _measured(partial(run, at_once))
        name = f"M1 fan-out of {nodes:,}, {at_once} at once, a node (2,000 nodes/s)"
        yield Figure(name, took / nodes * 1000, "ms", 0.5)
    items = workflows.ITEMS
    took, held = _measured(lambda: _launched(workflows.very_long_map, values=[0] * items))
    yield Figure(f"map of {items:,} items, an item", took / items * 1000, "ms")
    yield Figure(f"map of {items:,} items, memory an item", held / items / 1024, "KB", 5)
    nodes = 50_000
    graph = Graph("nothing", nodes)
    took, held = _measured(graph.launch)
    yield Figure(f"dynamic graph of {nodes:,} nodes, a node", took / nodes * 1000, "ms")
    yield Figure(f"dynamic graph of {nodes:,} nodes, memory a node", held / nodes / 1024, "KB", 5)
    name = f"the same, 1,000 live nodes, {_database_megabytes()} MB of earlier runs"
    yield Figure(name, dispatched_again(1_000), "s")


@dataclass(frozen=True)
class Graph:
    """A dynamic task of so many nodes, each of which runs a reused task of `benchmarks.workflows`."""

    task: str
    nodes: int
    note: str = ""
    """The file that each node adds a line to, when its task does that."""

    def launch(self) -> Any:
        """Register it, and start an execution of it."""
        import flyte_jupyter
        from benchmarks import workflows
        from flyte_jupyter.idl import admin, core
        from flyte_jupyter.kernel.client import Client

        client = Client()
        registered = flyte_jupyter.register(getattr(workflows, self.task)).identifier
        inner = client.get_task(registered).closure.compiled_task.template
        with tempfile.NamedTemporaryFile(suffix=".pb", delete=False) as file:
            file.write(self._graph(inner).SerializeToString())
        outer = core.TaskTemplate(type="container", interface=core.TypedInterface())
        outer.interface.inputs.SetInParent()
        outer.interface.outputs.SetInParent()
        outer.container.command.extend(["/bin/sh", "-c", _COPY, file.name, "{{.outputPrefix}}"])
        version = Path(file.name).stem
        identifier = core.Identifier(
            resource_type=core.ResourceType.TASK,
            project=registered.project,
            domain=registered.domain,
            name="benchmarks.graph",
            version=version,
        )
        outer.id.CopyFrom(identifier)
        client.create_task(identifier, admin.TaskSpec(template=outer))
        asked = admin.ExecutionCreateRequest(
            project=registered.project, domain=registered.domain, name=f"g{time.time_ns():x}"
        )
        asked.spec.launch_plan.CopyFrom(identifier)
        client.create_execution(asked)
        return flyte_jupyter.execution(asked.name)

    def _graph(self, template: Any) -> Any:
        from flyte_jupyter.idl import core

        spec = core.DynamicJobSpec(min_successes=self.nodes, tasks=[template])
        for at in range(self.nodes):
            node = spec.nodes.add(id=f"d{at}")
            node.task_node.reference_id.CopyFrom(template.id)
            if self.note:
                binding = node.inputs.add(var="path").binding
                binding.scalar.primitive.string_value = self.note
        return spec


def dispatched_again(nodes: int) -> float:
    """Seconds from the start of a new control plane to the first attempt that it starts, after the old one was killed."""
    from flyte_jupyter.supervisor import find_or_start

    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "note"
        note.touch()
        run = Graph("noted", nodes, str(note)).launch()
        _until(lambda: note.stat().st_size > 0)
        _settled()
        os.kill(_pid(), signal.SIGKILL)
        _still(note)
        before, start = note.stat().st_size, time.perf_counter()
        find_or_start()
        _until(lambda: note.stat().st_size > before)
        took = time.perf_counter() - start
        run.abort("measured")
        _until(lambda: run.done)
    return took


def _accepted(workflow: Any) -> tuple[float, Callable[[int], Any]]:
    """Seconds to register a workflow, and what launches it then, with so many nodes at once."""
    import flyte_jupyter

    start = time.perf_counter()
    flyte_jupyter.register(workflow)
    return time.perf_counter() - start, lambda at_once: _launched(workflow, at_once, x=0)


def _launched(workflow: Any, at_once: int = 0, **inputs: Any) -> Any:
    import flyte_jupyter

    options = flyte_jupyter.LaunchOptions(max_parallelism=at_once)
    return flyte_jupyter.launch(workflow, options=options, **inputs)


def _measured(launch: Callable[[], Any]) -> tuple[float, int]:
    """Seconds from launch to end, and the bytes that the control plane held more at most."""
    with _watched() as held:
        start = time.perf_counter()
        execution = launch()
        execution.wait()
        took = time.perf_counter() - start
    assert str(execution.phase).upper().endswith("SUCCEEDED"), execution.error
    return took, max(held) - held[0]


@contextmanager
def _watched() -> Iterator[list[int]]:
    """What the control plane holds, looked at now and then."""
    pid, held, over = _pid(), [], threading.Event()
    held.append(_bytes_of(pid))

    def look() -> None:
        while not over.wait(_LOOK):
            held.append(_bytes_of(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield held
    finally:
        over.set()
        thread.join()


def _database_megabytes() -> int:
    folder = Path(os.environ["FLYTE_JUPYTER_DATA_DIR"])
    return max(path.stat().st_size for path in folder.rglob("*.db")) // 2**20


def _pid() -> int:
    from flyte_jupyter.supervisor import find_or_start, status

    return int(status(find_or_start())["pid"])


def _bytes_of(pid: int) -> int:
    """Its proportional set size: shared pages are counted once."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no Pss of process {pid}")


def _settled() -> None:
    """Until the control plane has nothing to do but to wait for attempts."""
    pid = _pid()

    def spent() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    deadline = time.monotonic() + _PATIENCE
    before, quiet = spent(), 0
    while quiet < 3 and time.monotonic() < deadline:  # seconds in a row
        time.sleep(1)
        now = spent()
        quiet = quiet + 1 if now - before < 50 else 0  # half of a core
        before = now


def _still(note: Path) -> None:
    """Until the attempts that ran have ended."""
    size = -1
    while size != note.stat().st_size:
        size = note.stat().st_size
        time.sleep(0.5)


def _until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come to pass")
        time.sleep(0.001)
