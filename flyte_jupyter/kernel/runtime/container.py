"""Runs one attempt in a container of podman's or docker's: data in, the container, data out.

``python -m flyte_jupyter.kernel.runtime.container ORDER`` is the attempt's process; the order is a line of JSON. It ends as the container
ends, and what the container left for its outputs becomes ``outputs.pb``, or ``error.pb`` with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flyte_jupyter.kernel.runtime import isolation, outputs
from flyte_jupyter.kernel.runtime.copilot import program

_SHORT = 60.0
_SHARED = "/dev/shm"  # noqa: S108  # engines have an option of their own for it


@dataclass(frozen=True, slots=True)
class Order:
    """What to run. `engine` is the program that does; `memory` is in bytes, zero for no limit; `variables` are passed on by name.

    A `program` takes the place of the image's own (its entry point); `command` is what that is given.

    With an `input_path` inputs are laid there, and with an `output_path` outputs are collected from there; `interface` is as the
    copilot's command line has it. `places` are folders that the container sees where they are; `shared` is one in memory, of so many
    bytes. `secrets` are files that it sees under these names.
    """

    engine: str
    name: str
    image: str
    program: str
    command: Sequence[str]
    variables: Sequence[str]
    memory: int
    devices: Sequence[str]
    places: Sequence[str]
    inputs: str
    output_prefix: str
    raw_output_prefix: str
    input_path: str = ""
    output_path: str = ""
    data_format: str = "JSON"
    keep_uris: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)
    interface: str = ""
    shared: str = ""
    shared_bytes: int = 0

    def text(self) -> str:
        """As it stands on the command line."""
        return json.dumps(asdict(self))


def words_of(order: Order, work: Path) -> list[str]:
    """The command line that makes and runs the container."""
    words = [order.engine, "run", "--name", order.name, "--pull", "missing"]
    for name in order.variables:
        words += ["--env", name]
    if order.program:
        words += ["--entrypoint", order.program]
    if order.memory:
        words += ["--memory", str(order.memory)]
    if order.shared == _SHARED:
        words += ["--shm-size", str(order.shared_bytes)]
    elif order.shared:
        words += ["--tmpfs", f"{order.shared}:rw,mode=1777,size={order.shared_bytes}"]
    if order.devices:
        words += ["--gpus", f'"device={",".join(order.devices)}"']
    mounts = [f"{place}:{place}" for place in order.places]
    if order.input_path:
        mounts.append(f"{work}/inputs:{order.input_path}")
    if order.output_path:
        mounts.append(f"{work}/outputs:{order.output_path}")
    mounts += [f"{file}:{name}:ro" for file, name in order.secrets.items()]
    for mount in mounts:
        words += ["--volume", mount]
    return [*words, order.image, *order.command]


def run(order: Order, work: Path) -> int:
    """Run the attempt below the folder `work`. Gives the exit status: the container's, or of what went wrong beside it."""
    for place in order.places:
        Path(place).mkdir(parents=True, exist_ok=True)
    status = _bring(order, work)
    if status:
        return status
    try:
        status = attended(words_of(order, work))
        killed = status and _out_of_memory(order)
    finally:
        remove(order.engine, order.name)
    if killed:
        text = f"The container outgrew its memory limit of {order.memory >> 20} MiB and was killed. Raise the limit, or let it hold less."
        outputs.write_problem(
            order.output_prefix, outputs.Problem("OOMKilled", text, recoverable=True)
        )
        return 0
    if status == 0 and order.output_path:
        interface = program.interface_of(order.interface)
        return program.deliver(
            work / "outputs", interface, order.output_prefix, order.raw_output_prefix
        )
    return status


def attended(words: Sequence[str]) -> int:
    """Run a command, and take in meanwhile every process that it leaves to this one. Gives its exit status, as a shell would.

    podman waits until its helper is gone altogether, and that is ours once it has gone into the background.
    """
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)  # noqa: S603  # running it is the job
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode if process.returncode >= 0 else 128 - process.returncode


def forced(engine: str) -> list[str]:
    """The options of ``rm`` that spare nothing and wait for nobody."""
    return ["--force", "--time", "0"] if engine.endswith("podman") else ["--force"]


def _bring(order: Order, work: Path) -> int:
    if order.output_path:
        (work / "outputs").mkdir(exist_ok=True)
        # Whoever the image says that it runs as.
        (work / "outputs").chmod(0o777)
    if not order.input_path:
        return 0
    wish = {
        "--inputs": order.inputs,
        "--folder": str(work / "inputs"),
        "--format": order.data_format,
    }
    status = program.download(wish | {"--keep-uris": "true" if order.keep_uris else "false"})
    if status == 0:
        _open_to_all(work / "inputs")
    return status


def _open_to_all(folder: Path) -> None:
    """Let whoever the image says that it runs as read what is in a folder, whatever our umask and the modes of what was copied."""
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            file = Path(parent, name)
            file.chmod(file.stat().st_mode | 0o444)


def _out_of_memory(order: Order) -> bool:
    words = [order.engine, "inspect", "--format", "{{.State.OOMKilled}}", order.name]
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(words, check=False, capture_output=True, timeout=_SHORT)  # noqa: S603  # as above
        return said.stdout.strip() == b"true"
    return False


def remove(engine: str, name: str) -> None:
    """Remove a container, which ends it if it runs; nothing when there is none."""
    with suppress(OSError, subprocess.SubprocessError):
        words = [engine, "rm", *forced(engine), name]
        subprocess.run(words, check=False, capture_output=True, timeout=_SHORT)  # noqa: S603  # as above


def order_of(text: str) -> Order:
    """The order on a command line. Raises `ValueError` or `TypeError`."""
    given: Mapping[str, object] = json.loads(text)
    return Order(**given)  # type: ignore[arg-type]  # checked by the one who wrote it


def main() -> None:
    """The command line. Leaves the process with the exit status of `run`."""
    isolation.gather_orphans()
    # The engine's own words on its way belong to the attempt's log.
    sys.exit(run(order_of(sys.argv[1]), Path(os.getcwd())))  # noqa: PTH109  # as the shell that started it says


if __name__ == "__main__":
    main()
