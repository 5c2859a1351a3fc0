"""What a task asks of the machine, and what the machine has. The arithmetic is pure; only `machine` looks."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flyte_jupyter.engine.adapters.local.templates import once_a_template
from flyte_jupyter.engine.quantities import BadQuantity, amount
from flyte_jupyter.idl import core

__all__ = [
    "BadQuantity",
    "Capacity",
    "Wants",
    "amount",
    "devices",
    "machine",
    "refusal",
    "shared_memory_of",
    "wants_of",
]

SHARED = "/dev/shm"  # noqa: S108  # in a container
# Requests come as decimal text: sums of them must compare as the text reads.
_GRAIN = 1000


class Wants(NamedTuple):  # as names are: every launch looks for what goes with them
    """What one attempt takes up: CPU in thousandths of a core, memory in bytes, whole devices."""

    cpu: int = _GRAIN
    memory: int = 0
    gpu: int = 0

    @property
    def threads(self) -> int:
        """How many threads its numeric libraries should start."""
        return max(1, self.cpu // _GRAIN)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the machine has: cores, memory in bytes, devices."""

    cpu: float
    memory: int
    gpu: int = 0


@once_a_template
def wants_of(template: core.TaskTemplate) -> Wants:
    """What a task asks for: its requests, for what it does not request its limits, else 1 CPU. Raises `BadQuantity`."""
    given = _entries(template.container.resources.limits)
    given |= _entries(template.container.resources.requests)
    names = core.Resources
    cpu = given.get(names.CPU)
    return Wants(
        cpu=_GRAIN if cpu is None else math.ceil(round(cpu * _GRAIN, 3)),
        memory=math.ceil(given.get(names.MEMORY, 0)),
        gpu=math.ceil(given.get(names.GPU, 0)),
    )


@once_a_template
def memory_limit_of(template: core.TaskTemplate) -> int:
    """The most memory that a task may hold, in bytes; zero when it names none. Raises `BadQuantity`.

    As a container's in Kubernetes: what it requests reserves room, and is no limit.
    """
    limits = _entries(template.container.resources.limits)
    return math.ceil(limits.get(core.Resources.MEMORY, 0))


@dataclass(frozen=True, slots=True)
class Shared:
    """The memory that the processes of a container share: a folder, and its bytes. Zero: as large as memory lets it be."""

    folder: str
    most: int


@once_a_template
def shared_memory_of(template: core.TaskTemplate) -> Shared | None:
    """The shared memory that a task asks for; None when it is content with what there is. Raises `BadQuantity`."""
    if not template.extended_resources.HasField("shared_memory"):
        return None
    asked = template.extended_resources.shared_memory
    most = amount(asked.size_limit) if asked.size_limit else memory_limit_of(template)
    return Shared(asked.mount_path or SHARED, math.ceil(most))


def _entries(listed: object) -> dict[int, float]:
    return {e.name: amount(e.value) for e in listed}  # type: ignore[attr-defined]  # a repeated field


def refusal(wants: Wants, capacity: Capacity) -> str | None:
    """Why a task can never run here, with what to do about it; None when it can."""
    if wants.cpu > round(capacity.cpu * _GRAIN):
        return (
            f"It asks for {wants.cpu / _GRAIN:g} CPUs and this machine has {capacity.cpu:g}. "
            f"Ask for at most {capacity.cpu:g}, for example Resources(cpu={f'{capacity.cpu:g}'!r})."
        )
    if wants.memory > capacity.memory:
        have = f"{capacity.memory // 2**20}Mi"
        return (
            f"It asks for {math.ceil(wants.memory / 2**20)}Mi of memory and this machine has {have}. "
            f"Ask for at most {have}, for example Resources(mem={have!r})."
        )
    if wants.gpu > capacity.gpu:
        return (
            f"It asks for {wants.gpu} GPUs and this machine has {capacity.gpu}. "
            f"Ask for at most {capacity.gpu}, or run it where there are more."
        )
    return None


def machine(environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> Capacity:
    """What this machine has for attempts, as far as this process may use it. Its files are below `root`.

    A container sees all cores of its node: what it may use of them stands with its control groups. Less than one core is
    counted as one, or a task that asks for nothing could never run.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = min([float(cpus or 1), *map(_quota, _groups(root, "cpu"))])
    bytes_ = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory = min([bytes_, *map(_most_memory, _groups(root, "memory"))])
    # Not more digits than requests have: what the message of a refusal names must fit.
    cores = max(1.0, math.floor(cores * _GRAIN) / _GRAIN)
    return Capacity(cores, int(memory), len(devices(environ)))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders that may limit this process: of its control groups, of either version, and of those above them."""
    base = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = ["0::/", f"1:{controller}:/"]
    for line in lines:
        names, _, path = line.partition(":")[2].partition(":")
        if names and controller not in names.split(","):
            continue
        # A group that is named from outside the container is not there: its limits stand at the top.
        parts = [part for part in path.split("/") if part]
        for mount in (base / controller, base / names) if names else (base, base / "unified"):
            yield from (mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def _quota(group: Path) -> float:
    """How many cores a control group may use at once."""
    new = _read(group / "cpu.max").split()
    old = [*_read(group / "cpu.cfs_quota_us").split(), *_read(group / "cpu.cfs_period_us").split()]
    return min(_ratio(new), _ratio(old))


def _ratio(words: list[str]) -> float:
    try:
        quota, period = map(int, words)
    except ValueError:  # "max", or no such file
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _most_memory(group: Path) -> float:
    """How much memory a control group may hold, in bytes."""
    words = [_read(group / name) for name in ("memory.max", "memory.limit_in_bytes")]
    return min((int(word) for word in words if word.isdecimal()), default=math.inf)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def devices(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(word.strip() for word in named.split(",") if word.strip() not in ("", "-1"))
    cards = [p.name for p in Path("/dev").glob("nvidia[0-9]*")]
    return tuple(str(at) for at in range(len(cards)))
