"""Our own figures, each through the door that a user uses."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def timed(run: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def calibration() -> float:
    """Seconds of a fixed amount of Python, to see how disturbed the machine is."""

    def loop() -> None:
        x = 0
        for i in range(1_000_000):
            x += i & 7

    return min(timed(loop) for _ in range(3))


def import_cost() -> float:
    """Milliseconds that importing the package adds to a bare Python."""

    def start(code: str) -> float:
        return min(
            timed(lambda: subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT))
            for _ in range(7)
        )

    return (start("import flyte_jupyter") - start("pass")) * 1000


def kernel_chain() -> float:
    """M0: milliseconds a task, in the kernel."""
    from benchmarks.workflows import SHORT, kernel_chain

    kernel_chain(x=0)
    return min(timed(lambda: kernel_chain(x=0)) for _ in range(5)) / SHORT * 1000


def launched(workflow: Any, nodes: int, repeats: int = 3, at_once: int = 0) -> float:
    """Milliseconds a node, from launch to the end, on the control plane. The first run warms the workers.

    `at_once` is how many nodes may be under way; 0 leaves it to the platform, as Flyte does at 25.
    """
    import flyte_jupyter

    options = flyte_jupyter.LaunchOptions(max_parallelism=at_once)

    def run() -> None:
        execution = flyte_jupyter.launch(workflow, x=0, options=options)
        execution.wait()
        assert str(execution.phase).upper().endswith("SUCCEEDED"), execution.error

    run()
    return min(timed(run) for _ in range(repeats)) / nodes * 1000


def jupyter_start(extension: bool) -> float:
    """Seconds from start to the first answer of a Jupyter server, with the extension or without."""
    sys.path.insert(0, str(ROOT / "tests"))
    from processes import run_jupyter

    options = () if extension else ("--ServerApp.jpserver_extensions={'flyte_jupyter': False}",)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as home, run_jupyter(Path(home), options=options) as server:
        while server.request("GET", "api/status").status != 200:
            time.sleep(0.01)
        return time.perf_counter() - start


def status_latency() -> tuple[float, float]:
    """Milliseconds (p50, p99) of Jupyter's own /api/status while 1,000 nodes run on the control plane beside it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from processes import run_jupyter

    import flyte_jupyter
    from benchmarks.workflows import wide

    with (
        tempfile.TemporaryDirectory() as home,
        run_jupyter(Path(home), environ={"FLYTE_JUPYTER_ENDPOINT": endpoint()}) as server,
    ):
        took = []
        execution = flyte_jupyter.launch(wide, x=0)
        while not execution.done:
            took.append(timed(lambda: server.request("GET", "api/status")) * 1000)
            time.sleep(0.005)
        execution.wait()
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.99)]


def endpoint() -> str:
    """Where this run's control plane answers."""
    from flyte_jupyter.supervisor import find_or_start

    return find_or_start().url


def demo() -> float:
    """Seconds of a warm ``make demo``."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FLYTE_JUPYTER_")}
    return timed(
        lambda: subprocess.run(
            ["make", "-s", "demo"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=environ
        )
    )
