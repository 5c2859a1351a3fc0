"""Real kernels: several at once on a fresh machine, interrupted, and restarted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from jupyter_client.manager import KernelManager
from processes import eventually

import flyte_jupyter
from flyte_jupyter.supervisor import find, status

pytestmark = pytest.mark.usefixtures("data_home")

CELLS = """
%load_ext flyte_jupyter
import time
from pathlib import Path
from flyte_jupyter import launch, task, workflow
import flyte_jupyter

@task
def hold(number: int, go: str) -> int:
    while go and not Path(go).exists():
        time.sleep(0.02)
    return number * 2

@workflow
def study(number: int, go: str = "") -> int:
    return hold(number=number, go=go)
"""


class Kernel:
    """A real ipykernel process."""

    def __init__(self, folder) -> None:
        folder.mkdir()
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder))
        self.client = self.manager.blocking_client()
        self.client.start_channels()

    def begin(self, source: str) -> str:
        """Run a cell; it goes on when this returns. Gives its message's id."""
        return self.client.execute(source)

    def finish(self, message: str, *, until: str = "") -> str:
        """All that a cell says until its end, or until it says this."""
        said = []
        while True:
            heard = self.client.get_iopub_msg(timeout=60)
            if heard["parent_header"].get("msg_id") != message:
                continue
            kind, content = heard["msg_type"], heard["content"]
            if kind == "stream":
                said.append(content["text"])
                if until and until in content["text"]:
                    return "".join(said)
            elif kind == "error":
                said.append("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(said)

    def run(self, source: str) -> str:
        return self.finish(self.begin(source))

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@contextlib.contextmanager
def kernels(folder, count: int) -> Iterator[list[Kernel]]:
    with contextlib.ExitStack() as held:
        made = []
        for number in range(count):
            made.append(Kernel(folder / f"kernel-{number}"))
            held.callback(made[-1].end)
        for kernel in made:
            kernel.client.wait_for_ready(timeout=60)
        yield made


def test_kernels_that_launch_at_the_same_moment_on_a_fresh_machine_share_one_control_plane(
    tmp_path,
):
    with kernels(tmp_path, 3) as three:
        for kernel in three:
            assert kernel.run(CELLS) == ""
        assert find() is None
        begun = [
            kernel.begin(f"print(launch(study, number={number}).wait(timeout=120).outputs.o0)")
            for number, kernel in enumerate(three, 1)
        ]
        said = [kernel.finish(message) for kernel, message in zip(three, begun, strict=True)]
        assert [text.strip() for text in said] == ["2", "4", "6"]
        assert [run.phase for run in flyte_jupyter.recent()] == ["SUCCEEDED"] * 3
        # One wrote the same cells as the others: it is one version.
        assert len({run.version for run in flyte_jupyter.recent()}) == 1
        assert status(find())["active_runs"] == 0


def test_an_interrupted_wait_leaves_the_run_going_and_says_how_to_find_it(tmp_path):
    go = tmp_path / "go"
    with kernels(tmp_path, 1) as (kernel,):
        kernel.run(CELLS)
        name = kernel.run(
            f"run = launch(study, number=21, go={str(go)!r})\nprint(run.name)"
        ).strip()
        eventually(lambda: flyte_jupyter.execution(name).phase == "RUNNING")
        message = kernel.begin("run.wait(on_change=lambda _: print('waits', flush=True))")
        kernel.finish(message, until="waits")
        kernel.manager.interrupt_kernel()
        said = kernel.finish(message)
        assert "WaitInterrupted" in said
        assert f"flyte_jupyter.execution('{name}')" in said
        assert flyte_jupyter.execution(name).phase == "RUNNING"
        # The kernel is as good as before, and after a restart another one finds the run.
        assert kernel.run("print(run.phase)").strip() == "RUNNING"
        kernel.restart()
        go.touch()
        found = f"import flyte_jupyter\nrun = flyte_jupyter.execution({name!r})\nprint(run.wait(timeout=120).outputs.o0)"
        assert kernel.run(found).strip() == "42"
        assert (
            kernel.run("print([r.name for r in flyte_jupyter.recent()])").strip() == f"[{name!r}]"
        )
